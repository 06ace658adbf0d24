"""A new mask from a probability GeoTIFF: another threshold, a buffer around clouds, no inference."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.outputs import check_output
from spectf_cloud.products.buffer import dilate
from spectf_cloud.products.geotiff import Georeference, write_geotiff
from spectf_cloud.products.mask import FloatArray, apply_threshold, check_threshold, cloud_fraction
from spectf_cloud.products.profiles import MASK
from spectf_cloud.scene import NODATA

# Of an image, not of the provenance: GDAL writes its own.
_NOT_PROVENANCE = {"AREA_OR_POINT"}


@dataclass(frozen=True)
class RethresholdReport:
    """What was written. `cloud_fraction` is None where no pixel has data."""

    probability: Path
    out: Path
    threshold: float
    buffer_pixels: int
    cloud_fraction: float | None


@dataclass(frozen=True, eq=False)
class SavedProbability:
    """What a probability GeoTIFF holds: (lines, samples) float32, −9999 or NaN no data, and its provenance."""

    path: Path
    probability: FloatArray
    georeference: Georeference
    tags: Mapping[str, str]

    def threshold(self) -> float:
        """The threshold noted in the file. Raises `UsageError` where none is."""
        try:
            threshold = float(self.tags["SPECTF_THRESHOLD"])
        except (KeyError, ValueError):
            raise UsageError(f"{self.path} does not say which threshold it was masked with; give --threshold") from None
        check_threshold(threshold)
        return threshold


def read_probability(path: Path) -> SavedProbability:
    """Read a GeoTIFF that ``deploy-pt --proba`` wrote, whole. Raises `InputError`."""
    with _open(path) as dataset:
        tags = {name: value for name, value in dataset.tags().items() if name not in _NOT_PROVENANCE}
        return SavedProbability(path, _read_probability(dataset, path), Georeference.of_dataset(dataset), tags)


def rethreshold(
    probability_path: Path,
    out_path: Path,
    threshold: float | None = None,
    buffer_pixels: int = 0,
    overwrite: bool = False,
) -> RethresholdReport:
    """Mask a probability GeoTIFF again; georeference and provenance are kept.

    Parameters
    ----------
    probability_path
        Single-band GeoTIFF of floats from 0 to 1, as ``deploy-pt --proba`` writes; whole in memory.
    out_path
        uint8 GeoTIFF on the same grid: 0 clear, 1 cloud, 255 no data.
    threshold
        Cloud where the probability is greater; by default the one noted in the file.
    buffer_pixels
        Also cloud within so many pixels (Euclidean, centre to centre) of cloud.

    Raises
    ------
    InputError
        The file is missing, unreadable or no probability.
    UsageError
        A threshold beyond 0 to 1 or none known; a negative buffer.
    OutputError
        The output exists, is the input, or cannot be written.
    """
    if threshold is not None:
        check_threshold(threshold)
    check_output(out_path, overwrite=overwrite, inputs=(probability_path,))
    saved = read_probability(probability_path)
    chosen = saved.threshold() if threshold is None else float(threshold)
    mask = dilate(apply_threshold(saved.probability, chosen), buffer_pixels)
    tags = {
        **saved.tags,
        "SPECTF_THRESHOLD": str(chosen),
        "SPECTF_BUFFER_PIXELS": str(buffer_pixels),
        "SPECTF_PROBABILITY": probability_path.name,
    }
    write_geotiff(out_path, mask, MASK, saved.georeference, tags, overwrite)
    fraction = cloud_fraction(mask)
    return RethresholdReport(
        probability_path, out_path, chosen, buffer_pixels, None if math.isnan(fraction) else fraction
    )


def _open(path: Path) -> DatasetReader:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the probability GeoTIFF that deploy-pt --proba wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioIOError as error:
        raise InputError(f"{path}: not a raster that can be read ({error}); give a probability GeoTIFF") from error


def _read_probability(dataset: DatasetReader, path: Path) -> FloatArray:
    """(lines, samples) float32, −9999 or NaN no data."""
    if dataset.count != 1 or dataset.dtypes[0] not in ("float32", "float64"):
        raise InputError(
            f"{path}: {dataset.count} band(s) of {dataset.dtypes[0]} are no cloud probability; give the one-band "
            "float GeoTIFF that deploy-pt --proba wrote"
        )
    try:
        probability: FloatArray = dataset.read(1).astype(np.float32)
    except RasterioIOError as error:
        raise InputError(f"{path}: its pixels cannot be read ({error}); the file may be truncated") from error
    if dataset.nodata is not None:
        probability[probability == np.float32(dataset.nodata)] = NODATA
    valid = probability[(probability != NODATA) & ~np.isnan(probability)]
    if valid.size and not (valid.min() >= 0 and valid.max() <= 1):
        raise InputError(
            f"{path}: values from {valid.min():g} to {valid.max():g} are no probabilities (0 to 1); give the "
            "GeoTIFF that deploy-pt --proba wrote"
        )
    return probability
