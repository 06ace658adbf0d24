"""Scattering and absorption of the cloudless atmosphere, tabulated for one scene.

The term that decides whether clouds can be found: gases absorb the light that air and haze scatter, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import doubling, gases, tables

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

RAYLEIGH_HEIGHT_KM = 8.0
AEROSOL_HEIGHT_KM = 1.5
STRATOSPHERE_KM = 12.0
STRATOSPHERIC_AEROSOL = 0.003
AEROSOL_ALBEDO = 0.93
AEROSOL_ASYMMETRY = 0.65
#: Part of the extinction by haze that is lost to a beam; the rest is scattered forward.
HAZE_LOST = 0.5
#: Layer boundaries above the ground, km; the last is space.
HEIGHTS_KM = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
SPACE_KM = 100.0
WATER_NODES = 5


@dataclass(frozen=True)
class Angles:
    """Sun and view direction of a scene: cosines of the zenith angles, and of the scattering angle."""

    cos_sun: float
    cos_view: float
    cos_scatter: float

    @property
    def air_mass(self) -> float:
        """Slant path down and up, in vertical paths."""
        return 1.0 / self.cos_sun + 1.0 / self.cos_view


@dataclass(frozen=True)
class Air:
    """State of the air over a scene.

    Attributes
    ----------
    water_cm, ozone_du
        Columns of water vapour (mean of the scene) and ozone.
    aerosol_depth, angstrom
        Aerosol optical depth at 550 nm and its Angstrom exponent.
    ground_km
        Height of the ground.
    """

    water_cm: float = 1.42
    ozone_du: float = 320.0
    aerosol_depth: float = 0.12
    angstrom: float = 1.3
    ground_km: float = 0.0


def rayleigh_depth(wavelength_nm: FloatArray) -> FloatArray:
    """Rayleigh optical depth of the whole atmosphere at sea level (Hansen and Travis 1974, eq. 2.30)."""
    um = wavelength_nm / 1000.0
    depth: FloatArray = 0.008569 * um**-4 * (1.0 + 0.0113 * um**-2 + 0.00013 * um**-4)
    return depth


def rayleigh_above(wavelength_nm: FloatArray, height_km: float) -> FloatArray:
    """Rayleigh optical depth above a height (bands,)."""
    above: FloatArray = rayleigh_depth(wavelength_nm) * np.exp(-height_km / RAYLEIGH_HEIGHT_KM)
    return above


def aerosol_above(wavelength_nm: FloatArray, height_km: float, air: Air) -> FloatArray:
    """Aerosol optical depth above a height (bands,): a boundary layer, and a thin stratospheric one."""
    over_ground = max(height_km - air.ground_km, 0.0)
    at_550 = air.aerosol_depth * np.exp(-over_ground / AEROSOL_HEIGHT_KM)
    at_550 += STRATOSPHERIC_AEROSOL * np.exp(-max(height_km - STRATOSPHERE_KM, 0.0) / 4.0)
    depth: FloatArray = at_550 * (wavelength_nm / 550.0) ** -air.angstrom
    return depth


def rayleigh_phase(cos_scatter: float) -> float:
    """Rayleigh phase function, mean 1 over the sphere."""
    return 0.75 * (1.0 + cos_scatter**2)


def henyey_greenstein(cos_scatter: float, asymmetry: float) -> float:
    """Henyey and Greenstein (1941), mean 1 over the sphere; ``cos_scatter`` is 1 straight ahead."""
    denominator = 1.0 + asymmetry**2 - 2.0 * asymmetry * cos_scatter
    return float((1.0 - asymmetry**2) / denominator**1.5)


def rayleigh_transmittance(depth: FloatArray, cosine: float) -> FloatArray:
    """Direct plus diffuse transmittance of a conservative Rayleigh layer for a beam (6S manual, Vermote 1997)."""
    direct = np.exp(-depth / cosine)
    total: FloatArray = ((2 / 3 + cosine) + (2 / 3 - cosine) * direct) / (4 / 3 + depth)
    return total


def rayleigh_spherical_albedo(depth: FloatArray) -> FloatArray:
    """Reflectance of a conservative Rayleigh layer for diffuse light from below (6S manual, Vermote 1997)."""
    e3 = exponential_integral_3(depth)
    albedo: FloatArray = (3 * depth - e3 * (4 + 2 * depth) + 2 * np.exp(-depth)) / (4 + 3 * depth)
    return albedo


def exponential_integral_3(depth: FloatArray) -> FloatArray:
    """E3(depth) = integral of exp(-depth/mu) mu over mu from 0 to 1, by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    mu = 0.5 * (nodes + 1.0)
    values: FloatArray = (np.exp(-np.asarray(depth)[..., None] / mu) * mu) @ (0.5 * weights)
    return values


