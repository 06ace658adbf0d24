"""Rasters of reflectance as people have them: written by rasterio alone, from arrays of reflectance."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

#: Blue, green, red, near infrared and two short-wave bands, as Landsat has them.
CENTRES_NM = (482.0, 561.4, 654.6, 864.7, 1608.9, 2200.7)
WIDTHS_NM = (60.0, 57.0, 37.0, 28.0, 85.0, 187.0)
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 5e6)}


def reflectance(lines: int = 40, samples: int = 30, bands: int = 6, seed: int = 0) -> np.ndarray:
    """(lines, samples, bands) float64 in steps of 0.0001, 0.01 to 0.9."""
    return np.random.default_rng(seed).integers(100, 9000, (lines, samples, bands)) / 10_000


def write_raster(
    path: Path,
    values: np.ndarray,
    *,
    tags: bool = True,
    names: tuple[str, ...] = (),
    file_tags: dict[str, str] | None = None,
    scales: tuple[float, float] | None = None,
    **options: object,
) -> Path:
    """A GeoTIFF of (lines, samples, bands), with wavelengths as EnMAP-Box notes them unless ``tags`` is false."""
    lines, samples, bands = values.shape
    profile = {"driver": "GTiff", "height": lines, "width": samples, "count": bands, "dtype": values.dtype.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **(profile | PLACE | options)) as raster:
            raster.write(np.moveaxis(values, -1, 0))
            raster.update_tags(**(file_tags or {}))
            if names:
                raster.descriptions = names
            if scales is not None:
                raster.scales, raster.offsets = ([number] * bands for number in scales)
            centres_nm, widths_nm = CENTRES_NM, WIDTHS_NM
            if bands > len(CENTRES_NM):  # an imaging spectrometer
                centres_nm, widths_nm = np.linspace(450, 2400, bands).tolist(), [10.0] * bands
            for band in range(bands if tags else 0):
                noted = {"wavelength": centres_nm[band], "wavelength_units": "Nanometers", "fwhm": widths_nm[band]}
                raster.update_tags(band + 1, **noted)
    return path
