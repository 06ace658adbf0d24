"""What a raster says of itself in words: its quantity and units, when it was seen, and under which sun."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from spectf_cloud.readers.acquisition import acquired
from spectf_cloud.readers.envi import EnviCube
from spectf_cloud.readers.raster import RasterCube
from spectf_cloud.readers.xarray_cube import XarrayCube
from spectf_cloud.scene import Cube, Quantity

_OF_NUMBERS = (
    "units", "unit", "quantity", "description", "data units", "radiance units", "long_name", "standard_name",
    "tifftag_imagedescription",
)  # fmt: skip
_UNITS = ("radiance units", "data units", "units", "unit", "description", "tifftag_imagedescription")
_TIMES = ("acquired", "acquisition time", "acquisition_time", "sensing_time", "time_coverage_start")
_ZENITHS = ("sun_zenith_deg", "sun_zenith_angle", "mean_sun_zenith_angle", "sun zenith")
_ELEVATIONS = ("sun_elevation_deg", "sun_elevation", "sun elevation")
_AZIMUTHS = ("sun_azimuth_deg", "sun_azimuth_angle", "sun_azimuth", "sun azimuth")

_STERADIAN = r"(?:\bsr\b|sr(?=\s*[\^-])|steradian)"
_RADIANCE = re.compile(rf"radiance|{_STERADIAN}", re.IGNORECASE)
_TOP = re.compile(r"\btoa\b|top[ _-]of|_toa|toa_", re.IGNORECASE)
_SURFACE = re.compile(r"surface|\bboa\b|bottom[ _-]of", re.IGNORECASE)

# Watts, each square metre or centimetre, and each nanometre or micrometre: in µW cm-2 nm-1.
_WATT = re.compile(r"(micro|milli|[uµμm])?[ -]?w(?:att)?s?(?![a-z])", re.IGNORECASE)
_AREA = re.compile(r"(?<![a-z])(c?m)\s*(?:\*\*|\^)?\s*-?\s*2", re.IGNORECASE)
_LENGTH = re.compile(r"(?<![a-z])(nm|nanometer|[uµμ]m|micrometer|micron)", re.IGNORECASE)

_MICROWATTS = {"": 1e6, "m": 1e3, "milli": 1e3, "u": 1.0, "µ": 1.0, "μ": 1.0, "micro": 1.0}


def words_of(cube: Cube) -> dict[str, str]:
    """Return all that a raster's file notes in words, by names in lower case."""
    words: dict[str, str] = {}
    if isinstance(cube, XarrayCube):
        words |= {str(key).lower(): str(value) for key, value in cube.attributes.items()}
    header = cube.header if isinstance(cube, (EnviCube, RasterCube)) else None
    if isinstance(cube, RasterCube):
        words |= {key.lower(): text for key, text in cube.raster.tags().items()}
        units = {unit for unit in cube.raster.units if unit}
        words |= {"data units": units.pop()} if len(units) == 1 else {}
    return words | ({} if header is None else dict(header.fields))


def told_quantity(words: Mapping[str, str]) -> Quantity | None:
    """Return which quantity the words name; None where they name none for sure.

    >>> told_quantity({"units": "W m-2 sr-1 um-1"}), told_quantity({"description": "Surface reflectance"})
    ('radiance', 'surface_reflectance')
    """
    text = " ".join(words.get(key, "") for key in _OF_NUMBERS)
    if "reflectance" in text.lower():
        top, surface = _TOP.search(text), _SURFACE.search(text)
        return "toa_reflectance" if top and not surface else "surface_reflectance" if surface and not top else None
    return "radiance" if _RADIANCE.search(text) else None


def told_units(words: Mapping[str, str]) -> str | None:
    """Return what the words say of the units of radiance; None where they are not units of it."""
    return next((words[key] for key in _UNITS if radiance_factor(words.get(key, "")) is not None), None)


def radiance_factor(units: str) -> float | None:
    """Return what makes uW cm-2 sr-1 nm-1 of radiance in these units; None where they are not understood.

    >>> radiance_factor("W m-2 sr-1 um-1"), radiance_factor("mW/(cm^2 sr um)"), radiance_factor("W m-2")
    (0.1, 1.0, None)
    """
    watt, area, length = (pattern.findall(units) for pattern in (_WATT, _AREA, _LENGTH))
    if not re.search(_STERADIAN, units, re.IGNORECASE) or not (len(watt) == len(area) == len(length) == 1):
        return None
    power = _MICROWATTS.get(watt[0] if len(watt[0]) < 2 else watt[0].lower())
    if power is None:
        return None
    per_area = 1.0 if area[0].lower() == "cm" else 1e-4
    per_length = 1.0 if length[0].lower().startswith("n") else 1e-3
    return float(f"{power * per_area * per_length:g}")


def told_time(cube: Cube, words: Mapping[str, str]) -> datetime | None:
    """Return when the raster was seen, UTC, by its words or its name; None where neither says it to the second."""
    for key in _TIMES:
        try:
            time = datetime.fromisoformat(words.get(key, "").strip())
        except ValueError:
            continue
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    seen = acquired(cube.name)
    return None if seen is None else seen.time


def told_sun_deg(words: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Return the sun's zenith angle and azimuth, degrees, as the words say."""
    zenith, azimuth, elevation = (_number(words, keys) for keys in (_ZENITHS, _AZIMUTHS, _ELEVATIONS))
    return (90 - elevation if zenith is None and elevation is not None else zenith), azimuth


def _number(words: Mapping[str, str], keys: tuple[str, ...]) -> float | None:
    for key in keys:
        try:
            number = float(words.get(key, ""))
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return None
