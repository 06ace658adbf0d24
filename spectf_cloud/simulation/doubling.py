"""Reflection and transmission of plane scattering layers by the doubling method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

STREAMS = 20
#: Moments of the phase function to give; the last one is cut off as forward peak.
MOMENTS = 2 * STREAMS + 1
#: Doubling starts at layers this thin, in which light is scattered once.
_THINNEST = 2.0**-20
_FAINT = 1e-4


@dataclass(frozen=True, eq=False)
class Layers:
    """Reflection and transmission of plane layers for one sun and one view direction.

    Attributes
    ----------
    reflectance
        (..., bands): bidirectional reflectance, averaged over azimuth.
    plane_albedo
        (..., bands): share of the sunlight reflected into all directions.
    sun, view
        (..., bands): share transmitted of light from the sun's, or the view's, direction, diffuse included.
    spherical_albedo
        (..., bands): share reflected of isotropic light.
    """

    reflectance: FloatArray
    plane_albedo: FloatArray
    sun: FloatArray
    view: FloatArray
    spherical_albedo: FloatArray


def double(
    start: FloatArray, steps: int, albedo: FloatArray, moments: FloatArray, cosines: tuple[float, float]
) -> list[Layers]:
    """Reflection and transmission of layers of optical depth start·2^k, k = 0…steps.

    The doubling method (van de Hulst 1963; Hansen and Travis 1974) for the azimuthal mean, with delta-M
    scaling (Wiscombe 1977) and `STREAMS` Gauss points; sun and view directions join as points of weight 0.

    Parameters
    ----------
    start
        (bands,) extinction optical depth of the thinnest layer.
    albedo
        (bands,) single-scattering albedo.
    moments
        (bands, MOMENTS) Legendre moments of the phase function, the first of which is 1.
    cosines
        Of the sun and view zenith angles.
    """
    nodes, weights = np.polynomial.legendre.leggauss(STREAMS)
    mu = np.concatenate([0.5 * (nodes + 1), cosines])
    flux = np.concatenate([0.5 * weights, [0.0, 0.0]]) * 2 * mu
    peak = moments[:, -1]
    moments = (moments[:, :-1] - peak[:, None]) / (1 - peak[:, None])
    halvings = max(int(np.ceil(np.log2(start.max() / _THINNEST))), 0)
    depth = start * (1 - albedo * peak) * 2.0**-halvings
    albedo = albedo * (1 - peak) / (1 - albedo * peak)
    reflect, transmit = thin_layer(depth, albedo, moments, mu, flux)
    results = []
    for step in range(halvings + steps + 1):
        if step >= halvings:
            results.append(_integrate(reflect, transmit, depth, mu, flux))
        reflect, transmit = add_to_itself(reflect, transmit, np.exp(-depth[:, None] / mu), flux)
        depth = 2 * depth
    return results


def thin_layer(
    depth: FloatArray, albedo: FloatArray, moments: FloatArray, mu: FloatArray, flux: FloatArray
) -> tuple[FloatArray, ...]:
    """Single scattering of a layer so thin that nothing scatters twice: R and T, each (bands, mu, mu)."""
    order = np.arange(moments.shape[1])
    polynomials = np.polynomial.legendre.legvander(mu, len(order) - 1)
    weighted = (2 * order + 1) * moments
    ahead = np.einsum("bl,il,jl->bij", weighted, polynomials, polynomials, optimize=True)
    back = np.einsum("bl,il,jl->bij", weighted * (-1.0) ** order, polynomials, polynomials, optimize=True)
    scale = (albedo * depth)[:, None, None] / (4 * mu[:, None] * mu)
    # Slant paths through the layer: 1 - exp(-x) over x tames grazing directions.
    up = depth[:, None, None] * (1 / mu[:, None] + 1 / mu)
    reflect = scale * back * -np.expm1(-up) / up
    transmit = scale * ahead * np.exp(-0.5 * up)
    # All that leaves the beam and is not absorbed comes out again: no energy may seep away over many doublings.
    scattered = -albedo[:, None] * np.expm1(-depth[:, None] / mu)
    share = scattered / (flux @ (reflect + transmit))
    return reflect * share[:, None, :], transmit * share[:, None, :]


def add_to_itself(
    reflect: FloatArray, transmit: FloatArray, direct: FloatArray, flux: FloatArray
) -> tuple[FloatArray, ...]:
    """R and T of two equal layers on top of each other; ``direct`` (bands, mu) is the unscattered beam."""
    incoming, outgoing = direct[:, None, :], direct[:, :, None]
    pair = (reflect * flux) @ reflect
    # All orders of reflection between the layers, summed as a geometric series; of thin ones two terms do.
    twice = pair * flux
    if twice.sum(axis=2).max() < _FAINT:
        between: NDArray[np.floating] = pair + twice @ pair
    else:
        between = np.linalg.solve(np.eye(len(flux)) - twice, pair)
    down = transmit + between * incoming + (between * flux) @ transmit
    up = reflect * incoming + (reflect * flux) @ down
    doubled = reflect + outgoing * up + (transmit * flux) @ up
    through = outgoing * down + transmit * incoming + (transmit * flux) @ down
    return doubled, through


def _integrate(
    reflect: FloatArray, transmit: FloatArray, depth: FloatArray, mu: FloatArray, flux: FloatArray
) -> Layers:
    sun, view = STREAMS, STREAMS + 1
    passed = np.exp(-depth[:, None] / mu) + flux @ transmit
    return Layers(
        reflect[:, view, sun],
        flux @ reflect[:, :, sun].T,
        passed[:, sun],
        passed[:, view],
        np.einsum("i,bij,j->b", flux, reflect, flux),
    )
