"""Read cloud probability from netCDF-4: EMIT's L2A mask, a file of ``--netcdf``, or one of `CloudMask.to_xarray`."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.products.flags import FloatArray
from spectf_cloud.readers.cf import packing_of
from spectf_cloud.readers.hdf5_storage import find_dataset, read_attribute, read_dataset
from spectf_cloud.scene import NODATA, Location, check_size

_GIVE = "give a file that deploy-pt wrote by --proba or --netcdf"
_BAND_NAMES = "sensor_band_parameters/mask_bands"
# Longitude, latitude, elevation in EMIT's files, and in those of `CloudMask.to_xarray`.
_PLACES = (("location/lon", "location/lat", "location/elev"), ("lon", "lat", "elev"))
_MAX_BANDS = 100


def read_netcdf(path: Path) -> tuple[FloatArray, Location | None, dict[str, str]]:
    """Read probability (lines, samples) float32 with −9999 for no data, the pixels' positions, and the provenance.

    Raises `InputError`, which says what the file holds instead.
    """
    try:
        with h5py.File(path) as file:
            probability = _probability(file, path)
            tags = {name: _text(read_attribute(file, name, "")) for name in file.attrs if name.startswith("SPECTF_")}
            return probability, _location(file, path, probability.shape), tags
    # These are the errors that h5py raises for damaged files.
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as netCDF-4/HDF5 ({reason}); the file may be damaged") from error


def _probability(file: h5py.File, path: Path) -> FloatArray:
    alone = find_dataset(file, path, "cloud_probability") if "cloud_probability" in file else None
    if alone is not None and alone.ndim == 2:
        check_size(path, alone.shape[0], alone.shape[1], 1)
        return _decoded(alone, path).astype(np.float32)
    data = find_dataset(file, path, "mask") if isinstance(file.get("mask"), h5py.Dataset) else None
    if data is None or data.ndim != 3:
        raise InputError(f"{path}: {_instead(file)}; {_GIVE}")
    check_size(path, *data.shape)
    names = _band_names(file, path)
    if names and len(names) != data.shape[2]:
        raise InputError(f"{path}: /mask is {data.shape}, but {len(names)} bands are named; {_GIVE}")
    found = [band for band, name in enumerate(names) if "cloud probability" in name.lower()]
    if len(found) != 1:
        inside = ", ".join(names) or "without names"
        raise InputError(f"{path}: none of its mask bands is a cloud probability ({inside[:200]}); {_GIVE}")
    return _decoded(data, path, found[0]).astype(np.float32)


def _instead(file: h5py.File) -> str:
    if "radiance" in file:
        return "this is radiance, not a probability; mask it first with deploy-pt --proba"
    if "obs" in file:
        return "this is observation geometry, not a probability"
    inside = ", ".join(sorted(file)) or "nothing"
    return f"neither /mask nor /cloud_probability is in this netCDF file (it has {inside[:120]})"


def _decoded(data: h5py.Dataset, path: Path, band: int | None = None) -> NDArray[np.float64]:
    """Read the values, or those of one band; −9999 where they are missing."""
    stored = read_dataset(data, path)
    values = packing_of(data, path).decode(stored if band is None else stored[..., band])
    return np.nan_to_num(values, copy=False, nan=NODATA)


def _location(file: h5py.File, path: Path, shape: tuple[int, ...]) -> Location | None:
    for names in _PLACES:
        found = [find_dataset(file, path, name) for name in names]
        lon, lat, elev = (data if data is not None and data.shape == shape else None for data in found)
        if lon is not None and lat is not None:
            height = np.full(shape, NODATA) if elev is None else _decoded(elev, path)
            return Location(_decoded(lon, path), _decoded(lat, path), height)
    return None


def _band_names(file: h5py.File, path: Path) -> list[str]:
    data = find_dataset(file, path, _BAND_NAMES)
    if data is None or data.ndim != 1 or data.dtype.kind not in "OS" or len(data) > _MAX_BANDS:
        return []
    return [_text(name) for name in read_dataset(data, path)]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
