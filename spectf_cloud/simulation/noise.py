"""Radiometric noise of an EMIT-like instrument."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

# Photon noise: variance = a² (L + b), L in uW cm-2 sr-1 nm-1. a falls from the blue, where the optics pass less
# light, to the far infrared; b = (300 a)² is the read noise. A fit of our own to the published magnitude
# (signal-to-noise ratios of several hundred at 50 % albedo; Green et al. 2020): no published table is kept.
_READ_NOISE = 300.0


def photon_coefficient(wavelength_nm: FloatArray) -> FloatArray:
    """a of the noise model in each band (bands,)."""
    red = np.asarray(wavelength_nm)
    a: FloatArray = 0.00172 + 0.0022 / (1 + np.exp((red - 1230) / 70)) + 0.0013 * np.exp(-((red - 380) / 230))
    return a + 0.0006 * np.exp(-0.5 * ((red - 1480) / 130) ** 2)


def noise_sigma(radiance: NDArray[np.floating], wavelength_nm: FloatArray) -> NDArray[np.floating]:
    """Standard deviation of the noise on radiances (n, bands), in their unit uW cm-2 sr-1 nm-1."""
    a = photon_coefficient(wavelength_nm).astype(radiance.dtype)
    sigma: NDArray[np.floating] = a * np.sqrt(np.maximum(radiance, 0) + (_READ_NOISE * a) ** 2)
    return sigma
