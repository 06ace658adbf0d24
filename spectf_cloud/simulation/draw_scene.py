"""Draws a scene of a preset from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import atmosphere, clouds, fields
from spectf_cloud.simulation import cloud_fields as cover
from spectf_cloud.simulation.atmosphere import Air
from spectf_cloud.simulation.band_nodes import place_nodes
from spectf_cloud.simulation.geometry import Geometry
from spectf_cloud.simulation.library import read_library
from spectf_cloud.simulation.presets import Preset
from spectf_cloud.simulation.scene import SimulatedScene
from spectf_cloud.toa import resample_irradiance

FloatArray = NDArray[np.float64]


def draw_scene(
    sensor: Sensor,
    geometry: Geometry,
    irradiance: FloatArray,
    preset: Preset,
    seed: int,
    surfaces: Path | None = None,
) -> SimulatedScene:
    """Draw a scene of a preset. The same arguments give the same scene.

    Parameters
    ----------
    irradiance
        (n, 2) nm, uW cm-2 nm-1 at 1 AU.
    surfaces
        A library to draw the land from, as `read_library` reads it.
    """
    rng = np.random.default_rng([seed, 0])
    nodes = place_nodes(sensor, irradiance)
    narrow_nm = nodes.sensor.wavelength_nm
    library = read_library(surfaces, narrow_nm) if surfaces else None
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
    land = cover.draw_land(shape, preset, rng)
    vapour = np.clip(1 + 0.08 * fields.power_law(shape, cover.WATER_SLOPE, rng), 0.65, 1.35)
    cosines = (angles.cos_sun, angles.cos_view)
    radii: dict[clouds.Phase, float] = {"liquid": rng.uniform(7, 15), "ice": rng.uniform(20, 45)}
    return SimulatedScene(
        sensor=sensor,
        geometry=geometry,
        seed=seed,
        nodes=nodes,
        layers=layers,
        land=land,
        spectra=cover.draw_spectra(land, narrow_nm, rng, library),
        light=cover.direct_light(layers, geometry.shadow_step(), angles.cos_sun),
        water_cm=(air.water_cm * vapour).astype(np.float32),
        air=air,
        angles=angles,
        irradiance=resample_irradiance(irradiance, sensor.wavelength_nm, sensor.fwhm_nm),
        clear_sky=atmosphere.tabulate(nodes.sensor, irradiance, angles, air),
        cloud_tables={phase: clouds.tabulate(narrow_nm, radius, phase, cosines) for phase, radius in radii.items()},
    )