def scattering_transmittance(wavelength_nm: FloatArray, angles: Angles, air: Air) -> FloatArray:
    """Two-way transmittance of air and haze, diffuse light included, gases not (bands,)."""
    depth = rayleigh_above(wavelength_nm, air.ground_km)
    haze = aerosol_above(wavelength_nm, air.ground_km, air)
    lost = (1.0 - AEROSOL_ALBEDO) + 0.4 * AEROSOL_ALBEDO * (1.0 - AEROSOL_ASYMMETRY)
    both = rayleigh_transmittance(depth, angles.cos_sun) * rayleigh_transmittance(depth, angles.cos_view)
    result: FloatArray = both * np.exp(-lost * haze * angles.air_mass)
    return result


def spherical_albedo(wavelength_nm: FloatArray, air: Air) -> FloatArray:
    """Reflectance of the atmosphere for light coming up from the ground (bands,)."""
    haze = aerosol_above(wavelength_nm, air.ground_km, air)
    result: FloatArray = rayleigh_spherical_albedo(rayleigh_above(wavelength_nm, air.ground_km)) + 0.15 * haze
    return result


def direct_share(wavelength_nm: FloatArray, angles: Angles, air: Air) -> FloatArray:
    """Share of the sunlight on the ground that comes straight from the sun (bands,)."""
    depth = rayleigh_above(wavelength_nm, air.ground_km)
    haze = aerosol_above(wavelength_nm, air.ground_km, air)
    direct = np.exp(-(depth + haze) / angles.cos_sun)
    lost = (1.0 - AEROSOL_ALBEDO) + 0.4 * AEROSOL_ALBEDO * (1.0 - AEROSOL_ASYMMETRY)
    total = rayleigh_transmittance(depth, angles.cos_sun) * np.exp(-lost * haze / angles.cos_sun)
    share: FloatArray = np.minimum(direct / total, 1.0)
    return share


def rayleigh_orders(depth: FloatArray, angles: Angles) -> FloatArray:
    """All orders of scattering of a Rayleigh layer over its single scattering, azimuthal mean; like ``depth``.

    By doubling, for a few optical depths, and interpolated between them.
    """
    start = 2.0 ** (-10 + np.arange(3) / 3)
    moments = np.zeros((3, doubling.MOMENTS))
    moments[:, 0], moments[:, 2] = 1.0, 0.1
    layers = doubling.double(start, 11, np.ones(3), moments, (angles.cos_sun, angles.cos_view))
    depths = np.concatenate([start * 2.0**step for step in range(12)])
    phase = 1 + 0.125 * (3 * angles.cos_sun**2 - 1) * (3 * angles.cos_view**2 - 1)
    once = phase * -np.expm1(-angles.air_mass * depths) / (4 * (angles.cos_sun + angles.cos_view))
    ratio = np.concatenate([layer.reflectance for layer in layers]) / once
    return np.interp(depth, np.insert(depths, 0, 0.0), np.insert(ratio, 0, 1.0))


