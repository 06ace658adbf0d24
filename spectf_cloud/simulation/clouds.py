"""Optical properties of cloud particles, and tables of what clouds of them reflect and transmit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import tables
from spectf_cloud.simulation.doubling import MOMENTS, Layers, double

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Phase = Literal["liquid", "ice"]

#: Optical thickness (550 nm) of the nodes: 0, then three to the octave.
NODES_PER_OCTAVE = 3
THINNEST = 2.0**-8
OCTAVES = 16
#: Two-term Henyey–Greenstein: weight of the forward term, asymmetry of the backward one.
FORWARD_WEIGHT = 0.955
BACKWARD = {"liquid": -0.6, "ice": -0.3}
SHARPEST = 0.985


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


def legendre_moments(asymmetry: FloatArray, phase: Phase) -> FloatArray:
    """(bands, MOMENTS) moments of a two-term Henyey–Greenstein function with the given mean cosine.

    Where particles absorb so much that hardly anything is scattered back, the backward term shrinks.
    """
    backward = BACKWARD[phase]
    share = np.maximum(FORWARD_WEIGHT, (asymmetry - backward) / (SHARPEST - backward))[:, None]
    forward = (asymmetry[:, None] - (1 - share) * backward) / share
    order = np.arange(MOMENTS)
    moments: FloatArray = share * forward**order + (1 - share) * backward**order
    return moments


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
    moments = legendre_moments(matter.asymmetry, phase)
    rows: list[tuple[float, Layers]] = []
    for fraction in range(NODES_PER_OCTAVE):
        thinnest = THINNEST * 2.0 ** (fraction / NODES_PER_OCTAVE)
        layers = double(thinnest * matter.extinction, OCTAVES, matter.albedo, moments, cosines)
        rows += [(thinnest * 2.0**step, layer) for step, layer in enumerate(layers)]
    rows.sort(key=lambda row: row[0])
    zeros, ones = np.zeros_like(wavelength_nm), np.ones_like(wavelength_nm)
    return CloudTable(
        np.array([0.0] + [row[0] for row in rows]),
        np.array([zeros] + [layer.reflectance for _, layer in rows], dtype=np.float32),
        np.array([ones] + [layer.sun * layer.view for _, layer in rows], dtype=np.float32),
        np.array([zeros] + [layer.spherical_albedo for _, layer in rows], dtype=np.float32),
    )
