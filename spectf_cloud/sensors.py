"""Sensors by name, and from whatever describes one: a file, band tags, coordinates, a list of bands.

>>> from spectf_cloud import sensors
>>> sensors.SENTINEL2A.band_names[:3]
('B01', 'B02', 'B03')
>>> sensors.find_sensor("Landsat 8")
Sensor('LANDSAT8', 8 bands, 443–2201 nm)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.signature import TIFF, kind_of
from spectf_cloud.readers import emit, envi, raster
from spectf_cloud.readers.band_names import plain
from spectf_cloud.readers.envi_header import read_header
from spectf_cloud.readers.sensor_yaml import KnownSensor, known_sensor, known_sensors, read_sensor, sensor_of
from spectf_cloud.sensor import Sensor, spacing

__all__ = ["KnownSensor", "Match", "find_sensor", "match", "names"]

#: How far apart two centres of one band may be: nm, and as a share of its width.
TOLERANCE_NM = 10.0
_TOLERANCE_OF_WIDTH = 0.1
#: How many times as wide one of the two may be.
_MAX_WIDTH_RATIO = 2.0

# Coordinates of xarray objects, as `plain` has them; of the last only where their units are a length.
_WAVELENGTHS = ("wavelength", "wavelengths", "wavelengthnm", "centralwavelength", "centerwavelength", "wl", "lambda")
_BANDS = ("band", "bands")
_WIDTHS = ("fwhm", "fwhmnm", "bandwidth", "fullwidthhalfmax")


def __getattr__(name: str) -> KnownSensor:
    """Return a sensor known by name: the file that describes them is read when the first is asked for."""
    if name.isupper() and name in known_sensors():
        return known_sensors()[name]
    raise AttributeError(f"module 'spectf_cloud.sensors' has no attribute {name!r}; names() lists the sensors")


def __dir__() -> list[str]:
    return [*__all__, *names()]


def names() -> tuple[str, ...]:
    """Return the names of the known sensors."""
    return tuple(known_sensors())


def find_sensor(spec: Any) -> Sensor:
    """Find the sensor that something describes.

    Parameters
    ----------
    spec
        A name or an alias, however it is spelled ("Sentinel-2A", "S2A"); a file: YAML, an ENVI header, a GeoTIFF with
        tags of wavelengths, an EMIT granule; a mapping as in the YAML; a list of bands as in the YAML, or of
        ``{band_type, min_wavelength, max_wavelength}`` in nm; an xarray object with wavelengths; or a sensor.

    Returns
    -------
    Sensor
        Centres and widths, nm, in the order of the data. Of a name, YAML, mapping or list it is a `KnownSensor`, whose
        ``positions`` and ``notes`` say which bands are left out: thermal, SAR, elevation and fill.

    Raises
    ------
    UsageError
        A name that is not known, or a description that cannot be meant.
    InputError
        A file that cannot be read or has no wavelengths.
    """
    if isinstance(spec, Sensor):
        return spec
    if isinstance(spec, Path):
        return _of_file(spec)
    if isinstance(spec, str):
        return known_sensor(spec) or _of_text(spec)
    if hasattr(spec, "coords") and hasattr(spec, "dims"):
        return _of_coordinates(spec)
    if isinstance(spec, Mapping):
        return sensor_of(spec, "the sensor")
    if isinstance(spec, Sequence):
        return sensor_of({"name": "list of bands", "bands": list(spec)}, "the list of bands")
    raise UsageError(f"{type(spec).__name__} does not describe a sensor; give a name, a file or a list of bands")


def _of_text(text: str) -> Sensor:
    """Read the file of this name, or say which known names are close."""
    try:
        if Path(text).is_file():
            return _of_file(Path(text))
    except (OSError, ValueError):  # too long for a name, or a null byte in it
        pass
    words = {plain(word): word for name, sensor in known_sensors().items() for word in (name, *sensor.aliases)}
    close = [words[word] for word in difflib.get_close_matches(plain(text), words)]
    hint = f"; close are {', '.join(close)}" if close else ""
    raise UsageError(
        f"{text[:80]!r} is neither a known sensor nor a file that describes one{hint} (spectf-cloud sensors list shows "
        "them all)"
    )


def _of_file(path: Path) -> Sensor:
    if path.suffix.lower() in (".yml", ".yaml"):
        return read_sensor(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; give one that describes a sensor")
    if path.suffix.lower() == ".hdr":
        found = read_header(path).sensor(path.stem)
    elif emit.is_hdf5(path):
        found = emit.open_cube(path).sensor
    elif envi.is_envi(path):
        found = envi.open_cube(path).sensor
    elif kind_of(path) == TIFF:
        found = raster.open_cube(path).sensor
    else:
        raise InputError(f"{path} does not describe a sensor; give YAML, an ENVI header, a GeoTIFF or an EMIT granule")
    if found is None:
        raise InputError(f"{path} has no wavelengths; name its sensor instead (spectf-cloud sensors list)")
    return found


def _of_coordinates(array: Any) -> Sensor:
    """Read the wavelengths of an xarray object from its coordinates; imports nothing of xarray."""
    coordinates = {plain(str(name)): value for name, value in array.coords.items()}
    name = str(getattr(array, "name", None) or "xarray")
    centres = next((coordinates[key] for key in _WAVELENGTHS if key in coordinates), None)
    if centres is None:
        numbered = next((coordinates[key] for key in _BANDS if key in coordinates), None)
        if numbered is None or numbered.dtype.kind not in "fiu" or not _units(numbered):
            raise InputError(
                f"{name} has no wavelengths; add them with: array.assign_coords(wavelength=('band', [...], "
                "{'units': 'nm'}))"
            )
        centres = numbered
    widths = next((coordinates[key] for key in _WIDTHS if key in coordinates), None)
    for what in (centres, widths):
        if what is not None and (what.ndim != 1 or what.dtype.kind not in "fiu" or what.size != centres.size):
            raise InputError(f"{name}: {what.name} must be one number a band, not {what.dtype} of shape {what.shape}")
    return Sensor.from_values(
        name, np.asarray(centres), None if widths is None else np.asarray(widths), _units(centres), name
    )


def _units(coordinate: Any) -> str:
    return str(coordinate.attrs.get("units") or coordinate.attrs.get("unit") or "")


@dataclass(frozen=True)
class Match:
    """How well a known sensor's bands fit those of another sensor.

    Attributes
    ----------
    name
        Of the known sensor.
    fitting
        Pairs of bands that fit.
    share
        Of the bands that either has, how many fit, 0 to 1.
    mean_nm
        Mean distance of the centres of the pairs.
    unknown, absent
        Bands that only the other, and only the known sensor has: their names or centres.
    """

    name: str
    fitting: int
    share: float
    mean_nm: float
    unknown: tuple[str, ...]
    absent: tuple[str, ...]


def match(sensor: Sensor, tolerance_nm: float = TOLERANCE_NM) -> tuple[Match, ...]:
    """Compare a sensor with all known ones; return those with a band in common, the best fit first.

    Two bands fit where their centres are at most ``tolerance_nm`` or a tenth of the known band apart, and neither is
    more than twice as wide as the other; each is paired once, the closest first. Widths that are only the spacing of
    the bands count for nothing: so they are where a file has none.
    """
    found = (_compared(sensor, known, tolerance_nm) for known in known_sensors().values())
    return tuple(sorted((each for each in found if each.fitting), key=lambda each: (-each.share, each.mean_nm)))


def _compared(sensor: Sensor, known: Sensor, tolerance_nm: float) -> Match:
    pairs = list(_pairs(sensor, known, tolerance_nm))
    apart = [abs(sensor.wavelength_nm[one] - known.wavelength_nm[other]) for one, other in pairs]
    return Match(
        name=known.name,
        fitting=len(pairs),
        share=len(pairs) / (sensor.bands + known.bands - len(pairs)),
        mean_nm=float(np.mean(apart)) if apart else 0.0,
        unknown=_labels(sensor, {one for one, _ in pairs}),
        absent=_labels(known, {other for _, other in pairs}),
    )


def _pairs(sensor: Sensor, known: Sensor, tolerance_nm: float) -> Iterator[tuple[int, int]]:
    apart = np.abs(sensor.wavelength_nm[:, None] - known.wavelength_nm)
    fits = apart <= np.maximum(tolerance_nm, _TOLERANCE_OF_WIDTH * known.fwhm_nm)
    if not _are_spacing(sensor):
        ratio = sensor.fwhm_nm[:, None] / known.fwhm_nm
        fits &= (ratio <= _MAX_WIDTH_RATIO) & (ratio >= 1 / _MAX_WIDTH_RATIO)
    ones, others = np.nonzero(fits)
    free_ones, free_others = set(range(sensor.bands)), set(range(known.bands))
    for place in np.argsort(apart[ones, others], kind="stable"):
        pair = int(ones[place]), int(others[place])
        if pair[0] in free_ones and pair[1] in free_others:
            free_ones.remove(pair[0])
            free_others.remove(pair[1])
            yield pair


def _are_spacing(sensor: Sensor) -> bool:
    """Whether a sensor's widths are only the distances of its bands."""
    centres = sensor.wavelength_nm
    return len(np.unique(centres)) > 1 and np.allclose(sensor.fwhm_nm, spacing(centres, sensor.name))


def _labels(sensor: Sensor, without: set[int]) -> tuple[str, ...]:
    """Name the other bands, each by its name and centre."""
    labels = sensor.band_names or ("",) * sensor.bands
    rows = zip(labels, sensor.wavelength_nm, strict=True)
    shown = (f"{name} ({nm:.0f} nm)" if name else f"{nm:.0f} nm" for name, nm in rows)
    return tuple(label for band, label in enumerate(shown) if band not in without)
