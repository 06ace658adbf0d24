"""EMIT L1B netCDF: radiance (RAD) and observation geometry (OBS), HDF5 inside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.hdf5_storage import Corner, find_dataset, read_attribute, read_dataset
from spectf_cloud.readers.raw import read_raw
from spectf_cloud.reading import reading
from spectf_cloud.scene import NODATA, Cube, Glt, Location, check_size
from spectf_cloud.sensor import Sensor

#: The variable that each kind of granule carries.
_VARIABLES = ("radiance", "obs")
_MAX_CHUNK_CACHE_BYTES = 256 * 2**20
# A full granule's ortho grid has under ten million pixels.
_MAX_GLT_PIXELS = 10**8
_MAX_NAMES = 1000
_MAX_NAME_BYTES = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class EmitCube(Cube):
    """A cube over the ``radiance`` or ``obs`` variable of an EMIT L1B file.

    Contiguous storage has an `offset` and is read without HDF5; chunked storage through the open `file`.
    """

    variable: str
    dtype: np.dtype[np.generic]
    offset: int | None
    file: h5py.File | None
    stored_bytes: int
    known: set[Corner] = field(default_factory=set, repr=False)

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands) in the file's units."""
        if self.file is not None:
            with _readable(self.path):
                block = read_dataset(self.file[self.variable], self.path, start, stop, self.known)
                self._check_whole(self.file)
        else:
            line_bytes = self.samples * self.bands * self.dtype.itemsize
            shape = (stop - start, self.samples, self.bands)
            block = read_raw(self.path, self.dtype, (self.offset or 0) + start * line_bytes, shape)
        if bands is not None:
            block = block[..., bands]
        native: NDArray[np.floating] = np.asarray(block, dtype=self.dtype.newbyteorder("="))
        return native

    def _check_whole(self, file: h5py.File) -> None:
        """HDF5 reads zeros beyond the end of a file that became shorter since it was opened."""
        if os.fstat(file.id.get_vfd_handle()).st_size < self.stored_bytes:
            raise InputError(f"{self.path} became shorter while it was read; copy it again")

    def location(self) -> Location | None:
        """Longitude, latitude and elevation of the ``location`` group."""
        with _open(self.path) as file:
            lon, lat, elev = (_dataset(file, self.path, f"location/{key}", 2, "fiu") for key in ("lon", "lat", "elev"))
            if lon is None or lat is None or elev is None:
                return None
            if {lon.shape, lat.shape, elev.shape} != {(self.lines, self.samples)}:
                raise InputError(f"{self.path}: the location group has another shape; download it again")
            return Location(*(read_dataset(column, self.path).astype(np.float64) for column in (lon, lat, elev)))

    def glt(self) -> Glt | None:
        """The GLT, zero-based; fill, zero and the sign that marks interpolated pixels are resolved here."""
        with _open(self.path) as file:
            x, y = (_dataset(file, self.path, f"location/{key}", 2, "iu") for key in ("glt_x", "glt_y"))
            if x is None or y is None or not {"geotransform", "spatial_ref"} <= set(file.attrs):
                return None
            if x.shape != y.shape or not 0 < x.size <= _MAX_GLT_PIXELS:
                raise InputError(f"{self.path}: glt_x {x.shape} and glt_y {y.shape} are no look-up table")
            geotransform = _geotransform(file, self.path)
            crs_wkt = _text(read_attribute(file, "spatial_ref", ""))
            sample, line = _glt_column(x, self.samples, self.path), _glt_column(y, self.lines, self.path)
        seen = (sample >= 0) & (line >= 0)
        sample[~seen], line[~seen] = -1, -1
        return Glt(line, sample, geotransform, crs_wkt)


