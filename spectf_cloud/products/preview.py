"""The six bands of a picture, read again from a scene's files: no model, no mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.files.resources import resource
from spectf_cloud.products.flags import Preview
from spectf_cloud.readers.bad_bands import empty_bands
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import Scene, missing
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance
from spectf_cloud.tokens import shown_bands

#: True colour, then three water-vapour bands in which only high cloud is bright.
PREVIEW_NM = (640.0, 550.0, 460.0, 1380.0, 1420.0, 1890.0)


def read_preview(scene: Scene, step: int = 1, irradiance: Path | None = None) -> Preview:
    """TOA reflectance of the preview bands at every ``step``-th line and sample.

    ``irradiance`` is an (n, 2) .npy of nm and uW cm-2 nm-1, by default the bundled one. NaN where one of these
    bands or the geometry is missing. Raises `InputError`.
    """
    reader = PixelReader(scene, preview_bands(scene), irradiance)
    rows = [reader.line(line, step) for line in range(0, scene.lines, step)]
    return Preview(reader.wavelength_nm, np.stack(rows))


def preview_bands(scene: Scene) -> NDArray[np.intp]:
    """(6,) bands nearest to the preview wavelengths, of those that the published model sees and that hold data."""
    kept = shown_bands(scene.sensor)
    kept = kept[~np.isin(kept, empty_bands(scene, kept))]
    centres_nm = scene.sensor.wavelength_nm[kept]
    return kept[[np.abs(centres_nm - wanted).argmin() for wanted in PREVIEW_NM]]


class PixelReader:
    """TOA reflectance of chosen bands, read where it is asked for."""

    def __init__(self, scene: Scene, bands: NDArray[np.intp], irradiance: Path | None = None) -> None:
        self.scene, self.bands = scene, bands
        self.wavelength_nm = scene.sensor.wavelength_nm[bands]
        sunlight = read_irradiance(irradiance or resource("irr.npy"))
        solar = resample_irradiance(sunlight, self.wavelength_nm, scene.sensor.fwhm_nm[bands])
        self._factors = reflectance_per_radiance(solar, scene.earth_sun_au)

    def line(self, line: int, step: int = 1) -> NDArray[np.float32]:
        """(samples / step, bands) float32 TOA reflectance of one line; NaN rows where there is no data."""
        radiance = self.scene.radiance.read(line, line + 1, self.bands)[0, ::step]
        sun_zenith_deg = self.scene.read_sun_zenith_deg(line, line + 1)[0, ::step]
        valid = ~missing(radiance, self.scene.radiance.nodata).any(axis=1) & np.isfinite(sun_zenith_deg)
        toa = np.full(radiance.shape, np.nan, np.float32)
        toa[valid] = toa_reflectance(radiance[valid], self._factors, sun_zenith_deg[valid])
        return toa
