"""Draws what a scene looks like from above: clouds, their shadows, and the land."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import fields, surfaces
from spectf_cloud.simulation.presets import Preset

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Generator = np.random.Generator

#: Slopes of the power spectra.
CLOUD_SLOPE, LAND_SLOPE, TEXTURE_SLOPE, WATER_SLOPE = 2.9, 3.2, 2.0, 3.0
LEAST_CLASSES = 4
#: A water cloud of optical thickness tau is this many km thick, times the root of tau.
LIQUID_DEPTH_KM = 0.25
ICE_DEPTH_KM = 0.5
#: Of the sunlight taken from a shadow, what clouds around scatter back into it.
SHADOW_FILL = 0.1
#: Share of the extinction that really leaves the forward direction: 1 - g² (delta scaling, Joseph et al. 1976).
LEAVING = {"liquid": 0.27, "ice": 0.35}


@dataclass(frozen=True, eq=False)
class CloudLayer:
    """One layer of cloud over the scene: (lines, samples) float32 each.

    Attributes
    ----------
    thickness
        Optical thickness at 550 nm, 0 where there is none.
    top_km
        Height of the top above the ground.
    """

    thickness: Float32Array
    top_km: Float32Array


@dataclass(frozen=True, eq=False)
class Land:
    """The ground: what it is made of.

    Attributes
    ----------
    classes
        (classes,) numbers of the surface classes present, as in the truth.
    shares
        (classes, lines, samples) float32 adding to 1.
    variant
        (lines, samples) float32 in 0–1: the mixture of the two spectra of each class.
    brightness
        (lines, samples) float32 around 1.
    """

    classes: tuple[int, ...]
    shares: Float32Array
    variant: Float32Array
    brightness: Float32Array

    def dominant(self) -> NDArray[np.uint8]:
        """(lines, samples) number of the class with the largest share."""
        dominant: NDArray[np.uint8] = np.array(self.classes, dtype=np.uint8)[self.shares.argmax(axis=0)]
        return dominant


def draw_liquid(shape: tuple[int, int], preset: Preset, rng: Generator) -> CloudLayer:
    """Water clouds: thick in the middle of each cell, tops rising with thickness."""
    share = rng.uniform(*preset.liquid_cover)
    pattern = fields.covering(fields.power_law(shape, CLOUD_SLOPE, rng, periodic=True), share)
    thickness = fields.blur(np.float32(rng.uniform(*preset.steepness)) * pattern**1.3, 0.7)
    base = rng.uniform(*preset.base_km) + 0.15 * fields.power_law(shape, WATER_SLOPE, rng, periodic=True)
    top = np.maximum(base, 0.3) + LIQUID_DEPTH_KM * np.sqrt(thickness)
    return CloudLayer(thickness, np.minimum(top, 7.0).astype(np.float32))


def draw_ice(shape: tuple[int, int], preset: Preset, rng: Generator) -> CloudLayer:
    """Cirrus: high and smooth, mostly thin."""
    share = rng.uniform(*preset.ice_cover)
    pattern = fields.covering(fields.power_law(shape, CLOUD_SLOPE + 0.3, rng, periodic=True), share)
    thickness = fields.blur(np.float32(rng.uniform(*preset.ice_steepness)) * pattern**1.3, 1.5)
    top = rng.uniform(*preset.ice_top_km) + 0.3 * fields.power_law(shape, WATER_SLOPE, rng, periodic=True)
    return CloudLayer(thickness, np.clip(top, 6.0, 15.5).astype(np.float32))


def direct_light(layers: dict[str, CloudLayer], step: tuple[float, float], cos_sun: float) -> Float32Array:
    """(lines, samples) share of direct sunlight that reaches the ground past clouds elsewhere, 0–1.

    Each layer's optical thickness is carried along ``step`` (lines, samples per km of height) for its base,
    middle and top, so that deep clouds cast long shadows.
    """
    light = np.ones(next(iter(layers.values())).thickness.shape, dtype=np.float32)
    for phase, layer in layers.items():
        if layer.thickness.max() <= 0:
            continue
        shadow = fields.blur(_displaced(layer, step, phase), 0.8)
        light *= np.exp(-np.float32(LEAVING[phase] / cos_sun) * shadow)
    return np.float32(SHADOW_FILL) + np.float32(1 - SHADOW_FILL) * light


def _displaced(layer: CloudLayer, step: tuple[float, float], phase: str) -> Float32Array:
    """Optical thickness where the layer's shadow falls; the thickest of those that meet."""
    lines, samples = layer.thickness.shape
    shadow = np.zeros(lines * samples, dtype=np.float32)
    line, sample = np.nonzero(layer.thickness > 0.02)
    thickness, top = layer.thickness[line, sample], layer.top_km[line, sample]
    depth = LIQUID_DEPTH_KM * np.sqrt(thickness) if phase == "liquid" else ICE_DEPTH_KM
    for part in (0.0, 0.5, 1.0):
        height = top - part * depth
        # Cloud fields are periodic: what leaves on one side is what clouds beyond the other side throw in.
        to_line = np.rint(line + step[0] * height).astype(np.intp) % lines
        to_sample = np.rint(sample + step[1] * height).astype(np.intp) % samples
        np.maximum.at(shadow, to_line * samples + to_sample, thickness)
    return shadow.reshape(lines, samples)


def draw_land(shape: tuple[int, int], preset: Preset, rng: Generator) -> Land:
    """Patches of the preset's surface classes, four of them where it has so many, with soft borders and texture."""
    present = [name for name, weight in preset.land.items() if rng.random() < weight]
    missing = [name for name in preset.land if name not in present]
    while len(present) < min(LEAST_CLASSES, len(preset.land)):
        present.append(missing.pop(0))
    patterns = [fields.power_law(shape, LAND_SLOPE, rng) for _ in present]
    shares = fields.soft_choice(patterns, 6.0)
    numbers = tuple(surfaces.CLASSES.index(name) + 1 for name in present)
    variant = 1 / (1 + np.exp(-2 * fields.power_law(shape, TEXTURE_SLOPE, rng)))
    brightness = np.maximum(1 + 0.1 * fields.power_law(shape, TEXTURE_SLOPE, rng), 0.5)
    return Land(numbers, shares, variant.astype(np.float32), brightness.astype(np.float32))


def draw_spectra(
    land: Land, wavelength_nm: FloatArray, rng: Generator, library: dict[str, FloatArray] | None = None
) -> Float32Array:
    """(2 classes, bands) float32: two spectra of each class of the land, pairs side by side.

    A ``library`` gives, per class, (spectra, bands) to draw from; classes it lacks stay parametric.
    """
    spectra = []
    for number in land.classes:
        name = surfaces.CLASSES[number - 1]
        for _ in range(2):
            if library and name in library:
                spectra.append(rng.choice(library[name]) * rng.uniform(0.6, 0.95))
            else:
                spectra.append(surfaces.draw(name, wavelength_nm, rng))
    return np.array(spectra, dtype=np.float32)
