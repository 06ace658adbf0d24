"""An xarray DataArray or Dataset as a cube, known by what it can do: xarray itself is never imported."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.dimensions import BANDS, CUBE, LINES, SAMPLES, meaning_of
from spectf_cloud.scene import NODATA, Cube, Grid, check_size

_FILLS = ("_FillValue", "missing_value", "nodata")


@dataclass(frozen=True, eq=False, kw_only=True)
class XarrayCube(Cube):
    """A cube over arrays in memory, or that are computed when they are read.

    arrays
        One array of (bands, lines, samples), or one of (lines, samples) for each band.
    axes
        The names of the dimensions of lines, samples and bands, and None for the last where each band is an array.
    gain, bias
        Scale and offset that the attributes still ask for.
    attributes
        What is said of the numbers.
    """

    arrays: tuple[Any, ...]
    axes: tuple[Hashable, Hashable, Hashable | None]
    gain: float
    bias: float
    attributes: Mapping[str, Any]
    source: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The file it was opened from, where it says so."""
        return () if self.source is None else (self.source,)

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands); NaN for no data."""
        lines, samples, along = self.axes
        wanted = range(self.bands) if bands is None else bands.tolist()
        rows = {lines: slice(start, stop)}
        if along is None:
            parts = [self.arrays[band].isel(rows).transpose(lines, samples) for band in wanted]
            return self.as_read(np.stack([np.asarray(part) for part in parts], axis=-1))
        part = self.arrays[0].isel(rows | {along: list(wanted)}).transpose(lines, samples, along)
        return self.as_read(np.asarray(part))

    def as_read(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Numbers (…, bands) as the array holds them, scaled; NaN for no data."""
        values = super().as_read(stored)
        absent = (stored == self.nodata) | (stored == NODATA)
        if self.gain != 1 or self.bias != 0:
            values = values * values.dtype.type(self.gain) + values.dtype.type(self.bias)
        values[absent] = np.nan
        return values

    def grid(self) -> Grid | None:
        """The georeference that its coordinates give, evenly spaced, with the reference system it names."""
        lines, samples, _ = self.axes
        crs = _crs(self.arrays[0])
        ends = [_even(self.arrays[0], axis) for axis in (samples, lines)]
        if crs is None or ends[0] is None or ends[1] is None:
            return None
        (x, dx), (y, dy) = ends[0], ends[1]
        return Grid((x - dx / 2, dx, 0.0, y - dy / 2, 0.0, dy), crs)


def is_xarray(thing: object) -> bool:
    """Whether something behaves as a DataArray or a Dataset does."""
    return all(hasattr(thing, name) for name in ("dims", "coords", "attrs", "isel", "transpose"))


def open_cube(data: Any) -> XarrayCube:
    """Make a cube of a DataArray of three dimensions, or of a Dataset with one, or with one variable a band.

    Raises `InputError`.
    """
    arrays = _arrays(data)
    first = arrays[0]
    name = str(getattr(data, "name", None) or first.name or "xarray")
    axes = _axes(first, name, CUBE if first.ndim == 3 else (LINES, SAMPLES))
    lines, samples, along = axes
    if any(array.dtype.kind not in "fiu" or array.dtype != first.dtype for array in arrays):
        kinds = ", ".join(sorted({str(array.dtype) for array in arrays}))
        raise InputError(f"{name}: an array of {kinds}; real numbers of one kind are needed")
    bands = len(arrays) if along is None else first.sizes[along]
    path = Path(str(first.encoding.get("source") or name))
    check_size(path, first.sizes[lines], first.sizes[samples], bands)
    scale, offset = (
        _number(first.attrs.get(key, usual), key, name) for key, usual in (("scale_factor", 1), ("add_offset", 0))
    )
    fill = next((first.attrs[key] for key in _FILLS if first.attrs.get(key) is not None), NODATA)
    return XarrayCube(
        path=path,
        name=path.stem,
        lines=first.sizes[lines],
        samples=first.sizes[samples],
        bands=bands,
        nodata=_number(fill, "_FillValue", name),
        band_names=_band_names(arrays, along),
        lines_per_chunk=_chunk(first, lines),
        stored=np.dtype(first.dtype.newbyteorder("=")),
        arrays=arrays,
        axes=axes,
        gain=scale,
        bias=offset,
        attributes=dict(getattr(data, "attrs", {})) | dict(first.attrs),
        source=path if path.is_file() else None,
    )


