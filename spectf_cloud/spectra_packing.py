"""How the numbers of a data set are packed: scale, offset and missing values, as CF and netCDF4 understand them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.hdf5_storage import read_attribute
from spectf_cloud.scene import NODATA

_SCALING = ("scale_factor", "add_offset")
_FILLS = ("_FillValue", "missing_value")
_LIMITS = ("valid_min", "valid_max", "valid_range")


@dataclass(frozen=True)
class Packing:
    """What turns stored numbers into values: stored · ``scale`` + ``offset``.

    Missing is what equals one of ``fills`` or lies outside ``valid``; both are compared with the stored numbers.
    """

    scale: float = 1.0
    offset: float = 0.0
    fills: tuple[float, ...] = (NODATA,)
    valid: tuple[float, float] = (-np.inf, np.inf)

    @classmethod
    def of(cls, data: h5py.Dataset, source: Path) -> Packing:
        """Read the attributes of a data set. Raises `InputError` naming one that cannot be followed."""
        if "_Unsigned" in data.attrs:
            raise InputError(
                f"{source}: the attribute _Unsigned of {data.name} is not supported; store unsigned numbers"
            )
        scale, offset = (_numbers(data, source, name, (1,)) for name in _SCALING)
        if len(scale) and scale[0] == 0:
            raise InputError(
                f"{source}: the attribute scale_factor of {data.name} is 0; a number other than 0 is needed"
            )
        fills = np.concatenate([_numbers(data, source, name) for name in _FILLS])
        with np.errstate(over="ignore", invalid="ignore"):
            as_stored = fills.astype(data.dtype).astype(np.float64)
        low, high, both = (
            _numbers(data, source, name, (count,)) for name, count in zip(_LIMITS, (1, 1, 2), strict=True)
        )
        return cls(
            scale=float(scale[0]) if len(scale) else 1.0,
            offset=float(offset[0]) if len(offset) else 0.0,
            fills=(NODATA, *as_stored.tolist()),
            valid=(max([-np.inf, *low, *both[:1]]), min([np.inf, *high, *both[1:]])),
        )

    @property
    def scaled(self) -> bool:
        """Whether stored numbers are not the values themselves."""
        return (self.scale, self.offset) != (1.0, 0.0)

    def unpack(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Values, NaN where missing; may take over the memory of ``stored``."""
        as_is = stored.dtype.kind == "f" and (stored.dtype.itemsize > 4 or not self.scaled)
        numbers: NDArray[np.floating] = stored.astype(stored.dtype if as_is else np.float64, copy=False)
        absent = np.zeros(numbers.shape, bool)
        for fill in self.fills:
            absent |= numbers == fill
        if self.valid != (-np.inf, np.inf):
            absent |= (numbers < self.valid[0]) | (numbers > self.valid[1])
        if self.scaled:
            numbers *= self.scale
            numbers += self.offset
        numbers[absent] = np.nan
        return numbers


def _numbers(data: h5py.Dataset, source: Path, name: str, sizes: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """The finite numbers of an attribute (NaN is a fill like any other), none without it. Raises `InputError`."""
    if name not in data.attrs:
        return np.empty(0)
    value = np.atleast_1d(np.asarray(read_attribute(data, name, "no small one")))
    good = value.dtype.kind in "fiu" and value.ndim == 1 and (not sizes or len(value) in sizes)
    if not good or (name not in _FILLS and not np.isfinite(value).all()):
        wanted = "numbers" if not sizes else "one finite number" if sizes == (1,) else "two finite numbers"
        raise InputError(f"{source}: the attribute {name} of {data.name} must be {wanted}")
    return value.astype(np.float64)


def check_unpacked(data: h5py.Dataset, source: Path) -> None:
    """Refuse a data set whose numbers would have to be scaled, where none makes sense. Raises `InputError`."""
    found = [name for name in _SCALING if name in data.attrs]
    if found:
        raise InputError(f"{source}: {data.name} has the attribute {found[0]}, which is not followed there; remove it")
