"""Simulated pixels, what the truth says of them, and what the published network thinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.reference import reference_folder
from spectf_cloud.model import ModelConfig, SpecTfEncoder
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.geometry import SUN_DISTANCE, SUN_ZENITH
from spectf_cloud.simulation.granule import simulate_scene
from spectf_cloud.simulation.scene import CLEAR, CLOUD_ICE, CLOUD_LIQUID, SimulatedScene
from spectf_cloud.simulation.surfaces import CLASSES
from spectf_cloud.toa import reflectance_per_radiance, toa_reflectance
from spectf_cloud.tokens import shown_bands

Float32Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

THRESHOLD = 0.51
#: Surfaces that the published network is known to confuse with cloud: reported, not gated.
APART = tuple(CLASSES.index(name) + 1 for name in ("sun glint", "snow", "ice"))


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of one or more scenes, each attribute (n,) or (n, bands)."""

    probability: Float32Array
    radiance: Float32Array
    toa: Float32Array
    liquid: Float32Array
    ice: Float32Array
    top_km: Float32Array
    surface: Float32Array
    shadow: Float32Array

    @property
    def cloud(self) -> Mask:
        """Liquid of optical thickness 3 or more, or ice of 0.2 or more."""
        return (self.liquid >= CLOUD_LIQUID) | (self.ice >= CLOUD_ICE)

    @property
    def clear(self) -> Mask:
        """Optical thickness below 0.05; shadows are clear."""
        return self.liquid + self.ice < CLEAR

    @property
    def gated(self) -> Mask:
        """Not over glint, snow or ice."""
        return ~np.isin(self.surface, APART)

    @property
    def flagged(self) -> Mask:
        """The network says cloud."""
        return self.probability > THRESHOLD


def pool(parts: list[Pixels]) -> Pixels:
    """All pixels of several scenes."""
    names = Pixels.__dataclass_fields__
    return Pixels(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def published_network(wavelength_nm: NDArray[np.float64]) -> SpecTfEncoder:
    """The published v0.1.0 network for these bands."""
    network = ModelConfig().build(wavelength_nm)
    weights = reference_folder() / "official/v0.1.0/weights.pt"
    network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return network.eval()


@torch.inference_mode()
def probability(network: SpecTfEncoder, toa: Float32Array) -> Float32Array:
    """Cloud probability (n,) of TOA reflectance (n, bands), by the float32 reference."""
    parts = [torch.softmax(network(torch.from_numpy(block[:, :, None])), 1)[:, 1] for block in _blocks(toa)]
    return torch.cat(parts).numpy()


def _blocks(toa: Float32Array, size: int = 256) -> list[Float32Array]:
    return [np.ascontiguousarray(toa[start : start + size]) for start in range(0, len(toa), size)]


def judge_scene(config: SimulationConfig, count: int | None) -> tuple[SimulatedScene, Pixels]:
    """Simulate a scene and ask the network about some of its pixels, or all."""
    scene = simulate_scene(config)
    rng = np.random.default_rng([config.seed, 4])
    pixels = np.flatnonzero(scene.geometry.valid)
    if count is not None:
        pixels = np.sort(rng.choice(pixels, min(count, len(pixels)), replace=False))
    kept = shown_bands(scene.sensor)
    obs = scene.geometry.obs.reshape(-1, scene.geometry.obs.shape[2])[pixels].astype(np.float64)
    radiance = scene.noisy_radiance(pixels, rng)
    factors = reflectance_per_radiance(scene.irradiance[kept], float(obs[:, SUN_DISTANCE].mean()))
    toa = toa_reflectance(radiance[:, kept], factors, obs[:, SUN_ZENITH])
    truth = {name: layer.ravel()[pixels] for name, layer in scene.truth().items()}
    network = published_network(scene.sensor.wavelength_nm[kept])
    return scene, Pixels(
        probability(network, toa),
        radiance,
        toa,
        truth["liquid_optical_thickness"],
        truth["ice_optical_thickness"],
        truth["top_height_km"],
        truth["surface_class"],
        truth["shadow"],
    )


def auc(positive: Float32Array, negative: Float32Array) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(below.mean() / 2 / len(order))