def _arrays(data: Any) -> tuple[Any, ...]:
    """The array of three dimensions, or those of two."""
    if not hasattr(data, "data_vars"):
        if data.ndim != 3:
            raise InputError(f"{data.name or 'the array'}: {data.ndim} dimensions; lines, samples and bands are needed")
        return (data,)
    cubes = [array for array in data.data_vars.values() if array.ndim == 3]
    planes = [array for array in data.data_vars.values() if array.ndim == 2]
    if len(cubes) == 1:
        return tuple(cubes)
    if cubes or not planes:
        raise InputError(
            f"the data set has {len(cubes)} variables of three dimensions and {len(planes)} of two; give one array of "
            "lines, samples and bands"
        )
    if len({(array.dims, array.shape) for array in planes}) > 1:
        raise InputError("the variables of the data set differ in their dimensions; give those of one grid")
    return tuple(planes)


def _axes(array: Any, name: str, wanted: Sequence[str]) -> tuple[Hashable, Hashable, Hashable | None]:
    """Which dimension is which: by name; of three, two that are known tell the third."""
    meanings = {dimension: meaning_of(str(dimension), wanted) for dimension in array.dims}
    found = {meaning: dimension for dimension, meaning in meanings.items() if meaning}
    unknown = [dimension for dimension, meaning in meanings.items() if meaning is None and not _is_time(dimension)]
    absent = [meaning for meaning in wanted if meaning not in found]
    if len(absent) == len(unknown) == 1:
        found[absent[0]] = unknown[0]
    elif absent:
        raise InputError(
            f"{name}: which of its dimensions ({', '.join(map(str, array.dims))}) are {', '.join(wanted)} cannot be "
            "told; rename them to y, x and band"
        )
    return found[LINES], found[SAMPLES], found.get(BANDS)


def _is_time(dimension: Hashable) -> bool:
    return str(dimension).lower().startswith(("time", "date"))


def _band_names(arrays: Sequence[Any], along: Hashable | None) -> tuple[str, ...]:
    if along is None:
        return tuple(str(array.name) for array in arrays)
    labels = arrays[0].coords.get(along)
    texts = labels is not None and labels.dtype.kind in "UO"
    return tuple(str(label) for label in np.asarray(labels)) if texts else ()


def _chunk(array: Any, lines: Hashable) -> int:
    chunks = (getattr(array, "chunksizes", None) or {}).get(lines)
    return int(max(chunks)) if chunks else 1


def _number(value: Any, key: str, name: str) -> float:
    try:
        return float(np.asarray(value).reshape(-1)[0])
    except (TypeError, ValueError, IndexError):
        raise InputError(f"{name}: its attribute {key} is {value!r}, not a number") from None


def _even(array: Any, axis: Hashable) -> tuple[float, float] | None:
    """First value and step of an evenly spaced coordinate."""
    values = array.coords.get(axis)
    if values is None or values.dtype.kind not in "fiu" or values.size < 2:
        return None
    numbers = np.asarray(values, np.float64)
    steps = np.diff(numbers)
    even = np.isfinite(steps).all() and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-3)
    return (float(numbers[0]), float((numbers[-1] - numbers[0]) / (len(numbers) - 1))) if even else None


def _crs(array: Any) -> str | None:
    """Well-known text of the reference system, as rioxarray and CF note it."""
    noted = [coordinate.attrs for coordinate in array.coords.values()] + [array.attrs]
    texts = (attributes.get(key) for attributes in noted for key in ("crs_wkt", "spatial_ref"))
    return next((text for text in texts if isinstance(text, str) and text), None)