def path_reflectance(wavelength_nm: FloatArray, angles: Angles, air: Air, gas_above: FloatArray) -> FloatArray:
    """Reflectance of the air above each of `HEIGHTS_KM` (heights, bands).

    Each layer scatters once, towards the sensor, dimmed by the mean of the gas transmittance above its top
    and bottom and by extinction within it and above it; the sum is raised by the higher orders of Rayleigh
    scattering. ``gas_above`` (heights, bands) is the two-way gas transmittance above each height.
    """
    heights = [height + air.ground_km for height in HEIGHTS_KM] + [SPACE_KM]
    haze_phase = henyey_greenstein(angles.cos_scatter, AEROSOL_ASYMMETRY)
    gas = np.vstack([gas_above, np.ones_like(wavelength_nm)])
    above = np.zeros_like(wavelength_nm)
    path = np.zeros_like(gas_above)
    total = np.zeros_like(wavelength_nm)
    for layer in reversed(range(len(HEIGHTS_KM))):
        low, high = heights[layer], heights[layer + 1]
        rayleigh = rayleigh_above(wavelength_nm, low) - rayleigh_above(wavelength_nm, high)
        haze = aerosol_above(wavelength_nm, low, air) - aerosol_above(wavelength_nm, high, air)
        source = rayleigh * rayleigh_phase(angles.cos_scatter) + AEROSOL_ALBEDO * haze * haze_phase
        slant = angles.air_mass * (rayleigh + HAZE_LOST * haze)
        within = -np.expm1(-slant) / slant
        dimmed = 0.5 * (gas[layer] + gas[layer + 1]) * within * np.exp(-angles.air_mass * above)
        total = total + source / (4 * angles.cos_sun * angles.cos_view) * dimmed
        path[layer] = total
        above = above + rayleigh + HAZE_LOST * haze
    depth = np.array([rayleigh_above(wavelength_nm, height) for height in heights[:-1]])
    return path * rayleigh_orders(depth, angles)


@dataclass(frozen=True, eq=False)
class AtmosphereTable:
    """Everything about the cloudless air of one scene that a pixel looks up.

    Attributes
    ----------
    water_cm
        (WATER_NODES,) water columns of the first axis of the tables.
    heights_km
        (heights,) above the ground, second axis of the tables.
    gas, path
        (water, heights, bands) float32: two-way gas transmittance and path reflectance above a height.
    rayleigh_two_way, rayleigh_albedo
        (heights, bands) float32: two-way Rayleigh transmittance and spherical albedo of the air above it.
    scattering, albedo, direct
        (bands,) float32: two-way scattering transmittance, spherical albedo, share of direct sunlight at
        the ground.
    """

    water_cm: FloatArray
    heights_km: FloatArray
    gas: Float32Array
    path: Float32Array
    rayleigh_two_way: Float32Array
    rayleigh_albedo: Float32Array
    scattering: Float32Array
    albedo: Float32Array
    direct: Float32Array


def tabulate(sensor: Sensor, irradiance: FloatArray, angles: Angles, air: Air) -> AtmosphereTable:
    """The atmosphere of one scene in the bands of a sensor.

    Gas transmittances are computed every nanometre and integrated over each band; scattering, which is
    smooth, at the band centres. ``irradiance`` is (n, 2) nm, uW cm-2 nm-1.
    """
    weights = tables.band_weights(sensor, irradiance)
    nm = sensor.wavelength_nm
    heights = [height + air.ground_km for height in HEIGHTS_KM]
    water = air.water_cm * np.linspace(0.6, 1.4, WATER_NODES)
    gas = np.empty((len(water), len(heights), sensor.bands))
    path = np.empty_like(gas)
    for node, column in enumerate(water):
        above = [gases.transmittance(height, angles.air_mass, column, air.ozone_du) for height in heights]
        gas[node] = np.stack(above) @ weights
        path[node] = path_reflectance(nm, angles, air, gas[node])
    depths = [rayleigh_above(nm, height) for height in heights]
    two_way = [rayleigh_transmittance(d, angles.cos_sun) * rayleigh_transmittance(d, angles.cos_view) for d in depths]
    return AtmosphereTable(
        water,
        np.array(HEIGHTS_KM),
        gas.astype(np.float32),
        path.astype(np.float32),
        np.array(two_way, dtype=np.float32),
        np.array([rayleigh_spherical_albedo(d) for d in depths], dtype=np.float32),
        scattering_transmittance(nm, angles, air).astype(np.float32),
        spherical_albedo(nm, air).astype(np.float32),
        direct_share(nm, angles, air).astype(np.float32),
    )
