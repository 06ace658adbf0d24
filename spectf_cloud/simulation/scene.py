"""One simulated scene: everything drawn, radiance computed for any of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import atmosphere, clouds, cover, fields, noise
from spectf_cloud.simulation.atmosphere import Air, Angles, AtmosphereTable
from spectf_cloud.simulation.clouds import CloudTable
from spectf_cloud.simulation.cover import CloudLayer, Land
from spectf_cloud.simulation.geometry import COSINE_I, NODATA, SUN_DISTANCE, SUN_ZENITH, Geometry
from spectf_cloud.simulation.presets import Preset
from spectf_cloud.simulation.surfaces import CLASSES
from spectf_cloud.toa import resample_irradiance

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Indices = NDArray[np.intp]

#: Optical thickness from which a pixel counts as cloud in the truth, and below which as clear.
CLOUD_LIQUID, CLOUD_ICE, CLEAR = 3.0, 0.2, 0.05
#: Light from a cloud comes from about this far below its top, km (Rozanov and Kokhanovsky 2004 for its order).
DEPTH_OF_LIGHT_KM = {"liquid": 0.24, "ice": 0.5}
_WET = frozenset(CLASSES.index(name) + 1 for name in ("water", "turbid water", "sun glint"))


@dataclass(frozen=True, eq=False)
class SimulatedScene:
    """A scene with known truth; arrays are (lines, samples) float32 where nothing else is said.

    Attributes
    ----------
    sensor, geometry, seed
        The instrument, where it looked, and the number all else was drawn from.
    layers
        Cloud layers ``"liquid"`` and ``"ice"``, in the order light passes them upwards.
    land, spectra
        The ground and its (2 classes, bands) reflectances.
    light
        Share of direct sunlight left by clouds elsewhere (1: no shadow).
    water_cm
        Column of water vapour.
    air, angles
        State of the air, mean directions.
    irradiance
        (bands,) float64, uW cm-2 nm-1 at 1 AU.
    tables
        Air and clouds of this scene, tabulated.
    """

    sensor: Sensor
    geometry: Geometry
    seed: int
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
        radiance = self.radiance(pixels)
        sigma = noise.noise_sigma(radiance, self.sensor.wavelength_nm)
        rng = np.random.default_rng([self.seed, 1, line])
        radiance += sigma * rng.standard_normal(radiance.shape, dtype=np.float32)
        radiance[~self.geometry.valid[line]] = NODATA
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
        water = _locate(sky.water_cm, self.water_cm.ravel()[pixels])
        gas, path = _along(sky.gas[:, 0], water), _along(sky.path[:, 0], water)
        ground = self.ground(pixels)
        up = ground / (1 - sky.albedo * ground)
        toa = path + gas * sky.scattering * self._illumination(pixels) * up
        for phase, layer in self.layers.items():
            thickness = layer.thickness.ravel()[pixels]
            cloudy = np.flatnonzero(thickness > 1e-3)
            if len(cloudy):
                chosen = pixels[cloudy]
                top = layer.top_km.ravel()[chosen]
                beneath = toa[cloudy], up[cloudy]
                toa[cloudy], up[cloudy] = self._cloud_over(phase, thickness[cloudy], top, chosen, beneath)
        return toa

    def ground(self, pixels: Indices) -> Float32Array:
        """Reflectance (n, bands) float32 of the ground."""
        variant = self.land.variant.ravel()[pixels]
        brightness = self.land.brightness.ravel()[pixels]
        ground = np.zeros((len(pixels), self.sensor.bands), dtype=np.float32)
        # Sums in a fixed order, unlike a matrix product: the same bytes on every machine and for any block.
        for order, shares in enumerate(self.land.shares):
            share = shares.ravel()[pixels] * brightness
            ground += (share * (1 - variant))[:, None] * self.spectra[2 * order]
            ground += (share * variant)[:, None] * self.spectra[2 * order + 1]
        return np.minimum(ground, 1.0, out=ground)

    def _illumination(self, pixels: Indices) -> Float32Array:
        """(n, bands) light on the ground, over that on flat open ground: shadows and slopes dim direct light."""
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
        self,
        phase: str,
        thickness: Float32Array,
        top_km: Float32Array,
        pixels: Indices,
        beneath: tuple[Float32Array, ...],
    ) -> tuple[Float32Array, Float32Array]:
        """A cloud layer laid over what is beneath it.

        ``beneath`` is the TOA reflectance without this layer, and the reflectance of all below it for diffuse
        light (both (n, bands)); so is what returns. The cloud's own light is dimmed by the gases above its
        effective height and by the air above its top; light from below passes it twice and is reflected to
        and fro between cloud and ground.
        """
        sky, table = self.clear_sky, self.cloud_tables[phase]
        toa, ground = beneath
        node = table.locate(thickness)
        own, through = _along(table.reflectance, node), _along(table.two_way, node)
        back = _along(table.spherical_albedo, node)
        water = _locate(sky.water_cm, self.water_cm.ravel()[pixels])
        half = 0.5 * (cover.LIQUID_DEPTH_KM * np.sqrt(thickness) if phase == "liquid" else cover.ICE_DEPTH_KM)
        level = _locate(sky.heights_km, top_km)
        deep = _locate(sky.heights_km, top_km - np.minimum(DEPTH_OF_LIGHT_KM[phase], half))
        path = _along_both(sky.path, water, level)
        gas = _along_both(sky.gas, water, deep)
        air = _along(sky.rayleigh_two_way, level) / (1 - _along(sky.rayleigh_albedo, level) * back)
        trapped = 1 / (1 - back * ground)
        lit = path + air * gas * own + through * trapped * (toa - path)
        return lit, back + through * trapped * ground

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


def draw_scene(
    sensor: Sensor,
    geometry: Geometry,
    irradiance: FloatArray,
    preset: Preset,
    seed: int,
    library: dict[str, FloatArray] | None = None,
    least_classes: int = 1,
) -> SimulatedScene:
    """Draw a scene of a preset. The same arguments give the same scene.

    Parameters
    ----------
    irradiance
        (n, 2) nm, uW cm-2 nm-1 at 1 AU.
    library
        Surface spectra per class, (spectra, bands); see `cover.draw_spectra`.
    least_classes
        Surface classes to have at least.
    """
    rng = np.random.default_rng([seed, 0])
    shape = geometry.shape
    angles = geometry.mean_angles()
    ground = geometry.elev[geometry.valid]
    air = Air(
        water_cm=float(rng.choice(preset.water_cm) * rng.lognormal(0.0, 0.3)),
        ozone_du=float(rng.uniform(260, 400)),
        aerosol_depth=float(min(rng.gamma(1.6, 0.08), 0.6)),
        angstrom=float(rng.uniform(0.7, 1.7)),
        ground_km=float(np.clip(ground.mean() / 1000, 0.0, 5.0)),
    )
    layers = {"liquid": cover.draw_liquid(shape, preset, rng), "ice": cover.draw_ice(shape, preset, rng)}
    land = cover.draw_land(shape, preset, rng, least_classes)
    vapour = np.clip(1 + 0.08 * fields.power_law(shape, cover.WATER_SLOPE, rng), 0.65, 1.35)
    cosines = (angles.cos_sun, angles.cos_view)
    radii: dict[clouds.Phase, float] = {"liquid": rng.uniform(7, 15), "ice": rng.uniform(20, 45)}
    return SimulatedScene(
        sensor=sensor,
        geometry=geometry,
        seed=seed,
        layers=layers,
        land=land,
        spectra=cover.draw_spectra(land, sensor.wavelength_nm, rng, library),
        light=cover.direct_light(layers, geometry.shadow_step(), angles.cos_sun),
        water_cm=(air.water_cm * vapour).astype(np.float32),
        air=air,
        angles=angles,
        irradiance=resample_irradiance(irradiance, sensor.wavelength_nm, sensor.fwhm_nm),
        clear_sky=atmosphere.tabulate(sensor, irradiance, angles, air),
        cloud_tables={
            phase: clouds.tabulate(sensor.wavelength_nm, radius, phase, cosines) for phase, radius in radii.items()
        },
    )


Place = tuple[Indices, Float32Array]


def _locate(nodes: FloatArray, values: NDArray[np.floating]) -> Place:
    """Lower node and weight of the upper one, each (n,), for linear interpolation; clamped at the ends."""
    node = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    weight = (values - nodes[node]) / (nodes[node + 1] - nodes[node])
    return node, np.clip(weight, 0.0, 1.0).astype(np.float32)


def _along(table: Float32Array, place: Place) -> Float32Array:
    """(n, bands) interpolated along the first axis of a (nodes, bands) table."""
    node, weight = place
    low = table[node]
    return low + weight[:, None] * (table[node + 1] - low)


def _along_both(table: Float32Array, first: Place, second: Place) -> Float32Array:
    """(n, bands) interpolated along the first two axes of a (nodes, nodes, bands) table."""
    (i, wi), (j, wj) = first, second
    low = table[i, j] + wi[:, None] * (table[i + 1, j] - table[i, j])
    high = table[i, j + 1] + wi[:, None] * (table[i + 1, j + 1] - table[i, j + 1])
    return low + wj[:, None] * (high - low)
