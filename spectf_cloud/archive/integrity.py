"""Checks that outputs are still as written: present, unchanged and readable."""

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
    """Return whether the receipt and every output, with its size, are in the granule's folder."""
    try:
        return (folder / RECEIPT).is_file() and all(
            (folder / record.path).stat().st_size == record.bytes for record in outputs.values()
        )
    except OSError:
        return False


def broken_output(folder: Path, outputs: Mapping[str, FileRecord]) -> str | None:
    """Read the outputs whole and return what is wrong with one; None if all are good."""
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
    """Read a whole picture or raster; only open a netCDF file."""
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
