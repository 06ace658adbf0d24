"""One simulated scene: everything drawn, radiance computed for any of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import cloud_fields as cover
from spectf_cloud.simulation import noise
from spectf_cloud.simulation.atmosphere import Air, Angles, AtmosphereTable
from spectf_cloud.simulation.band_nodes import BandNodes
from spectf_cloud.simulation.cloud_fields import CloudLayer, Land
from spectf_cloud.simulation.clouds import CloudTable
from spectf_cloud.simulation.geometry import COSINE_I, NODATA, SUN_DISTANCE, SUN_ZENITH, Geometry
from spectf_cloud.simulation.layering import AirAbove, Cloud, cloud_over, under_air
from spectf_cloud.simulation.lookup import along, along_both, locate
from spectf_cloud.simulation.surfaces import CLASSES, WATERS

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Indices = NDArray[np.intp]
Pair = tuple[Float32Array, Float32Array]

#: Optical thickness from which a pixel counts as cloud in the truth, and below which as clear.
CLOUD_LIQUID, CLOUD_ICE, CLEAR = 3.0, 0.2, 0.05
#: Light from a cloud has gone about this far into it, km: gas absorbs down to there. Chosen, not derived.
DEPTH_OF_LIGHT_KM = {"liquid": 0.24, "ice": 0.5}
_WET = frozenset(CLASSES.index(name) + 1 for name in WATERS)


@dataclass(frozen=True, eq=False)
class SimulatedScene:
    """A scene with known truth; arrays are (lines, samples) float32 where nothing else is said.

    Attributes
    ----------
    sensor, geometry, seed
        The instrument, where it looked, and the number all else was drawn from.
    nodes
        The narrow bands that the scene is computed in, and how the instrument's are summed from them.
    layers
        Cloud layers ``"liquid"`` and ``"ice"``, in the order light passes them upwards.
    land, spectra
        The ground and its (2 classes, nodes) reflectances.
    light
        Share of direct sunlight left by clouds elsewhere (1: no shadow).
    water_cm
        Column of water vapour.
    air, angles
        State of the air, mean directions.
    irradiance
        (bands,) float64, uW cm-2 nm-1 at 1 AU.
    clear_sky, cloud_tables
        Tables of this scene's air, and of its clouds by phase, at the nodes.
    """

    sensor: Sensor
    geometry: Geometry
    seed: int
    nodes: BandNodes
    layers: dict[str, CloudLayer]
    land: Land
    spectra: Float32Array
    light: Float32Array
    water_cm: Float32Array
    air: Air
    angles: Angles
    irradiance: FloatArray
    clear_sky: AtmosphereTable
    cloud_tables: dict[str, CloudTable]

    @property
    def shape(self) -> tuple[int, int]:
        """(lines, samples)."""
        return self.geometry.shape

    def radiance_line(self, line: int) -> Float32Array:
        """Radiance of one line (samples, bands) float32 with noise, uW cm-2 sr-1 nm-1; -9999 outside the swath.

        The noise depends on the seed and the line alone, so any order of lines gives the same scene.
        """
        samples = self.shape[1]
        pixels = np.arange(line * samples, (line + 1) * samples)
        radiance = self.noisy_radiance(pixels, np.random.default_rng([self.seed, 1, line]))
        radiance[~self.geometry.seen(pixels)] = NODATA
        return radiance

    def reflectance_line(self, line: int) -> Float32Array:
        """Return the noise-free TOA reflectance of one line (samples, bands) float32; -9999 outside the swath."""
        samples = self.shape[1]
        pixels = np.arange(line * samples, (line + 1) * samples)
        reflectance = self.reflectance(pixels)
        reflectance[~self.geometry.seen(pixels)] = NODATA
        return reflectance

    def noisy_radiance(self, pixels: Indices, rng: np.random.Generator) -> Float32Array:
        """Radiance (n, bands) float32 with noise of pixels given by their flat index, uW cm-2 sr-1 nm-1."""
        radiance = self.radiance(pixels)
        sigma = noise.noise_sigma(radiance, self.sensor.wavelength_nm)
        radiance += sigma * rng.standard_normal(radiance.shape, dtype=np.float32)
        return radiance

    def radiance(self, pixels: Indices) -> Float32Array:
        """Noise-free radiance (n, bands) float32 of pixels given by their flat index, uW cm-2 sr-1 nm-1."""
        obs = self.geometry.obs.reshape(-1, self.geometry.obs.shape[2])[pixels]
        cos_sun = np.cos(np.deg2rad(obs[:, SUN_ZENITH].astype(np.float64)))
        distance = np.where(obs[:, SUN_DISTANCE] > 0, obs[:, SUN_DISTANCE], 1.0).astype(np.float64)
        incoming = (cos_sun / (np.pi * distance**2)).astype(np.float32)
        return self.reflectance(pixels) * self.irradiance.astype(np.float32) * incoming[:, None]

    def reflectance(self, pixels: Indices) -> Float32Array:
        """Noise-free TOA reflectance (n, bands) float32 of pixels given by their flat index."""
        sky = self.clear_sky
        water = locate(sky.water_cm, self.water_cm.ravel()[pixels])
        gas, path = along(sky.gas[:, 0], water), along(sky.path[:, 0], water)
        albedo = self._ground(pixels)
        toa = path + gas * sky.scattering * self._illumination(pixels) * albedo / (1 - sky.albedo * albedo)
        for phase, layer in self.layers.items():
            thickness = layer.thickness.ravel()[pixels]
            cloudy = np.flatnonzero(thickness > 1e-3)
            if len(cloudy):
                chosen = pixels[cloudy]
                top = layer.top_km.ravel()[chosen]
                beneath = toa[cloudy], albedo[cloudy]
                toa[cloudy], albedo[cloudy] = self._cloud_over(phase, thickness[cloudy], top, chosen, beneath)
        return self.nodes.integrate(toa)

    def _ground(self, pixels: Indices) -> Float32Array:
        """Reflectance (n, nodes) float32 of the ground."""
        variant = self.land.variant.ravel()[pixels]
        brightness = self.land.brightness.ravel()[pixels]
        ground = np.zeros((len(pixels), self.spectra.shape[1]), dtype=np.float32)
        # Sums in a fixed order, unlike a matrix product: the same bytes on every machine and for any block.
        for order, shares in enumerate(self.land.shares):
            share = shares.ravel()[pixels] * brightness
            ground += (share * (1 - variant))[:, None] * self.spectra[2 * order]
            ground += (share * variant)[:, None] * self.spectra[2 * order + 1]
        return np.minimum(ground, 1.0, out=ground)

    def _illumination(self, pixels: Indices) -> Float32Array:
        """(n, nodes) light on the ground, over that on flat open ground: shadows and slopes dim direct light."""
        obs = self.geometry.obs.reshape(-1, self.geometry.obs.shape[2])[pixels]
        flat = np.cos(np.deg2rad(obs[:, SUN_ZENITH]))
        slope = np.clip(obs[:, COSINE_I] / flat, 0.2, 1.6).astype(np.float32)
        wet = sum(
            (self.land.shares[i].ravel()[pixels] for i, number in enumerate(self.land.classes) if number in _WET),
            start=np.zeros(len(pixels), dtype=np.float32),
        )
        slope += wet * (1 - slope)
        # Under a cloud the cloud itself has taken the direct light: do not take it twice.
        above = np.exp(-sum(layer.thickness.ravel()[pixels] for layer in self.layers.values()))
        light = 1 - above * (1 - self.light.ravel()[pixels])
        return 1 - self.clear_sky.direct * (1 - light * slope)[:, None]

    def _cloud_over(
        self, phase: str, thickness: Float32Array, top_km: Float32Array, pixels: Indices, beneath: Pair
    ) -> Pair:
        """`cloud_over` for pixels: ``beneath`` is their TOA reflectance and diffuse albedo, (n, bands) each."""
        sky, table = self.clear_sky, self.cloud_tables[phase]
        node = locate(table.thickness, thickness)
        cloud = Cloud(*(along(values, node) for values in (table.reflectance, table.two_way, table.spherical_albedo)))
        water = locate(sky.water_cm, self.water_cm.ravel()[pixels])
        half = 0.5 * (cover.LIQUID_DEPTH_KM * np.sqrt(thickness) if phase == "liquid" else cover.ICE_DEPTH_KM)
        level = locate(sky.heights_km, top_km)
        deep = locate(sky.heights_km, top_km - np.minimum(DEPTH_OF_LIGHT_KM[phase], half))
        air_albedo = along(sky.rayleigh_albedo, level)
        above = AirAbove(
            path=along_both(sky.path, water, level),
            two_way=along_both(sky.gas, water, deep) * along(sky.rayleigh_two_way, level),
            albedo=air_albedo,
        )
        toa, albedo = beneath
        between = np.maximum(sky.albedo - air_albedo, 0)
        return cloud_over(toa, under_air(albedo, between), cloud, above)

    def truth(self) -> dict[str, Float32Array]:
        """Truth layers by name, each (lines, samples) float32; -9999 (255 in the mask) outside the swath."""
        liquid, ice = self.layers["liquid"], self.layers["ice"]
        phase = np.where(liquid.thickness >= CLEAR, 1, 0) + np.where(ice.thickness >= CLEAR, 2, 0)
        top = np.where(phase >= 2, ice.top_km, np.where(phase == 1, liquid.top_km, 0))
        thick = (liquid.thickness >= CLOUD_LIQUID) | (ice.thickness >= CLOUD_ICE)
        layers = {
            "optical_thickness": liquid.thickness + ice.thickness,
            "phase": phase,
            "top_height_km": top,
            "surface_class": self.land.dominant(),
            "shadow": (1 - self.light) / (1 - cover.SHADOW_FILL),
            "mask": thick,
            "liquid_optical_thickness": liquid.thickness,
            "ice_optical_thickness": ice.thickness,
        }
        outside = ~self.geometry.valid
        return {
            name: np.where(outside, 255 if name == "mask" else NODATA, layer).astype(np.float32)
            for name, layer in layers.items()
        }
