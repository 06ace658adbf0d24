"""The layers of the simulation against an exact calculation: air, cloud, air and ground joined by adding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import atmosphere, clouds, doubling
from spectf_cloud.simulation.atmosphere import HEIGHTS_KM, Air, Angles
from spectf_cloud.simulation.layering import AirAbove, Cloud, cloud_over, under_air
from spectf_cloud.simulation.lookup import along, locate

FloatArray = NDArray[np.float64]

WAVELENGTHS_NM = np.array([450.0, 550.0, 690.0, 865.0])
VIEW_DEG = 8.0
_RADIUS_UM = 10.0
_AIR = Air(aerosol_depth=0.0)


class Slab(NamedTuple):
    """Reflection and transmission from above and from below, (bands, mu, mu), and the direct beam, (bands, mu)."""

    reflect: FloatArray
    transmit: FloatArray
    direct: FloatArray
    reflect_below: FloatArray
    transmit_below: FloatArray


def deviation() -> tuple[float, float]:
    """Smallest and largest relative difference of `simulated` from `added` over suns, tops, clouds and grounds."""
    differences = []
    for sun_deg in (30.0, 60.0):
        for top_km in (1.0, 3.0, 8.0):
            for thickness in (0.3, 2.0, 5.0, 20.0):
                for ground in (0.05, 0.2, 0.8):
                    case = (sun_deg, top_km, thickness, ground)
                    differences.append(simulated(*case) / added(*case) - 1)
    return float(np.min(differences)), float(np.max(differences))


def simulated(sun_deg: float, top_km: float, thickness: float, ground: float) -> FloatArray:
    """TOA reflectance (wavelengths,) as the simulation composes it, azimuthal mean."""
    cos_sun, cos_view = np.cos(np.deg2rad([sun_deg, VIEW_DEG]))
    nm = WAVELENGTHS_NM
    albedo = atmosphere.spherical_albedo(nm, _AIR)
    level = HEIGHTS_KM.index(top_km)
    depth = atmosphere.rayleigh_above(nm, top_km)
    two_way = [atmosphere.rayleigh_transmittance(depth, float(cosine)) for cosine in (cos_sun, cos_view)]
    table = clouds.tabulate(nm, _RADIUS_UM, "liquid", (cos_sun, cos_view))
    node = locate(table.thickness, np.array([thickness]))
    cloud = Cloud(*(along(values, node)[0] for values in (table.reflectance, table.two_way, table.spherical_albedo)))
    results = []
    for azimuth in (np.pi / 4, 3 * np.pi / 4):
        turn = np.cos(azimuth) * np.sqrt((1 - cos_sun**2) * (1 - cos_view**2))
        angles = Angles(float(cos_sun), float(cos_view), float(turn - cos_sun * cos_view))
        path = atmosphere.path_reflectance(nm, angles, _AIR, np.ones((len(HEIGHTS_KM), len(nm))))
        toa = path[0] + atmosphere.scattering_transmittance(nm, angles, _AIR) * ground / (1 - albedo * ground)
        air = AirAbove(path[level], two_way[0] * two_way[1], atmosphere.rayleigh_spherical_albedo(depth))
        beneath = under_air(np.full(len(nm), ground), albedo - air.albedo)
        results.append(cloud_over(toa, beneath, cloud, air)[0])
    mean: FloatArray = np.mean(results, axis=0)
    return mean


def added(sun_deg: float, top_km: float, thickness: float, ground: float) -> FloatArray:
    """The same by adding the layers with all their directions."""
    nodes, weights = np.polynomial.legendre.leggauss(doubling.STREAMS)
    mu = np.concatenate([0.5 * (nodes + 1), np.cos(np.deg2rad([sun_deg, VIEW_DEG]))])
    flux = np.concatenate([0.5 * weights, [0.0, 0.0]]) * 2 * mu
    nm = WAVELENGTHS_NM
    rayleigh = np.zeros((len(nm), doubling.MOMENTS))
    rayleigh[:, 0], rayleigh[:, 2] = 1.0, 0.1
    above = atmosphere.rayleigh_above(nm, top_km)
    matter = clouds.particles(nm, _RADIUS_UM, "liquid")
    moments = clouds.legendre_moments(matter.asymmetry, "liquid")
    whites = np.ones(len(nm))
    column = [
        _slab(above, whites, rayleigh, mu, flux),
        _slab(thickness * matter.extinction, matter.albedo, moments, mu, flux),
        _slab(atmosphere.rayleigh_depth(nm) - above, whites, rayleigh, mu, flux),
    ]
    dark = np.zeros((len(nm), len(mu), len(mu)))
    total = Slab(dark + ground, dark, dark[:, 0], dark, dark)
    for slab in reversed(column):
        total = _join(slab, total, flux)
    return total.reflect[:, -1, -2]


def _slab(depth: FloatArray, albedo: FloatArray, moments: FloatArray, mu: FloatArray, flux: FloatArray) -> Slab:
    """A uniform layer, doubled from a thin one with all directions kept."""
    peak = moments[:, -1]
    kept = (moments[:, :-1] - peak[:, None]) / (1 - peak[:, None])
    thin = depth * (1 - albedo * peak) * 2.0**-24
    reflect, transmit = doubling.thin_layer(thin, albedo * (1 - peak) / (1 - albedo * peak), kept, mu, flux)
    for _ in range(24):
        reflect, transmit = doubling.add_to_itself(reflect, transmit, np.exp(-thin[:, None] / mu), flux)
        thin = 2 * thin
    return Slab(reflect, transmit, np.exp(-thin[:, None] / mu), reflect, transmit)


def _join(top: Slab, bottom: Slab, flux: FloatArray) -> Slab:
    """Two layers on top of each other, lit from above; what light from below does is not needed here."""
    pair = (top.reflect_below * flux) @ bottom.reflect
    between = np.linalg.solve(np.eye(len(flux)) - pair * flux, pair)
    incoming, outgoing = top.direct[:, None, :], top.direct[:, :, None]
    down = top.transmit + between * incoming + (between * flux) @ top.transmit
    up = bottom.reflect * incoming + (bottom.reflect * flux) @ down
    reflect = top.reflect + outgoing * up + (top.transmit_below * flux) @ up
    through = bottom.direct[:, :, None] * down + bottom.transmit * incoming + (bottom.transmit * flux) @ down
    return Slab(reflect, through, top.direct * bottom.direct, reflect, through)
