"""EMIT L1B netCDF: radiance (RAD) and observation geometry (OBS), HDF5 inside; and other files of such a form."""

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
from spectf_cloud.files.reading import reading
from spectf_cloud.readers.cf import Packing, packing_of
from spectf_cloud.readers.dimensions import BANDS, CUBE, GRID, LINES, SAMPLES, arrange, axis_names, described
from spectf_cloud.readers.hdf5_forms import Form, find_form
from spectf_cloud.readers.hdf5_storage import Corner, find_dataset, read_attribute, read_dataset
from spectf_cloud.readers.raw import read_raw
from spectf_cloud.scene import NODATA, Cube, Glt, Location, check_size
from spectf_cloud.sensor import Sensor

_MAX_CHUNK_CACHE_BYTES = 256 * 2**20
# A full granule's ortho grid has under ten million pixels.
_MAX_GLT_PIXELS = 10**8
_MAX_NAMES = 1000
_MAX_NAME_BYTES = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class EmitCube(Cube):
    """A cube over one variable of an HDF5 file.

    Contiguous storage in the order of a cube has an `offset` and is read without HDF5; all else through the open
    `file`. `axes` say where in the variable lines, samples and bands stand, `dimensions` what the names of its
    dimensions mean.
    """

    form: Form
    dtype: np.dtype[np.generic]
    packing: Packing
    axes: tuple[int, ...]
    dimensions: dict[str, str]
    offset: int | None
    file: h5py.File | None
    stored_bytes: int
    known: set[Corner] = field(default_factory=set, repr=False)

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands) in the file's units; NaN for no data where it is packed."""
        if self.file is not None:
            with _readable(self.path):
                data = self.file[self.form.cube]
                block = read_dataset(data, self.path, start, stop, self.known, self.axes[0]).transpose(self.axes)
                self._check_whole(self.file)
        else:
            line_bytes = self.samples * self.bands * self.dtype.itemsize
            shape = (stop - start, self.samples, self.bands)
            block = read_raw(self.path, self.dtype, (self.offset or 0) + start * line_bytes, shape)
        return self.as_read(block if bands is None else block[..., bands])

    def as_read(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Numbers (…, bands) as the file holds them, in its units; NaN for no data unless they are `Packing.plain`."""
        dtype = np.float32 if self.packing.single else np.float64
        if self.packing.plain:
            return np.ascontiguousarray(stored, dtype=dtype)
        values = np.empty(stored.shape, dtype)
        for place in np.ndindex(stored.shape[:-2]):  # a line at a time: float64 takes memory
            values[place] = self.packing.decode(stored[place])
        return values

    def _check_whole(self, file: h5py.File) -> None:
        """HDF5 reads zeros beyond the end of a file that became shorter since it was opened."""
        if os.fstat(file.id.get_vfd_handle()).st_size < self.stored_bytes:
            raise InputError(f"{self.path} became shorter while it was read; copy it again")

    def location(self) -> Location | None:
        """Longitude, latitude and elevation of the ``location`` group."""
        with _open(self.path) as file:
            columns = [_dataset(file, self.path, key, 2, "fiu") for key in self.form.place]
            found = [self._on_grid(column) for column in columns if column is not None]
        return Location(*found) if len(found) == len(columns) else None

    def _on_grid(self, column: h5py.Dataset) -> NDArray[np.float64]:
        """(lines, samples) of a variable on the sensor grid, whichever way round it is stored; −9999 for none."""
        lengths = {LINES: self.lines, SAMPLES: self.samples}
        axes = arrange(column, self.path, GRID, known=self.dimensions, lengths=lengths)
        if column.shape != tuple((self.lines, self.samples)[i] for i in axes):
            raise InputError(
                f"{self.path}: {column.name} is {column.shape[axes[0]]} lines x {column.shape[axes[1]]} samples but "
                f"/{self.form.cube} {self.lines} x {self.samples}: they are not of one scene"
            )
        values = packing_of(column, self.path).decode(read_dataset(column, self.path)).transpose(axes)
        return np.nan_to_num(values, copy=False, nan=NODATA, posinf=NODATA, neginf=NODATA)

    def glt(self) -> Glt | None:
        """The GLT, zero-based; fill, zero and the sign that marks interpolated pixels are resolved here."""
        table = self.lookup_table()
        if table is None:
            return None
        line, sample = (np.abs(column) - np.int32(1) for column in (table.line, table.sample))
        seen = (sample >= 0) & (line >= 0)
        sample[~seen], line[~seen] = -1, -1
        return Glt(line, sample, table.geotransform, table.crs_wkt)

    def lookup_table(self) -> Glt | None:
        """The GLT as files have it: one-based, negative where interpolated, 0 where nothing was seen."""
        with _open(self.path) as file:
            x, y = (_dataset(file, self.path, key, 2, "fiu") for key in self.form.glt)
            if x is None or y is None or not {"geotransform", "spatial_ref"} <= set(file.attrs):
                return None
            if x.shape != y.shape or not 0 < x.size <= _MAX_GLT_PIXELS:
                raise InputError(f"{self.path}: glt_x {x.shape} and glt_y {y.shape} are not one look-up table")
            geotransform = _geotransform(file, self.path)
            crs_wkt = _text(read_attribute(file, "spatial_ref", ""))
            sample, line = _glt_column(x, self.samples, self.path), _glt_column(y, self.lines, self.path)
        return Glt(line, sample, geotransform, crs_wkt)


def open_cube(path: Path) -> EmitCube:
    """Open an EMIT L1B RAD or OBS file, or one of another form of `hdf5_forms`. Raises `InputError`."""
    with _open(path) as file:
        form, data = find_form(file, path)
        _check_numbers(data, path, 3, "fiu")
        names = () if form.sensor else _strings(file, path, form.names)
        axes, dimensions = _axes(file, path, form, data, len(names))
        lines, samples, bands = (data.shape[axis] for axis in axes)
        check_size(path, lines, samples, bands)
        packing = packing_of(data, path)
        # No offset: chunked, or never written, or in another order.
        contiguous = axes == (0, 1, 2) and data.chunks is None and data.id.get_offset() is not None
        chunk_lines = data.chunks[axes[0]] if data.chunks else 1
        return EmitCube(
            path=path,
            form=form,
            dtype=data.dtype,
            packing=packing,
            axes=axes,
            dimensions=dimensions,
            offset=data.id.get_offset() if contiguous else None,
            file=None if contiguous else _reopen(path, chunk_lines * samples * bands * data.dtype.itemsize),
            stored_bytes=path.stat().st_size,
            name=path.stem,
            lines=lines,
            samples=samples,
            bands=bands,
            nodata=packing.nodata,
            band_names=names,
            sensor=_sensor(path, file, form, bands) if form.sensor else None,
            lines_per_chunk=chunk_lines,
            stored=packing.stored,
            step=abs(packing.scale) if packing.stored.kind in "iu" and packing.scale != 1 else None,
            simulated=any(_says_simulated(file, name) for name in ("simulated", "summary")),
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
    except BlockingIOError as error:
        raise InputError(f"{path} is being written by another program (HDF5 locked it); wait for that") from error
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


def _axes(
    file: h5py.File, path: Path, form: Form, data: h5py.Dataset, names: int
) -> tuple[tuple[int, ...], dict[str, str]]:
    """Where lines, samples and bands stand in the cube, and what its dimensions' names mean."""
    centres = find_dataset(file, path, form.bands)
    size = (centres.size if form.sensor else names) if centres is not None else 0
    spectral = {} if centres is None or centres.ndim != 1 else {axis_names(centres)[0]: BANDS}
    axes = arrange(data, path, CUBE, form.usual, spectral, {BANDS: size} if size in data.shape else None)
    named = axis_names(data)
    return axes, {named[axis]: meaning for axis, meaning in zip(axes, CUBE, strict=True) if named[axis]}


def _dataset(file: h5py.File, path: Path, key: str, ndim: int, kinds: str) -> h5py.Dataset | None:
    """The dataset at ``key``, of this many dimensions and these kinds of dtype; None where there is none."""
    data = find_dataset(file, path, key)
    if data is not None:
        _check_numbers(data, path, ndim, kinds)
    return data


def _check_numbers(data: h5py.Dataset, path: Path, ndim: int, kinds: str) -> None:
    if data.dtype.kind not in kinds or data.dtype.name == "float128":
        needed = "numbers" if "f" in kinds else "text"
        raise InputError(f"{path}: {data.name} holds {data.dtype}, not {needed} that can be used; convert it")
    if data.ndim != ndim:
        listed = described(data) or "a single value"
        raise InputError(f"{path}: {data.name} has {data.ndim} dimensions ({listed}), not {ndim}")


def _sensor(path: Path, file: h5py.File, form: Form, bands: int) -> Sensor:
    wavelengths = _dataset(file, path, form.wavelengths, 1, "fiu")
    fwhm = _dataset(file, path, form.fwhm, 1, "fiu")
    if wavelengths is None:
        raise InputError(f"{path}: no {form.wavelengths}; is this radiance of {form.sensor} as it is delivered?")
    for name, values in (("wavelengths", wavelengths), ("widths", fwhm)):
        if values is not None and values.shape != (bands,):
            at = described(file[form.cube])
            raise InputError(f"{path}: {values.size} {name} for {bands} bands of /{form.cube} ({at}); correct the file")
    units = _text(read_attribute(wavelengths, "units", read_attribute(wavelengths, "unit", "")))
    centres = packing_of(wavelengths, path).decode(read_dataset(wavelengths, path))
    widths = None if fwhm is None else packing_of(fwhm, path).decode(read_dataset(fwhm, path))
    return Sensor.from_values(form.sensor, centres, widths, units, str(path))


def _glt_column(data: h5py.Dataset, size: int, path: Path) -> NDArray[np.int32]:
    """(ortho_lines, ortho_samples) of a look-up table's one variable, as `EmitCube.lookup_table` has it."""
    values = packing_of(data, path).decode(read_dataset(data, path)).transpose(arrange(data, path, GRID))
    np.nan_to_num(values, copy=False, nan=0.0)
    if (values != np.rint(values)).any():
        raise InputError(f"{path}: {data.name} holds fractions; a look-up table is of whole numbers")
    if (np.abs(values) > size).any():
        raise InputError(
            f"{path}: {data.name} points outside the granule's {size}; was the granule cropped and its table not?"
        )
    return values.astype(np.int32)


def _says_simulated(file: h5py.File, name: str) -> bool:
    return _text(read_attribute(file, name, "")).startswith("SIMULATED")


def _geotransform(file: h5py.File, path: Path) -> tuple[float, float, float, float, float, float]:
    values = np.ravel(read_attribute(file, "geotransform", ()))
    if (
        values.size != 6
        or values.dtype.kind not in "fiu"
        or not np.isfinite(values).all()
        or 0 in (values[1], values[5])
    ):
        raise InputError(f"{path}: its geotransform {values} is not six numbers in GDAL's order; correct it")
    x, dx, x_per_line, y, y_per_sample, dy = values.tolist()
    return x, dx, x_per_line, y, y_per_sample, dy


def _strings(file: h5py.File, path: Path, key: str) -> tuple[str, ...]:
    """The texts at ``key``, which are strings or rows of single letters; none where there are none."""
    data = find_dataset(file, path, key)
    if data is None or data.dtype.itemsize > _MAX_NAME_BYTES:
        return ()
    letters = data.ndim == 2 and data.dtype == "S1"
    _check_numbers(data, path, 2 if letters else 1, "OS")
    if len(data) > _MAX_NAMES or data.size > _MAX_NAMES * _MAX_NAME_BYTES:
        return ()
    if letters:
        return tuple(_text(b"".join(row)).strip() for row in read_dataset(data, path).tolist())
    # One by one: many names may be one and the same long text.
    return tuple(_text(item)[:_MAX_NAME_BYTES] for i in range(data.size) for item in read_dataset(data, path, i, i + 1))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
