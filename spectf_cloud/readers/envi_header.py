"""The text header of an ENVI raster, parsed and checked."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.sensor import Sensor

FloatArray = NDArray[np.float64]

_MAX_HEADER_BYTES = 16 * 2**20

# Python's own int() and float() take more: other scripts' digits, and underscores in between.
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)

# Not followed by a closing parenthesis before the next opening one.
_COMMA_OUTSIDE = re.compile(r",(?![^()]*\))")

# ENVI "data type" codes of real numbers.
_DTYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}


@dataclass(frozen=True, eq=False)
class EnviHeader:
    """What a header says about its data file; wavelengths are in the header's own units.

    `bad_bands` are the positions that the bad bands list (``bbl``) marks with 0. Of a TIFF's header, `dtype`,
    `interleave` and `offset` mean nothing.
    """

    path: Path
    fields: Mapping[str, str]
    lines: int
    samples: int
    bands: int
    dtype: np.dtype[np.generic]
    interleave: str
    offset: int
    nodata: float | None
    band_names: tuple[str, ...]
    wavelength: FloatArray | None
    fwhm: FloatArray | None
    wavelength_units: str | None
    gain: FloatArray | None
    bias: FloatArray | None
    bad_bands: tuple[int, ...]

    @property
    def file_type(self) -> str:
        """The format of the data file as the header calls it, in lower case; empty where it does not say."""
        return self.fields.get("file type", "").strip().lower()

    @property
    def says_tiff(self) -> bool:
        """Whether the header calls its data file a TIFF."""
        return "tif" in self.file_type

    @property
    def says_simulated(self) -> bool:
        """Whether the description says that nothing was measured, as that of our own simulated granules does."""
        return self.fields.get("description", "").lstrip("{ \n").startswith("SIMULATED")

    def sensor(self, name: str) -> Sensor | None:
        """Band centres and widths, nm; None where there are none. Raises `InputError`."""
        if self.wavelength is None:
            return None
        return Sensor.from_values(name, self.wavelength, self.fwhm, self.wavelength_units, str(self.path))


def read_header(path: Path) -> EnviHeader:
    """Read and check a header. Raises `InputError` naming the file and the key."""
    fields = _read_fields(path)
    lines, samples, bands = (_integer(path, fields, key, smallest=1) for key in ("lines", "samples", "bands"))
    dtype, interleave = _storage(path, fields)
    ignore = fields.get("data ignore value")
    marks = _finite(path, fields, "bbl", bands)
    return EnviHeader(
        path=path,
        fields=fields,
        lines=lines,
        samples=samples,
        bands=bands,
        dtype=dtype,
        interleave=interleave,
        offset=_integer(path, fields, "header offset", default=0, smallest=0),
        nodata=None if ignore is None else _number(path, "data ignore value", ignore),
        band_names=_names(fields.get("band names", ""), bands),
        wavelength=_per_band(path, fields, "wavelength", bands),
        fwhm=_per_band(path, fields, "fwhm", bands),
        wavelength_units=fields.get("wavelength units"),
        gain=_finite(path, fields, "data gain values", bands),
        bias=_finite(path, fields, "data offset values", bands),
        bad_bands=() if marks is None else tuple(np.flatnonzero(marks == 0).tolist()),
    )


def _storage(path: Path, fields: Mapping[str, str]) -> tuple[np.dtype[np.generic], str]:
    """How numbers are stored and interleaved; a TIFF says so itself."""
    if "tif" in fields.get("file type", "").lower():
        return np.dtype("f4"), "bsq"
    code = _integer(path, fields, "data type")
    if code not in _DTYPES:
        raise InputError(f"{path}: data type {code} is not a real number type ({', '.join(map(str, _DTYPES))})")
    byte_order = _integer(path, fields, "byte order", default=0)
    if byte_order not in (0, 1):
        raise InputError(f"{path}: byte order must be 0 or 1, not {byte_order}")
    interleave = fields.get("interleave", "bsq").strip().lower()
    if interleave not in ("bil", "bip", "bsq"):
        raise InputError(f"{path}: interleave must be bil, bip or bsq, not {interleave!r}")
    if _integer(path, fields, "file compression", default=0):
        raise InputError(f"{path}: compressed ENVI files are not supported; write it uncompressed")
    return np.dtype(("<", ">")[byte_order] + _DTYPES[code]), interleave


def _read_text(path: Path) -> str:
    """The header's text: Unicode where it is that, else as Windows writes Western European."""
    try:
        if path.stat().st_size > _MAX_HEADER_BYTES:
            raise InputError(f"{path} is larger than 16 MiB, too large for an ENVI header")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _read_fields(path: Path) -> dict[str, str]:
    """``key = value`` pairs with lower-case keys; values in braces may start in the next line and span several."""
    rows = deque(_read_text(path).splitlines())
    if not rows or not rows.popleft().strip().startswith("ENVI"):
        raise InputError(f"{path} is not an ENVI header: its first line is not 'ENVI'")
    fields: dict[str, str] = {}
    while rows:
        row = rows.popleft()
        if row.lstrip().startswith(";") or "=" not in row:
            continue
        key, value = (part.strip() for part in row.split("=", 1))
        key = " ".join(key.lower().split())
        if not value and rows and rows[0].lstrip().startswith("{"):
            value = rows.popleft().strip()
        if value.startswith("{"):
            value = _in_braces(path, key, value, rows)
        if fields.setdefault(key, value) != value:
            raise InputError(f"{path}: '{key}' is given twice with different values; keep one")
    return fields


