"""Radiance to top-of-atmosphere reflectance. Pure functions on arrays.

rho = pi L d² / (E0 cos θs): L radiance, E0 solar irradiance at 1 AU resampled to the band, d the
Earth–Sun distance in AU, θs the solar zenith angle (the standard definition, e.g. Schott 2007, ch. 4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

# 2.355, not 2 sqrt(2 ln 2): the published code rounds here, and its TOA is matched to 1e-6.
_SIGMA_PER_FWHM = 1.0 / 2.355


def resample_irradiance(irradiance: FloatArray, wavelength_nm: FloatArray, fwhm_nm: FloatArray) -> FloatArray:
    """Return the solar irradiance seen by each band, through a Gaussian spectral response.

    Parameters
    ----------
    irradiance
        (n, 2) wavelength nm, irradiance uW cm-2 nm-1 at 1 AU.
    wavelength_nm, fwhm_nm
        (bands,) centres and full widths at half maximum, nm.

    Returns
    -------
    (bands,) float64, uW cm-2 nm-1: the sample-weighted mean, as the published code takes it, so samples are
    expected on an even grid.

    Raises
    ------
    InputError
        When a band centre is more than one band width outside the irradiance's range.
    """
    grid_nm, samples = irradiance[:, 0], irradiance[:, 1]
    outside = (wavelength_nm + fwhm_nm < grid_nm[0]) | (wavelength_nm - fwhm_nm > grid_nm[-1])
    if outside.any():
        raise InputError(
            f"{int(outside.sum())} band centres (first {wavelength_nm[outside][0]:.1f} nm) are outside the solar "
            f"irradiance, {grid_nm[0]:g}–{grid_nm[-1]:g} nm; give a wider one with --irradiance or drop those bands"
        )
    resampled = np.empty(len(wavelength_nm))
    for band, (centre, fwhm) in enumerate(zip(wavelength_nm, fwhm_nm, strict=True)):
        response = np.exp(-0.5 * ((grid_nm - centre) / (fwhm * _SIGMA_PER_FWHM)) ** 2)
        total = response.sum()
        # A band narrower than the grid can miss every sample.
        resampled[band] = response @ samples / total if total > 0 else np.interp(centre, grid_nm, samples)
    return resampled


def reflectance_per_radiance(irradiance_band: FloatArray, earth_sun_au: float) -> FloatArray:
    """Return pi d²/E0 of each band (bands,) float64: times L/cos θs it gives TOA reflectance.

    >>> reflectance_per_radiance(np.array([100 * np.pi]), earth_sun_au=1.0)
    array([0.01])
    """
    factors: FloatArray = np.pi * earth_sun_au**2 / irradiance_band
    return factors


def toa_reflectance(
    radiance: NDArray[np.floating],
    factors: FloatArray,
    sun_zenith_deg: FloatArray,
    out: Float32Array | None = None,
) -> Float32Array:
    """Return the TOA reflectance of pixels.

    Parameters
    ----------
    radiance
        (n, bands), uW cm-2 sr-1 nm-1.
    factors
        (bands,) from `reflectance_per_radiance`.
    sun_zenith_deg
        (n,) degrees, below 90.
    out
        (n, bands) float32 to write to; by default a new array.

    Returns
    -------
    (n, bands) float32, unitless. Factors and cosines are computed in float64 and rounded once; two float32 products
    follow, so the result is within 2.4e-7 of the formula, and float64 radiance that holds float32 values
    gives the same bits as float32.
    """
    per_pixel = (1.0 / np.cos(np.deg2rad(sun_zenith_deg))).astype(np.float32)
    toa = np.empty(radiance.shape, np.float32) if out is None else out
    np.multiply(radiance, factors.astype(np.float32), out=toa, casting="same_kind")
    toa *= per_pixel[:, None]
    return toa
