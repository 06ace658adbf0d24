"""Whether outputs are still what was written: there, of the same bytes, and openable."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from spectf_cloud.archive.outcome import Outcome
from spectf_cloud.weights import sha256_of


def broken_output(folder: Path, outcome: Outcome) -> str | None:
    """What is wrong with the outputs in a granule's folder; None when all is well."""
    for record in outcome.outputs.values():
        path = folder / record.path
        try:
            if path.stat().st_size != record.bytes or sha256_of(path) != record.sha256:
                return f"{path.name} was changed"
            _open(path)
        except (OSError, RasterioError) as error:
            return f"{path.name} cannot be read ({error})"
    return None


def _open(path: Path) -> None:
    """Read one picture or raster through; netCDF is opened."""
    if path.suffix == ".tif":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                dataset.read(1)
    elif path.suffix == ".nc":
        with h5py.File(path, "r"):
            pass
    else:
        with Image.open(path) as picture:
            picture.load()