def _in_braces(path: Path, key: str, first: str, rows: deque[str]) -> str:
    """All that belongs to a value that began with a brace, taken from the rows that follow."""
    parts = [first]
    while "}" not in parts[-1]:
        if not rows:
            raise InputError(f"{path}: the braces of '{key}' never close")
        parts.append(rows.popleft())
    return "\n".join(parts)


def items(value: str) -> list[str]:
    """What stands between commas in a value in braces."""
    inner = value.strip().removeprefix("{").split("}", 1)[0]
    return [item for part in inner.split(",") if (item := part.strip())]


def _names(value: str, bands: int) -> tuple[str, ...]:
    """Band names; a comma within parentheses belongs to its name where that gives one name a band."""
    inner = value.strip().removeprefix("{").split("}", 1)[0]
    whole = [name.strip() for name in _COMMA_OUTSIDE.split(inner)]
    return tuple(whole if len(whole) == bands else items(value))


def _number(path: Path, key: str, text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise InputError(f"{path}: '{key}' must be a number, not {text[:40]!r}")
    return float(text)


def _integer(
    path: Path, fields: Mapping[str, str], key: str, default: int | None = None, smallest: int | None = None
) -> int:
    text = fields.get(key)
    if text is None:
        if default is None:
            raise InputError(f"{path}: the header has no '{key}'")
        return default
    if not _INTEGER.fullmatch(text.strip()):
        raise InputError(f"{path}: '{key}' must be a whole number, not {text[:40]!r}")
    value = int(text)
    if smallest is not None and value < smallest:
        raise InputError(f"{path}: '{key}' must be at least {smallest}, not {value}")
    return value


def _per_band(path: Path, fields: Mapping[str, str], key: str, bands: int) -> FloatArray | None:
    """One number a band; None where the header has no such list, or an empty one."""
    values = np.array([_number(path, key, item) for item in items(fields.get(key, ""))])
    if values.size not in (0, bands):
        raise InputError(f"{path}: '{key}' lists {values.size} values for {bands} bands")
    return values if values.size else None


def _finite(path: Path, fields: Mapping[str, str], key: str, bands: int) -> FloatArray | None:
    values = _per_band(path, fields, key, bands)
    if values is not None and not np.isfinite(values).all():
        raise InputError(f"{path}: '{key}' must be finite numbers")
    return values
