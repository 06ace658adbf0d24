"""The text header of an ENVI raster, parsed and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError

FloatArray = NDArray[np.float64]

_MAX_HEADER_BYTES = 16 * 2**20

# Python's own int() and float() take more: other scripts' digits, and underscores in between.
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)

# ENVI "data type" codes of real numbers.
_DTYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}


@dataclass(frozen=True, eq=False)
class EnviHeader:
    """What a header says about its data file; wavelengths are in the header's own units."""

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


def read_header(path: Path) -> EnviHeader:
    """Read and check a header. Raises `InputError` naming the file and the key."""
    fields = _read_fields(path)
    lines, samples, bands = (_integer(path, fields, key, smallest=1) for key in ("lines", "samples", "bands"))
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
    ignore = fields.get("data ignore value")
    return EnviHeader(
        path=path,
        fields=fields,
        lines=lines,
        samples=samples,
        bands=bands,
        dtype=np.dtype(("<", ">")[byte_order] + _DTYPES[code]),
        interleave=interleave,
        offset=_integer(path, fields, "header offset", default=0, smallest=0),
        nodata=None if ignore is None else _number(path, "data ignore value", ignore),
        band_names=tuple(_items(fields.get("band names", ""))),
        wavelength=_per_band(path, fields, "wavelength", bands),
        fwhm=_per_band(path, fields, "fwhm", bands),
        wavelength_units=fields.get("wavelength units"),
        gain=_scale(path, fields, "data gain values", bands),
        bias=_scale(path, fields, "data offset values", bands),
    )


def _read_fields(path: Path) -> dict[str, str]:
    """``key = value`` pairs with lower-case keys; values in braces may span lines."""
    try:
        if path.stat().st_size > _MAX_HEADER_BYTES:
            raise InputError(f"{path} is larger than 16 MiB, too large for an ENVI header")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    rows = iter(text.splitlines())
    if not next(rows, "").strip().startswith("ENVI"):
        raise InputError(f"{path} is not an ENVI header: its first line is not 'ENVI'")
    fields: dict[str, str] = {}
    for row in rows:
        if row.lstrip().startswith(";") or "=" not in row:
            continue
        key, value = (part.strip() for part in row.split("=", 1))
        key = " ".join(key.lower().split())
        if value.startswith("{"):
            parts = [value]
            while "}" not in parts[-1]:
                part = next(rows, None)
                if part is None:
                    raise InputError(f"{path}: the braces of '{key}' never close")
                parts.append(part)
            value = "\n".join(parts)
        if fields.setdefault(key, value) != value:
            raise InputError(f"{path}: '{key}' is given twice with different values; keep one")
    return fields


def _items(value: str) -> list[str]:
    inner = value.strip().removeprefix("{").split("}", 1)[0]
    return [item for part in inner.split(",") if (item := part.strip())]


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
    if key not in fields:
        return None
    values = np.array([_number(path, key, item) for item in _items(fields[key])])
    if values.size != bands:
        raise InputError(f"{path}: '{key}' lists {values.size} values for {bands} bands")
    return values


def _scale(path: Path, fields: Mapping[str, str], key: str, bands: int) -> FloatArray | None:
    values = _per_band(path, fields, key, bands)
    if values is not None and not np.isfinite(values).all():
        raise InputError(f"{path}: '{key}' must be finite numbers")
    return values
