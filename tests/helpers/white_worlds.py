"""Is light conserved? The hemispheric reflectance of white worlds, which must come out as 1."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import atmosphere, clouds
from spectf_cloud.simulation.atmosphere import Air, Angles
from spectf_cloud.simulation.doubling import double
from spectf_cloud.simulation.layering import AirAbove, Cloud, cloud_over, under_air

SUNS_DEG = (20.0, 40.0, 60.0)
#: Where water hardly absorbs, and where air scatters most.
WAVELENGTHS_NM = np.array([410.0, 450.0, 500.0, 550.0, 600.0, 690.0])
TOP_LEVELS = (2, 3, 5)
_AIR = Air(aerosol_depth=0.0)
_NO_GAS = np.ones((len(atmosphere.HEIGHTS_KM), len(WAVELENGTHS_NM)))


def white_surface() -> tuple[float, float]:
    """Smallest and largest share of sunlight that a white ground under gasless, hazeless air sends back."""
    return _extremes(None)


def thick_cloud(thickness: float = 150.0) -> tuple[float, float]:
    """The same with a liquid cloud, top at 1 to 4 km, over the white ground."""
    return _extremes(thickness)


def _extremes(thickness: float | None) -> tuple[float, float]:
    shares = []
    for sun in SUNS_DEG:
        for level in TOP_LEVELS if thickness else (0,):
            shares.append(_hemispheric(float(np.cos(np.deg2rad(sun))), thickness, level))
    return float(np.min(shares)), float(np.max(shares))


def _hemispheric(cos_sun: float, thickness: float | None, level: int) -> NDArray[np.float64]:
    """Share of the sunlight sent back into all directions, (wavelengths,)."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    total = np.zeros(len(WAVELENGTHS_NM))
    for mu, weight in zip(0.5 * (nodes + 1), 0.5 * weights, strict=True):
        # The mean over azimuth of a quadratic function of the cosine: four directions do.
        views = [
            Angles(cos_sun, mu, -cos_sun * mu + np.cos(azimuth) * np.sqrt((1 - cos_sun**2) * (1 - mu**2)))
            for azimuth in (np.pi / 4, 3 * np.pi / 4)
        ]
        total += 2 * mu * weight * np.mean([_reflectance(angles, thickness, level) for angles in views], axis=0)
    return total


def _reflectance(angles: Angles, thickness: float | None, level: int) -> NDArray[np.float64]:
    nm = WAVELENGTHS_NM
    path = atmosphere.path_reflectance(nm, angles, _AIR, _NO_GAS)
    albedo = atmosphere.spherical_albedo(nm, _AIR)
    toa = path[0] + atmosphere.scattering_transmittance(nm, angles, _AIR) / (1 - albedo)
    if thickness is None:
        return toa
    cloud = _cloud(angles.cos_sun, angles.cos_view, thickness)
    depth = atmosphere.rayleigh_above(nm, atmosphere.HEIGHTS_KM[level])
    two_way = [atmosphere.rayleigh_transmittance(depth, cosine) for cosine in (angles.cos_sun, angles.cos_view)]
    air = AirAbove(path[level], two_way[0] * two_way[1], atmosphere.rayleigh_spherical_albedo(depth))
    return cloud_over(toa, under_air(np.ones_like(nm), albedo - air.albedo), cloud, air)[0]


@cache
def _cloud(cos_sun: float, cos_view: float, thickness: float) -> Cloud:
    matter = clouds.particles(WAVELENGTHS_NM, 10.0, "liquid")
    moments = clouds.legendre_moments(matter.asymmetry, "liquid")
    layer = double(thickness * matter.extinction, 0, matter.albedo, moments, (cos_sun, cos_view))[0]
    return Cloud(layer.reflectance, layer.sun * layer.view, layer.spherical_albedo)
