"""Optical properties of cloud particles, and the reflectance of plane cloud layers by doubling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import tables

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Phase = Literal["liquid", "ice"]

STREAMS = 20
#: Optical thickness (550 nm) of the nodes: 0, then three to the octave.
NODES_PER_OCTAVE = 3
THINNEST = 2.0**-8
OCTAVES = 16
#: Two-term Henyey–Greenstein: weight of the forward term, asymmetry of the backward one.
FORWARD_WEIGHT = 0.955
BACKWARD = {"liquid": -0.6, "ice": -0.3}
SHARPEST = 0.985
_INITIAL_HALVINGS = 14


@dataclass(frozen=True, eq=False)
class Particles:
    """Single scattering of cloud particles in each band: each (bands,) float64.

    Attributes
    ----------
    extinction
        Extinction efficiency, over that at 550 nm.
    albedo
        Single-scattering albedo.
    asymmetry
        Mean cosine of the scattering angle.
    """

    extinction: FloatArray
    albedo: FloatArray
    asymmetry: FloatArray


def extinction_efficiency(wavelength_nm: FloatArray, radius_um: float) -> FloatArray:
    """Extinction efficiency of large spheres with the edge term of van de Hulst: 2 (1 + x^(-2/3))."""
    size = 2 * np.pi * radius_um / (wavelength_nm / 1000.0)
    efficiency: FloatArray = 2.0 * (1.0 + size ** (-2 / 3))
    return efficiency


def absorption_efficiency(wavelength_nm: FloatArray, radius_um: float, phase: Phase) -> FloatArray:
    """Absorption efficiency of large weakly absorbing spheres.

    0.94 (1 - exp(-F a r/0.94)): for weak absorption a r (4/3)(n^3 - (n^2 - 1)^1.5)/n (Bohren and Huffman
    1983, sect. 7.1), for strong absorption 0.94, the light not reflected at the surface.
    """
    n, _ = tables.refractive_index(phase, wavelength_nm)
    per_um = tables.absorption_per_cm(phase, wavelength_nm) * 1e-4
    factor = (4 / 3) * (n**3 - (n**2 - 1) ** 1.5) / n
    efficiency: FloatArray = -0.94 * np.expm1(-factor * per_um * radius_um / 0.94)
    return efficiency


def particles(wavelength_nm: FloatArray, radius_um: float, phase: Phase) -> Particles:
    """Single scattering of droplets or ice crystals of an effective radius, in µm."""
    extinction = extinction_efficiency(wavelength_nm, radius_um)
    albedo = 1.0 - absorption_efficiency(wavelength_nm, radius_um, phase) / extinction
    um = wavelength_nm / 1000.0
    if phase == "liquid":
        asymmetry = np.clip(0.885 - 0.5 * um / radius_um, 0.7, 0.9) + 0.5 * (1 - albedo)
    else:
        asymmetry = 0.76 + 0.02 * um + 0.6 * (1 - albedo)
    at_550 = extinction_efficiency(np.array([550.0]), radius_um)
    return Particles(extinction / at_550, albedo, np.minimum(asymmetry, 0.97))


def legendre_moments(asymmetry: FloatArray, phase: Phase, count: int) -> FloatArray:
    """(bands, count) moments of a two-term Henyey–Greenstein function with the given mean cosine.

    Where particles absorb so much that hardly anything is scattered back, the backward term shrinks.
    """
    backward = BACKWARD[phase]
    share = np.maximum(FORWARD_WEIGHT, (asymmetry - backward) / (SHARPEST - backward))[:, None]
    forward = (asymmetry[:, None] - (1 - share) * backward) / share
    order = np.arange(count)
    moments: FloatArray = share * forward**order + (1 - share) * backward**order
    return moments


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
    start: FloatArray, steps: int, matter: Particles, phase: Phase, cosines: tuple[float, float]
) -> list[Layers]:
    """Reflection and transmission of layers start·2^k, k = 0…steps, of scatterers.

    The doubling method (van de Hulst 1963; Hansen and Travis 1974) for the azimuthal mean, with delta-M
    scaling (Wiscombe 1977) and `STREAMS` Gauss points; sun and view directions join as points of weight 0.

    Parameters
    ----------
    start
        (bands,) extinction optical depth of the thinnest layer.
    matter
        Single scattering in the same bands.
    cosines
        Of the sun and view zenith angles.
    """
    nodes, weights = np.polynomial.legendre.leggauss(STREAMS)
    mu = np.concatenate([0.5 * (nodes + 1), cosines])
    flux = np.concatenate([0.5 * weights, [0.0, 0.0]]) * 2 * mu
    moments = legendre_moments(matter.asymmetry, phase, 2 * STREAMS + 1)
    peak = moments[:, -1]
    moments = (moments[:, :-1] - peak[:, None]) / (1 - peak[:, None])
    depth = start * (1 - matter.albedo * peak) * 2.0**-_INITIAL_HALVINGS
    albedo = matter.albedo * (1 - peak) / (1 - matter.albedo * peak)
    reflect, transmit = _thin_layer(depth, albedo, moments, mu)
    results = []
    for step in range(_INITIAL_HALVINGS + steps + 1):
        if step >= _INITIAL_HALVINGS:
            results.append(_integrate(reflect, transmit, depth, mu, flux))
        reflect, transmit = _add_to_itself(reflect, transmit, np.exp(-depth[:, None] / mu), flux)
        depth = 2 * depth
    return results


def _thin_layer(depth: FloatArray, albedo: FloatArray, moments: FloatArray, mu: FloatArray) -> tuple[FloatArray, ...]:
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
    return reflect, transmit


def _add_to_itself(
    reflect: FloatArray, transmit: FloatArray, direct: FloatArray, flux: FloatArray
) -> tuple[FloatArray, ...]:
    """R and T of two equal layers on top of each other; ``direct`` (bands, mu) is the unscattered beam."""
    incoming, outgoing = direct[:, None, :], direct[:, :, None]
    pair = (reflect * flux) @ reflect
    # All orders of reflection between the layers, summed as a geometric series.
    between = np.linalg.solve(np.eye(len(flux)) - pair * flux, pair)
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


@dataclass(frozen=True, eq=False)
class CloudTable:
    """A cloud's reflection and transmission against its optical thickness at 550 nm.

    Attributes
    ----------
    thickness
        (nodes,) optical thickness at 550 nm, rising from 0.
    reflectance, two_way, spherical_albedo
        (nodes, bands) float32: bidirectional reflectance; transmittance down times up; reflectance of
        light from below.
    """

    thickness: FloatArray
    reflectance: Float32Array
    two_way: Float32Array
    spherical_albedo: Float32Array


def tabulate(wavelength_nm: FloatArray, radius_um: float, phase: Phase, cosines: tuple[float, float]) -> CloudTable:
    """The table of one kind of cloud for one sun and view direction (cosines of their zenith angles)."""
    matter = particles(wavelength_nm, radius_um, phase)
    thickness = [0.0]
    rows: list[tuple[float, Layers]] = []
    for fraction in range(NODES_PER_OCTAVE):
        thinnest = THINNEST * 2.0 ** (fraction / NODES_PER_OCTAVE)
        layers = double(thinnest * matter.extinction, OCTAVES, matter, phase, cosines)
        rows += [(thinnest * 2.0**step, layer) for step, layer in enumerate(layers)]
    rows.sort(key=lambda row: row[0])
    thickness += [row[0] for row in rows]
    zeros, ones = np.zeros_like(wavelength_nm), np.ones_like(wavelength_nm)
    return CloudTable(
        np.array(thickness),
        np.array([zeros] + [layer.reflectance for _, layer in rows], dtype=np.float32),
        np.array([ones] + [layer.sun * layer.view for _, layer in rows], dtype=np.float32),
        np.array([zeros] + [layer.spherical_albedo for _, layer in rows], dtype=np.float32),
    )
