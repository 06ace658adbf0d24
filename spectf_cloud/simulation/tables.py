"""The committed tables, and integration over the bands of a sensor."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor

FloatArray = NDArray[np.float64]

#: Gases of the absorption table, in the order of its columns.
GASES = ("h2o", "o2", "co2", "ch4", "o3")


@cache
def _read(name: str) -> FloatArray:
    text = files("spectf_cloud.simulation").joinpath("data", name).read_text()
    return np.loadtxt(text.splitlines(), delimiter=",", comments="#")


def gas_grid_nm() -> FloatArray:
    """(n,) nm, the 1 nm grid of the absorption table."""
    return _read("gas_optical_depth.csv")[:, 0]


def range_nm(irradiance: FloatArray) -> tuple[float, float]:
    """Return the first and the last wavelength that can be simulated with an irradiance (n, 2), nm."""
    grid, lit = gas_grid_nm(), irradiance[:, 0]
    return float(max(grid[0], lit[0])), float(min(grid[-1], lit[-1]))


def gas_optical_depth(gas: str) -> FloatArray:
    """(n,) slant optical depth of one of `GASES` on `gas_grid_nm`, at air mass 1.5 of ASTM G173."""
    return _read("gas_optical_depth.csv")[:, 1 + GASES.index(gas)]


def refractive_index(phase: str, wavelength_nm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Real part n and imaginary part k of ``"liquid"`` water or ``"ice"``, each (bands,).

    Water: Segelstein (1981); ice: Warren and Brandt (2008). k is interpolated in its logarithm.
    """
    table = _read("water_ice_index.csv")
    first = {"liquid": 1, "ice": 3}[phase]
    n = np.interp(wavelength_nm, table[:, 0], table[:, first])
    k = np.exp(np.interp(wavelength_nm, table[:, 0], np.log(table[:, first + 1])))
    return n, k


def absorption_per_cm(phase: str, wavelength_nm: FloatArray) -> FloatArray:
    """Bulk absorption coefficient 4 pi k / wavelength (bands,), cm-1."""
    _, k = refractive_index(phase, wavelength_nm)
    return 4.0 * np.pi * k / (wavelength_nm * 1e-7)


def sigma_of(fwhm_nm: FloatArray) -> FloatArray:
    """Return the standard deviation of Gaussians of these full widths at half maximum, in their unit."""
    sigma: FloatArray = fwhm_nm / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    return sigma


def band_weights(sensor: Sensor, irradiance: FloatArray) -> FloatArray:
    """(n, bands) weights that turn a spectrum on `gas_grid_nm` into what each band sees.

    Gaussian response times solar irradiance, normalised: a band's reflectance is the ratio of reflected
    to incoming light, both integrated over the response. ``irradiance`` is (m, 2) nm, uW cm-2 nm-1.
    """
    grid = gas_grid_nm()
    response = np.exp(-0.5 * ((grid[:, None] - sensor.wavelength_nm) / sigma_of(sensor.fwhm_nm)) ** 2)
    response *= np.interp(grid, irradiance[:, 0], irradiance[:, 1])[:, None]
    weights: FloatArray = response / response.sum(axis=0)
    return weights
