"""Read cloud probability from a file: a GeoTIFF or other raster, or a netCDF in the layout of EMIT's L2A mask."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.products.flags import FloatArray, check_threshold
from spectf_cloud.products.geotiff import Georeference
from spectf_cloud.products.saved_netcdf import read_netcdf
from spectf_cloud.scene import NODATA

#: What to do after most refusals.
GIVE = "give the GeoTIFF that deploy-pt --proba wrote"
# Tags of the image, which GDAL writes itself.
_NOT_PROVENANCE = {"AREA_OR_POINT"}
# 255 times a scale of 0.00392157 is a little more than 1.
_ROUNDING = 1e-3
# Values up to these are more likely per cent than a probability that is slightly too large.
_PER_CENT = (2.0, 100.0)


@dataclass(frozen=True, eq=False)
class SavedProbability:
    """Content of a probability file: (lines, samples) float32, −9999 or NaN no data, and its provenance."""

    path: Path
    probability: FloatArray
    georeference: Georeference
    tags: Mapping[str, str]

    def threshold(self) -> float:
        """Return the threshold noted in the file. Raises `UsageError` where there is none."""
        try:
            threshold = float(self.tags["SPECTF_THRESHOLD"])
        except (KeyError, ValueError):
            raise UsageError(f"{self.path} does not say which threshold it was masked with; give --threshold") from None
        check_threshold(threshold)
        return threshold


def read_probability(path: Path) -> SavedProbability:
    """Read a whole probability file that ``deploy-pt`` wrote by ``--proba`` or ``--netcdf``, or a similar one.

    Scale, offset and no data of a raster (a value, an alpha band, a mask in the file or next to it) are applied as GDAL
    reads them. Raises `InputError`.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; {GIVE}")
    if h5py.is_hdf5(path):
        probability, location, tags = read_netcdf(path)
        _check_range(path, probability)
        return SavedProbability(path, probability, Georeference.of_location(location), tags)
    with _open(path) as dataset:
        tags = {name: value for name, value in dataset.tags().items() if name not in _NOT_PROVENANCE}
        return SavedProbability(path, _read_raster(dataset, path), Georeference.of_dataset(dataset), tags)


def _open(path: Path) -> DatasetReader:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioIOError as error:
        raise InputError(f"{path}: not a raster that can be read ({error}); {GIVE}") from error


def _read_raster(dataset: DatasetReader, path: Path) -> FloatArray:
    """Read (lines, samples) float32, −9999 or NaN no data."""
    alpha = [band for band in dataset.indexes if dataset.colorinterp[band - 1] == ColorInterp.alpha]
    band = _band(dataset, path, alpha)
    try:
        stored = dataset.read(band)
        absent = dataset.read_masks(band) == 0
        for transparent in alpha:  # GDAL ignores the alpha band of floats
            absent |= dataset.read(transparent) == 0
    except RasterioIOError as error:
        raise InputError(f"{path}: its pixels cannot be read ({error}); the file may be truncated") from error
    absent |= stored == NODATA
    scale, offset = dataset.scales[band - 1], dataset.offsets[band - 1]
    scaled = (scale, offset) != (1.0, 0.0)
    probability: FloatArray = (stored * scale + offset if scaled else stored).astype(np.float32)
    probability[absent] = NODATA
    if scaled:
        probability[(probability > 1) & (probability <= 1 + _ROUNDING)] = 1
    elif stored.dtype.kind in "iu":
        _refuse_whole_numbers(path, stored[~absent])
    _check_range(path, probability)
    return probability


def _band(dataset: DatasetReader, path: Path, alpha: list[int]) -> int:
    """Return the band of probability: the only one besides alpha, or the only one described as such."""
    if not dataset.count:
        what = "is netCDF-3, which is not supported; convert it: nccopy -k nc4 IN OUT, or"
        raise InputError(f"{path}: {what if dataset.driver == 'netCDF' else 'holds several rasters;'} {GIVE}")
    bands = [band for band in dataset.indexes if band not in alpha]
    if len(bands) > 1:
        described = [(band, dataset.descriptions[band - 1] or "") for band in bands]
        bands = [band for band, words in described if "probability" in words.lower()]
    if len(bands) != 1:
        raise InputError(f"{path}: exactly one of its {dataset.count} bands must be described as probability; {GIVE}")
    if dataset.dtypes[bands[0] - 1].startswith("complex"):
        raise InputError(f"{path}: complex numbers are not a cloud probability; {GIVE}")
    return int(bands[0])


def _refuse_whole_numbers(path: Path, valid: NDArray[np.generic]) -> None:
    """Refuse whole numbers without a scale: they may be a mask, per cent or anything."""
    low, high = (int(valid.min()), int(valid.max())) if valid.size else (0, 0)
    what = f"{valid.dtype} values from {low} to {high} without a scale are not a cloud probability"
    if low >= 0 and high <= 1:
        raise InputError(f"{path}: {what} but a mask; {GIVE}")
    raise InputError(f"{path}: {what}{_per_cent(low, high)}")


def _check_range(path: Path, probability: FloatArray) -> None:
    valid = probability[(probability != NODATA) & ~np.isnan(probability)]
    if valid.size and not (valid.min() >= 0 and valid.max() <= 1):
        low, high = float(valid.min()), float(valid.max())
        raise InputError(
            f"{path}: values from {low:g} to {high:g} are not probabilities (0 to 1){_per_cent(low, high)}"
        )


def _per_cent(low: float, high: float) -> str:
    if low >= 0 and _PER_CENT[0] < high <= _PER_CENT[1]:
        return "; if they are per cent, note the scale in the file: gdal_translate -a_scale 0.01 IN OUT"
    return f"; {GIVE}, or note scale and no data in the file: gdal_translate -a_scale SCALE -a_nodata VALUE IN OUT"
