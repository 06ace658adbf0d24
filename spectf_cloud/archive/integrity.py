"""Whether outputs are still what was written: there, of the same bytes, and openable."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import h5py
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from spectf_cloud.archive.receipts import RECEIPT, FileRecord
from spectf_cloud.weights import sha256_of


def all_there(folder: Path, outputs: Mapping[str, FileRecord]) -> bool:
    """Whether every output is in the granule's folder, in its size, and the receipt too."""
    try:
        return (folder / RECEIPT).is_file() and all(
            (folder / record.path).stat().st_size == record.bytes for record in outputs.values()
        )
    except OSError:
        return False


def broken_output(folder: Path, outputs: Mapping[str, FileRecord]) -> str | None:
    """What is wrong with the content of outputs; None when all is well. Reads them whole."""
    for record in outputs.values():
        path = folder / record.path
        try:
            if sha256_of(path) != record.sha256:
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
