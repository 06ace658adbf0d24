"""How a netCDF variable's numbers are packed: the attributes of the CF conventions, honoured or refused by name.

As netCDF4-python does it: what `_FillValue`, `missing_value` and the `valid_…` attributes mark in the numbers as stored
is missing, and the rest is multiplied by `scale_factor` and moved by `add_offset`. xarray ignores the `valid_…` ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.hdf5_storage import read_attribute
from spectf_cloud.scene import NODATA

# What netCDF writes where nothing was put and no other fill was asked for. Not for unsigned numbers, whose highest
# value is saturation, nor for bytes, all of whose values are used.
_NETCDF_FILL = {
    "i2": -(2**15) + 1,
    "i4": -(2**31) + 1,
    "i8": -(2**63) + 2,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}


@dataclass(frozen=True, eq=False)
class Packing:
    """What the numbers of one variable mean.

    stored
        Their dtype; unsigned where `_Unsigned` says so, whatever HDF5 calls it.
    absent
        Values as stored that are no measurement; NaN and −9999 are none anywhere.
    valid
        Lowest and highest value as stored that is one; None where there is no such bound.
    scale, offset
        A quantity is ``scale`` times the stored number plus ``offset``.
    """

    stored: np.dtype[np.generic]
    absent: tuple[np.generic, ...] = ()
    valid: tuple[np.generic | None, np.generic | None] = (None, None)
    scale: float = 1.0
    offset: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether the stored numbers are the quantities, floats with at most one no-data value but −9999."""
        unscaled = self.scale == 1 and self.offset == 0
        return self.stored.kind == "f" and unscaled and self.valid == (None, None) and len(self.absent) <= 1

    @property
    def nodata(self) -> float:
        """The one no-data value of plain numbers; −9999 where there is none, or where `decode` makes NaN of all."""
        return float(self.absent[0]) if self.plain and self.absent else NODATA

    @property
    def single(self) -> bool:
        """Whether float32 holds the quantities as well as they were stored."""
        return self.stored.itemsize <= 2 or self.stored == np.float32

    def decode(self, numbers: NDArray[np.generic]) -> NDArray[np.float64]:
        """Quantities (…) from numbers (…) of the file; NaN where they are missing."""
        # A view: HDF5 says int16 where `_Unsigned` says uint16. The same bytes.
        raw: NDArray[Any] = np.asarray(numbers).view(self.stored)
        values = raw.astype(np.float64)
        missing = np.isnan(values)
        for value in (*self.absent, *_cast([NODATA], self.stored)):
            missing |= raw == value
        lowest, highest = self.valid
        if lowest is not None:
            missing |= raw < lowest
        if highest is not None:
            missing |= raw > highest
        if self.scale != 1:
            values *= self.scale
        if self.offset != 0:
            values += self.offset
        values[missing] = np.nan
        return values


def packing_of(data: h5py.Dataset, path: Path) -> Packing:
    """How a variable of numbers is packed. Raises `InputError` naming the attribute that cannot be honoured."""
    variable = _Attributes(data, path)
    fill = variable.numbers("_FillValue")
    declared = [*(variable.undeclared_fill() if fill is None else fill), *(variable.numbers("missing_value") or ())]
    absent = {value for value in _cast(declared, variable.stored) if value != NODATA and not np.isnan(value)}
    scale, offset = variable.one("scale_factor", 1.0), variable.one("add_offset", 0.0)
    for name, value in (("scale_factor", scale), ("add_offset", offset)):
        if not np.isfinite(value) or (name == "scale_factor" and value == 0):
            raise variable.refusal(name, f"is {value:g}, which leaves nothing of its values")
    valid = variable.valid(packed=(scale, offset) != (1.0, 0.0))
    return Packing(variable.stored, tuple(sorted(absent)), valid, scale, offset)  # type: ignore[type-var]