def open_cube(path: Path) -> EmitCube:
    """Open an EMIT L1B RAD or OBS file. Raises `InputError`."""
    with _open(path) as file:
        found = [(name, data) for name in _VARIABLES if (data := _dataset(file, path, name, 3, "f")) is not None]
        if not found:
            inside = ", ".join(sorted(file)) or "nothing"
            raise InputError(
                f"{path} holds neither /radiance nor /obs (it has {inside[:120]}); "
                "an EMIT L1B RAD or OBS granule is needed"
            )
        variable, data = found[0]
        lines, samples, bands = data.shape
        check_size(path, lines, samples, bands)
        # No offset: chunked, or never written.
        contiguous = data.chunks is None and data.id.get_offset() is not None
        chunk_lines = data.chunks[0] if data.chunks else 1
        return EmitCube(
            path=path,
            variable=variable,
            dtype=data.dtype,
            offset=data.id.get_offset() if contiguous else None,
            file=None if contiguous else _reopen(path, chunk_lines * samples * bands * data.dtype.itemsize),
            stored_bytes=path.stat().st_size,
            name=path.stem,
            lines=lines,
            samples=samples,
            bands=bands,
            nodata=_fill_value(data),
            band_names=_strings(file, path, "sensor_band_parameters/observation_bands"),
            sensor=_sensor(path, file, bands) if variable == "radiance" else None,
            lines_per_chunk=chunk_lines,
        )


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5, which netCDF-4 is."""
    return bool(h5py.is_hdf5(path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """HDF5's own failures, as `InputError`; and a supervisor is told of the read."""
    try:
        with reading(path):
            yield
    # All of h5py's ways to fail, text that is not UTF-8 and sizes that no memory holds among them.
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as netCDF-4/HDF5 ({reason}); download it again") from error


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    with _readable(path), h5py.File(path, "r") as file:
        yield file


def _reopen(path: Path, chunk_row_bytes: int) -> h5py.File:
    """A file that stays open for chunked reading, with a cache that holds one row of chunks."""
    cache_bytes = min(chunk_row_bytes + 2**20, _MAX_CHUNK_CACHE_BYTES)
    with _readable(path):
        return h5py.File(path, "r", rdcc_nbytes=cache_bytes)


def _dataset(file: h5py.File, path: Path, key: str, ndim: int, kinds: str) -> h5py.Dataset | None:
    """The dataset at ``key``, of this many dimensions and these kinds of dtype; None where there is none."""
    data = find_dataset(file, path, key)
    if data is not None and (data.ndim != ndim or data.dtype.kind not in kinds or data.dtype.name == "float128"):
        raise InputError(f"{path}: /{key} is not what EMIT files hold there; download the granule again")
    return data


def _sensor(path: Path, file: h5py.File, bands: int) -> Sensor:
    wavelengths = _dataset(file, path, "sensor_band_parameters/wavelengths", 1, "f")
    fwhm = _dataset(file, path, "sensor_band_parameters/fwhm", 1, "f")
    if wavelengths is None:
        raise InputError(f"{path}: no sensor_band_parameters/wavelengths; is this an EMIT L1B granule?")
    for name, values in (("wavelengths", wavelengths), ("widths", fwhm)):
        if values is not None and values.shape != (bands,):
            raise InputError(f"{path}: {values.size} {name} for {bands} bands; download the granule again")
    units = _text(read_attribute(wavelengths, "units", ""))
    widths = None if fwhm is None else read_dataset(fwhm, path)
    return Sensor.from_values("EMIT", read_dataset(wavelengths, path), widths, units, str(path))


def _glt_column(data: h5py.Dataset, size: int, path: Path) -> NDArray[np.int32]:
    """Zero-based positions, −1 where there is none."""
    values: NDArray[np.int64] = read_dataset(data, path).astype(np.int64)
    values[(values == _fill_value(data)) | (values == NODATA)] = 0
    if ((values > size) | (values < -size)).any():
        raise InputError(f"{path}: {data.name} points outside the granule's {size}; download the granule again")
    column: NDArray[np.int32] = np.abs(values).astype(np.int32) - np.int32(1)
    return column


def _geotransform(file: h5py.File, path: Path) -> tuple[float, float, float, float, float, float]:
    values = np.ravel(read_attribute(file, "geotransform", ()))
    if (
        values.size != 6
        or values.dtype.kind not in "fiu"
        or not np.isfinite(values).all()
        or 0 in (values[1], values[5])
    ):
        raise InputError(f"{path}: its geotransform {values} is not six numbers; download the granule again")
    x, dx, x_per_line, y, y_per_sample, dy = values.tolist()
    return x, dx, x_per_line, y, y_per_sample, dy


def _fill_value(data: h5py.Dataset) -> float:
    """The no-data value it declares, or −9999 where that is no number."""
    declared = read_attribute(data, "_FillValue", NODATA)
    if isinstance(declared, h5py.Empty) or np.size(declared) != 1 or np.asarray(declared).dtype.kind not in "fiu":
        return NODATA
    return float(np.ravel(declared)[0])


def _strings(file: h5py.File, path: Path, key: str) -> tuple[str, ...]:
    data = _dataset(file, path, key, 1, "OS")
    if data is None or data.size > _MAX_NAMES or data.dtype.itemsize > _MAX_NAME_BYTES:
        return ()
    # One by one: many names may be one and the same long text.
    return tuple(_text(item)[:_MAX_NAME_BYTES] for i in range(data.size) for item in read_dataset(data, path, i, i + 1))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
