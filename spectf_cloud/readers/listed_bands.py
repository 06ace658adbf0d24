"""Bands as YAML files and lists of descriptors name them, one by one or many at once.

Each entry of a list is a mapping, one of

- a band: ``{name: B04, centre_nm: 664.6, fwhm_nm: 30}``, or by its edges ``{name: red, min_nm: 650, max_nm: 680}``
- evenly spaced bands: ``{first_nm: 401.9, last_nm: 999.5, count: 235, fwhm_nm: 3.5}``
- a table: ``{centre_nm: [381, 388.4], fwhm_nm: [8.4, 8.4]}``
- as descriptors have it: ``{band_type: TOA Reflectance, min_wavelength: 645.5, max_wavelength: 684.5}``
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectf_cloud.errors import ConfigError

MAX_BANDS = 2**14
# No wavelength, size or factor is larger, and no more of a wrong value is shown.
_MAX_NUMBER = 1e12
_MAX_WRITTEN = 80

_BAND_KEYS = (
    "name", "prefix", "centre_nm", "fwhm_nm", "min_nm", "max_nm", "min_wavelength", "max_wavelength", "first_nm",
    "last_nm", "count", "gsd_m", "band_type",
)  # fmt: skip
_EDGES = (("min_nm", "max_nm"), ("min_wavelength", "max_wavelength"))
# Words of a band type; bands of the first ones are not spectral.
_NOT_SPECTRAL = {
    "thermal": "thermal", "temperature": "thermal", "sar": "SAR", "vv": "SAR", "vh": "SAR", "hh": "SAR", "hv": "SAR",
    "angle": "SAR", "dem": "DEM", "fill": "fill",
}  # fmt: skip
_SPECTRAL = {"reflectance", "radiance", "optical"}


@dataclass(frozen=True)
class ListedBand:
    """One band: its name, centre and width, nm, size on the ground, m or NaN, and its place in the list."""

    name: str
    centre_nm: float
    fwhm_nm: float
    gsd_m: float
    position: int


def listed_bands(entries: object, start: int, gsd_m: float, source: str) -> tuple[list[ListedBand], list[str]]:
    """Return the spectral bands of a list, and in words the ones that are left out.

    start
        How many bands come before the list.
    gsd_m
        Of the bands whose entry does not say it.

    Raises `ConfigError` naming ``source``.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ConfigError(f"{source}: bands must be a list of bands, not {short(entries)}")
    bands: list[ListedBand] = []
    left_out: list[str] = []
    for number, entry in enumerate(entries, start=1):
        where, position = f"{source}: entry {number} of bands", start + len(bands) + len(left_out)
        if not isinstance(entry, Mapping):
            example = "{name: B1, centre_nm: 443, fwhm_nm: 20}"
            raise ConfigError(f"{where} is {short(entry)}, not a mapping such as {example}")
        check_keys(entry, _BAND_KEYS, where)
        what = _not_spectral(entry, where)
        if what:
            left_out.append(f"{entry.get('name', position + 1)} ({what})")
            continue
        prefix, own_gsd_m = entry.get("prefix", ""), number_in(entry, "gsd_m", where) if "gsd_m" in entry else gsd_m
        for place, (centre_nm, fwhm_nm) in enumerate(_centres(entry, where), start=position):
            name = str(entry.get("name", f"{prefix}{place + 1}"))
            bands.append(ListedBand(name, centre_nm, fwhm_nm, own_gsd_m, place))
            if len(bands) > MAX_BANDS:
                raise ConfigError(f"{where} goes beyond {MAX_BANDS} bands, more than any sensor has")
    return bands, left_out


def _centres(entry: Mapping[str, Any], where: str) -> Iterator[tuple[float, float]]:
    """Yield centre and width, nm, of each band of an entry."""
    edges = next((keys for keys in _EDGES if keys[0] in entry), None)
    if edges:
        low, high = (number_in(entry, key, where) for key in edges)
        if not low < high:
            raise ConfigError(f"{where}: {edges[0]} is {low:g} and {edges[1]} {high:g}; write the lower edge first")
        yield (low + high) / 2, high - low
    elif "count" in entry:
        count = entry["count"]
        if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MAX_BANDS:
            raise ConfigError(f"{where}: count must be a whole number from 2 to {MAX_BANDS}, not {short(count)}")
        first, last, width = (number_in(entry, key, where) for key in ("first_nm", "last_nm", "fwhm_nm"))
        yield from ((centre, width) for centre in np.linspace(first, last, count).tolist())
    elif isinstance(entry.get("centre_nm"), list):
        columns = [entry["centre_nm"], entry.get("fwhm_nm")]
        if not isinstance(columns[1], list) or len(columns[0]) != len(columns[1]):
            raise ConfigError(f"{where}: fwhm_nm must list as many numbers as centre_nm")
        for row in zip(*columns, strict=True):
            centre, width = (number_in({"centre_nm": value}, "centre_nm", where) for value in row)
            yield centre, width
    else:
        yield number_in(entry, "centre_nm", where), number_in(entry, "fwhm_nm", where)


def _not_spectral(entry: Mapping[str, Any], where: str) -> str:
    """Return what a band is that no spectrum holds; empty for a spectral one."""
    if "band_type" not in entry:
        return ""
    kind = entry["band_type"]
    words = re.findall(r"[a-z]+", str(kind).lower())
    found = next((_NOT_SPECTRAL[word] for word in words if word in _NOT_SPECTRAL), "")
    if not found and not _SPECTRAL & set(words):
        raise ConfigError(
            f"{where}: the band_type {short(kind)} is not known; there are reflectance, radiance, thermal, SAR, DEM "
            "and fill"
        )
    return found


def check_keys(content: Mapping[str, Any], known: Sequence[str], source: str) -> None:
    """Refuse a mapping with other keys than the known ones. Raises `ConfigError` naming ``source``."""
    unknown = next((key for key in content if key not in known), None)
    if unknown is not None:
        raise ConfigError(f"{source}: the key {short(unknown)} is not known; there are {', '.join(known)}")


def number_in(content: Mapping[str, Any], key: str, source: str) -> float:
    """Return the number above 0 that a mapping has under a key. Raises `ConfigError` naming ``source``."""
    value: Any = content.get(key)
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (real and 0 < value <= _MAX_NUMBER):
        raise ConfigError(f"{source}: {key} must be a number above 0, not {short(value)}")
    return float(value)


def short(value: object) -> str:
    """Return how a value is written, the beginning of a long one."""
    written = repr(value)
    return written if len(written) <= _MAX_WRITTEN else f"{written[:_MAX_WRITTEN]}…"