class _Attributes:
    """The numbers in a variable's attributes, those about stored numbers with the sign that `_Unsigned` gives them."""

    def __init__(self, data: h5py.Dataset, path: Path) -> None:
        self.data, self.path = data, path
        self.stored: np.dtype[np.generic] = self._stored()

    def _stored(self) -> np.dtype[np.generic]:
        dtype: np.dtype[np.generic] = self.data.dtype
        if "_Unsigned" not in self.data.attrs or dtype.kind not in "iu":
            return dtype
        value = np.ravel(np.asarray(read_attribute(self.data, "_Unsigned"))).tolist()
        text = value[0].decode("ascii", "replace") if value and isinstance(value[0], bytes) else str(*value[:1])
        if text.strip().lower() not in ("true", "false"):
            raise self.refusal("_Unsigned", f"is {text[:40]!r}, neither true nor false")
        return np.dtype(f"{dtype.byteorder}{'u' if text.strip().lower() == 'true' else 'i'}{dtype.itemsize}")

    def undeclared_fill(self) -> list[float]:
        """What stands where nothing was written: HDF5's own fill value where one was chosen, else netCDF's default."""
        default = _NETCDF_FILL.get(f"{self.stored.kind}{self.stored.itemsize}")
        if default is None:
            return []
        chosen = self.data.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
        fill: float = self.data.fillvalue.item() if chosen else 0
        return [fill if fill else default]

    def numbers(self, name: str) -> list[float] | None:
        """The numbers of an attribute, whole ones as `int`; None where there is no such attribute, or nothing in it."""
        if name not in self.data.attrs:
            return None
        value = read_attribute(self.data, name)
        if value is None:
            raise self.refusal(name, "holds too many numbers")
        if isinstance(value, h5py.Empty) or np.size(value) == 0:
            return None
        numbers = np.ravel(np.asarray(value))
        try:
            found: list[float] = numbers.tolist()
            found = found if numbers.dtype.kind in "fiu" else [float(text) for text in found]
        except (TypeError, ValueError):
            raise self.refusal(name, "is not a number") from None
        stored_numbers = name not in ("scale_factor", "add_offset")
        return [self._signed(number) for number in found] if stored_numbers else found

    def _signed(self, number: float) -> float:
        """The same bits with the other sign, where `_Unsigned` changed that and the attribute was left as it was."""
        if self.stored.kind == self.data.dtype.kind:
            return number
        limits, turn = np.iinfo(str(self.stored)), 1 << 8 * self.stored.itemsize
        if number < limits.min:
            return number + turn
        return number - turn if number > limits.max else number

    def one(self, name: str, default: float) -> float:
        """The one number of an attribute."""
        numbers = self.numbers(name)
        if name in self.data.attrs and (numbers is None or len(numbers) != 1):
            raise self.refusal(name, f"holds {len(numbers or ())} numbers, not one for the whole variable")
        return float(numbers[0]) if numbers else default

    def valid(self, packed: bool) -> tuple[np.generic | None, np.generic | None]:
        """Bounds in stored numbers; valid_range goes before valid_min and valid_max, as in netCDF4."""
        wide = self.numbers("valid_range")
        if wide is not None and len(wide) != 2:
            raise self.refusal("valid_range", f"holds {len(wide)} numbers, not two")
        names = ("valid_min", "valid_max") if wide is None else ("valid_range",)
        for name in names:
            if packed and self.stored.kind in "iu" and name in self.data.attrs and not self._whole(name):
                raise self.refusal(name, "is a fractional type though the numbers are packed: it may be meant unpacked")
        low, high = wide or (self.one(name, np.nan) for name in names)
        lowest, highest = _bound(low, self.stored, np.ceil), _bound(high, self.stored, np.floor)
        if low > high:
            raise self.refusal(names[0], f"leaves nothing between {low:g} and {high:g}")
        return lowest, highest

    def _whole(self, name: str) -> bool:
        return np.asarray(read_attribute(self.data, name)).dtype.kind in "iu"

    def refusal(self, name: str, what: str) -> InputError:
        return InputError(
            f"{self.path}: {name} of {self.data.name} {what}; correct the attribute, or unpack the file "
            "(for example with ncpdq -U)"
        )


def _bound(value: float, stored: np.dtype[np.generic], inwards: np.ufunc) -> np.generic | None:
    """A limit as a stored number; None for none."""
    if not np.isfinite(value):
        return None
    kind = stored.newbyteorder("=").type
    if stored.kind == "f":
        return kind(value)
    limits = np.iinfo(str(stored))
    return kind(min(max(int(inwards(value)), limits.min), limits.max))


def _cast(values: list[float], stored: np.dtype[np.generic]) -> list[np.generic]:
    """Values as stored numbers, without those that no stored number can equal."""
    kind = stored.newbyteorder("=").type
    if stored.kind == "f":
        with np.errstate(over="ignore"):
            return [kind(value) for value in values]
    limits = np.iinfo(str(stored))
    return [kind(int(value)) for value in values if value % 1 == 0 and limits.min <= value <= limits.max]
