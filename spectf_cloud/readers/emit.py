"""EMIT L1B netCDF: radiance (RAD) and observation geometry (OBS), HDF5 inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.scene import NODATA, Cube, Glt, Location
from spectf_cloud.sensor import Sensor

#: The variable that each kind of granule carries.
_VARIABLES = ("radiance", "obs")
_MAX_CHUNK_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False, kw_only=True)
class EmitCube(Cube):
    """A cube over the ``radiance`` or ``obs`` variable of an EMIT L1B file.

    Contiguous storage has an `offset` and is mapped; chunked storage is read through the open `file`.
    """

    variable: str
    dtype: np.dtype[np.generic]
    offset: int | None
    file: h5py.File | None

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands) in the file's units."""
        if self.file is not None:
            with _readable(self.path):
                block = self.file[self.variable][start:stop]
        else:
            # Contiguous storage: map just these lines, so that resident memory stays that of a block.
            line_bytes = self.samples * self.bands * self.dtype.itemsize
            shape = (stop - start, self.samples, self.bands)
            block = np.memmap(self.path, self.dtype, "r", (self.offset or 0) + start * line_bytes, shape)
        if bands is not None:
            block = block[..., bands]
        native: NDArray[np.floating] = np.asarray(block, dtype=self.dtype.newbyteorder("="))
        return native

    def location(self) -> Location | None:
        """Longitude, latitude and elevation of the ``location`` group."""
        with _open(self.path) as file:
            if not {"lon", "lat", "elev"} <= set(file.get("location", ())):
                return None
            lon, lat, elev = (file[f"location/{key}"][()] for key in ("lon", "lat", "elev"))
        return Location(lon, lat, elev)

    def glt(self) -> Glt | None:
        """The GLT, zero-based; fill, zero and the sign that marks interpolated pixels are resolved here."""
        with _open(self.path) as file:
            table = {"glt_x", "glt_y"} <= set(file.get("location", ()))
            if not (table and {"geotransform", "spatial_ref"} <= set(file.attrs)):
                return None
            columns = [_glt_column(file[f"location/{key}"]) for key in ("glt_x", "glt_y")]
            geotransform = tuple(float(value) for value in file.attrs["geotransform"])
            crs_wkt = _text(file.attrs["spatial_ref"])
        seen = (columns[0] > 0) & (columns[1] > 0)
        sample, line = (np.where(seen, column - 1, -1).astype(np.int32) for column in columns)
        if len(geotransform) != 6 or sample.max(initial=-1) >= self.samples or line.max(initial=-1) >= self.lines:
            raise InputError(
                f"{self.path}: the GLT or its geotransform does not fit the {self.lines} x {self.samples} granule"
            )
        return Glt(line, sample, geotransform, crs_wkt)


def open_cube(path: Path) -> EmitCube:
    """Open an EMIT L1B RAD or OBS file. Raises `InputError`."""
    with _open(path) as file:
        found = [name for name in _VARIABLES if isinstance(file.get(name), h5py.Dataset)]
        if not found:
            inside = ", ".join(sorted(file)) or "nothing"
            raise InputError(
                f"{path} holds neither /radiance nor /obs (it has {inside[:120]}); "
                "an EMIT L1B RAD or OBS granule is needed"
            )
        data = file[found[0]]
        if data.ndim != 3 or data.dtype.kind != "f" or 0 in data.shape:
            raise InputError(
                f"{path}: /{found[0]} must be (lines, samples, bands) floats, not {data.shape} {data.dtype}"
            )
        lines, samples, bands = data.shape
        if data.external:
            raise InputError(f"{path}: /{found[0]} keeps its data in other files, which are never followed")
        # No offset: chunked, or never written.
        contiguous = data.chunks is None and data.id.get_offset() is not None
        chunk_lines = data.chunks[0] if data.chunks else 1
        return EmitCube(
            path=path,
            variable=found[0],
            dtype=data.dtype,
            offset=data.id.get_offset() if contiguous else None,
            file=None if contiguous else _reopen(path, chunk_lines * samples * bands * data.dtype.itemsize),
            name=path.stem,
            lines=lines,
            samples=samples,
            bands=bands,
            nodata=float(np.ravel(data.attrs.get("_FillValue", NODATA))[0]),
            band_names=_strings(file, "sensor_band_parameters/observation_bands"),
            sensor=_sensor(path, file, bands) if found[0] == "radiance" else None,
            lines_per_chunk=chunk_lines,
        )


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5, which netCDF-4 is."""
    return bool(h5py.is_hdf5(path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """HDF5's own failures, as `InputError`."""
    try:
        yield
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read as netCDF-4/HDF5 ({error}); download it again") from error


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    with _readable(path), h5py.File(path, "r") as file:
        yield file


def _reopen(path: Path, chunk_row_bytes: int) -> h5py.File:
    """A file that stays open for chunked reading, with a cache that holds one row of chunks."""
    cache_bytes = min(chunk_row_bytes + 2**20, _MAX_CHUNK_CACHE_BYTES)
    with _readable(path):
        return h5py.File(path, "r", rdcc_nbytes=cache_bytes)


def _sensor(path: Path, file: h5py.File, bands: int) -> Sensor:
    group = file.get("sensor_band_parameters", {})
    if "wavelengths" not in group:
        raise InputError(f"{path}: no sensor_band_parameters/wavelengths; is this an EMIT L1B granule?")
    wavelengths = group["wavelengths"]
    if wavelengths.shape != (bands,):
        raise InputError(f"{path}: {wavelengths.size} wavelengths for {bands} bands; download the granule again")
    units = _text(wavelengths.attrs.get("units", ""))
    fwhm = group["fwhm"][()] if "fwhm" in group else None
    return Sensor.from_values("EMIT", wavelengths[()], fwhm, units, str(path))


def _glt_column(data: h5py.Dataset) -> NDArray[np.int64]:
    values: NDArray[np.int64] = data[()].astype(np.int64)
    fill = np.ravel(data.attrs.get("_FillValue", NODATA))[0]
    return np.where((values == fill) | (values == NODATA), 0, np.abs(values))


def _strings(file: h5py.File, key: str) -> tuple[str, ...]:
    return tuple(_text(item) for item in np.ravel(file[key][()])) if key in file else ()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
