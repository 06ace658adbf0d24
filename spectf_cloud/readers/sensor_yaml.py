"""Sensors described in YAML: the ones known by name in ``sensors.yml``, and those of a user's own file.

A sensor is a mapping; docs/sensors.md explains its keys. Each entry of ``bands`` is one of

- a band: ``{name: B04, centre_nm: 664.6, fwhm_nm: 30}``, or by its edges ``{name: red, min_nm: 650, max_nm: 680}``
- evenly spaced bands: ``{first_nm: 401.9, last_nm: 999.5, count: 235, fwhm_nm: 3.5}``
- a table: ``{centre_nm: [381, 388.4], fwhm_nm: [8.4, 8.4]}``
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml

from spectf_cloud.errors import ConfigError, InputError
from spectf_cloud.files.yaml import read_yaml
from spectf_cloud.readers.band_names import plain
from spectf_cloud.scene import Quantity
from spectf_cloud.sensor import Sensor

REGISTRY = Path(__file__).resolve().parents[1] / "sensors.yml"
MAX_BANDS = 2**14

_TEXTS = ("name", "title", "kind", "units", "source", "like")
_INHERITED = ("source", "kind", "units", "scale")
_KEYS = (*_TEXTS, "scale", "aliases", "rename", "gsd_m", "bands")
_BAND_KEYS = (
    "name", "prefix", "centre_nm", "fwhm_nm", "min_nm", "max_nm", "min_wavelength", "max_wavelength", "first_nm",
    "last_nm", "count", "gsd_m", "band_type",
)  # fmt: skip
_EDGES = (("min_nm", "max_nm"), ("min_wavelength", "max_wavelength"))
#: In `sensors.yml` alone: its bands are those that `Sensor` itself knows.
_COMPUTED = "Sensor.emit"
# Words of a band type; bands of the first ones are not spectral.
_NOT_SPECTRAL = {
    "thermal": "thermal", "temperature": "thermal", "sar": "SAR", "vv": "SAR", "vh": "SAR", "hh": "SAR", "hv": "SAR",
    "angle": "SAR", "dem": "DEM", "fill": "fill",
}  # fmt: skip
_SPECTRAL = {"reflectance", "radiance", "optical"}


@dataclass(frozen=True, eq=False)
class KnownSensor(Sensor):
    """A sensor and what is known of it beyond its bands.

    Attributes
    ----------
    title, source
        What it is, and where the figures are from.
    kind, units, scale
        What the usual delivery holds: a number times `scale` is in `units`. Without a scale, each scene's metadata say.
    aliases
        Other names it is found by.
    gsd_m
        (bands,) m on the ground, NaN where it is not known.
    positions
        (bands,) where each band stands among all that were listed, from 0: thermal and other bands are left out.
    notes
        What a user should be told of the bands.
    """

    title: str = ""
    source: str = ""
    kind: Quantity | None = None
    units: str = ""
    scale: float | None = None
    aliases: tuple[str, ...] = ()
    gsd_m: tuple[float, ...] = ()
    positions: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def by_name(self) -> dict[str, tuple[float, float]]:
        """Centre and width of each band, nm, by its name."""
        rows = zip(self.band_names, self.wavelength_nm.tolist(), self.fwhm_nm.tolist(), strict=True)
        return {name: (centre, width) for name, centre, width in rows}


@cache
def known_sensors() -> dict[str, KnownSensor]:
    """Read the sensors known by name, in the order of the file."""
    found: dict[str, KnownSensor] = {}
    for name, content in read_yaml(REGISTRY).items():
        found[name] = sensor_of({"name": name, **content}, f"{REGISTRY.name}: {name}", found)
    return found


def known_sensor(name: str) -> KnownSensor | None:
    """Find a sensor by its name or an alias, however they are spelled; None where it is not known."""
    return _by_any_name().get(plain(name))


@cache
def _by_any_name() -> dict[str, KnownSensor]:
    sensors = known_sensors()
    return {plain(word): sensor for name, sensor in sensors.items() for word in (name, *sensor.aliases)}


def read_sensor(path: Path) -> KnownSensor:
    """Read a sensor from a YAML file of its own. Raises `ConfigError` naming the file and the key."""
    return sensor_of({"name": path.stem, **read_yaml(path)}, str(path))


def sensor_of(content: Mapping[str, Any], source: str, others: Mapping[str, KnownSensor] | None = None) -> KnownSensor:
    """Make a sensor of a mapping as YAML holds it; ``like`` is looked up among others, by default all known by name.

    Raises `ConfigError` naming ``source``.
    """
    _check(content, source)
    base = _base(content, source, others)
    left_out: list[str] = []
    bands = [] if base is None else list(_of_base(base, content, source))
    bands += _listed(content, len(bands), left_out, source)
    if not bands:
        raise ConfigError(f"{source}: no spectral bands are listed; give each a name, centre_nm and fwhm_nm")
    name = str(content.get("name", source))
    known = {} if base is None else {key: getattr(base, key) for key in _INHERITED}
    known |= {key: content[key] for key in ("title", "source", "kind", "units") if key in content}
    known |= {"scale": _number(content, "scale", source)} if "scale" in content else {}
    try:
        return KnownSensor(
            name=name,
            wavelength_nm=np.array([band.centre_nm for band in bands]),
            fwhm_nm=np.array([band.fwhm_nm for band in bands]),
            band_names=tuple(band.name for band in bands),
            aliases=_words(content, "aliases", source),
            gsd_m=tuple(band.gsd_m for band in bands),
            positions=tuple(band.position for band in bands),
            notes=(f"{name}: not spectral and left out: {', '.join(left_out)}",) if left_out else (),
            **known,
        )
    except InputError as error:
        raise ConfigError(f"{source}: {error}") from error


def to_mapping(sensor: Sensor) -> dict[str, Any]:
    """Return a sensor as `sensor_of` takes it: centres and widths to 0.0001 nm."""
    content: dict[str, Any] = {"name": sensor.name}
    gsd_m: Sequence[float] = ()
    if isinstance(sensor, KnownSensor):
        gsd_m = sensor.gsd_m
        content |= {key: getattr(sensor, key) for key in ("title", "source", "kind", "units", "scale")}
        content |= {"aliases": list(sensor.aliases)}
    rows: list[dict[str, Any]] = []
    for band, (centre, width) in enumerate(zip(sensor.wavelength_nm, sensor.fwhm_nm, strict=True)):
        row: dict[str, Any] = {"name": sensor.band_names[band]} if sensor.band_names else {}
        row |= {"centre_nm": _plain_number(centre), "fwhm_nm": _plain_number(width)}
        rows.append(row | ({"gsd_m": _plain_number(gsd_m[band])} if gsd_m and math.isfinite(gsd_m[band]) else {}))
    return {key: value for key, value in content.items() if value not in (None, "", [])} | {"bands": rows}


def to_yaml(sensor: Sensor) -> str:
    """Return a sensor as the text of a file that `read_sensor` reads."""
    content = to_mapping(sensor)
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


@dataclass(frozen=True)
class _Band:
    name: str
    centre_nm: float
    fwhm_nm: float
    gsd_m: float
    position: int


def _base(content: Mapping[str, Any], source: str, others: Mapping[str, KnownSensor] | None) -> KnownSensor | None:
    like = content.get("like")
    if like is None:
        return None
    found = known_sensor(like) if others is None else others.get(like)
    if found is None:
        raise ConfigError(f"{source}: like names {like!r}, which is not known; see spectf-cloud sensors list")
    return found


def _of_base(base: KnownSensor, content: Mapping[str, Any], source: str) -> Iterator[_Band]:
    """Yield the bands of the sensor it is like, under new names and of another size where the mapping says so."""
    new_names = content.get("rename", {})
    if not isinstance(new_names, Mapping) or not set(new_names) <= set(base.band_names):
        raise ConfigError(f"{source}: rename must be old: new names of bands of {base.name}, not {new_names!r}")
    gsd_m = _number(content, "gsd_m", source) if "gsd_m" in content else None
    rows = zip(base.band_names, base.wavelength_nm.tolist(), base.fwhm_nm.tolist(), base.gsd_m, strict=True)
    for position, (name, centre, width, own_gsd_m) in enumerate(rows):
        yield _Band(str(new_names.get(name, name)), centre, width, own_gsd_m if gsd_m is None else gsd_m, position)


def _listed(content: Mapping[str, Any], start: int, left_out: list[str], source: str) -> Iterator[_Band]:
    """Yield the spectral bands of the list, numbered from ``start``, and put the others' names into ``left_out``."""
    entries = content.get("bands", [])
    if entries == _COMPUTED:
        emit = Sensor.emit()
        entries = [{"centre_nm": emit.wavelength_nm.tolist(), "fwhm_nm": emit.fwhm_nm.tolist()}]
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ConfigError(f"{source}: bands must be a list of bands, not {entries!r}")
    gsd_m = _number(content, "gsd_m", source) if "gsd_m" in content else math.nan
    position = start
    for number, entry in enumerate(entries, start=1):
        where = f"{source}: entry {number} of bands"
        if not isinstance(entry, Mapping):
            raise ConfigError(f"{where} is {entry!r}, not a mapping such as {{name: B1, centre_nm: 443, fwhm_nm: 20}}")
        _check_keys(entry, _BAND_KEYS, where)
        prefix, own_gsd_m = str(entry.get("prefix", "")), _number(entry, "gsd_m", where) if "gsd_m" in entry else gsd_m
        what = _not_spectral(entry, where)
        if what:
            left_out.append(f"{entry.get('name', position + 1)} ({what})")
            position += 1
            continue
        for centre_nm, fwhm_nm in _centres(entry, where):
            name = str(entry.get("name", f"{prefix}{position + 1}"))
            yield _Band(name, centre_nm, fwhm_nm, own_gsd_m, position)
            position += 1
            if position > MAX_BANDS:
                raise ConfigError(f"{where} goes beyond {MAX_BANDS} bands, more than any sensor has")


def _centres(entry: Mapping[str, Any], where: str) -> Iterator[tuple[float, float]]:
    """Yield centre and width, nm, of each band of an entry."""
    edges = next((keys for keys in _EDGES if keys[0] in entry), None)
    if edges:
        low, high = (_number(entry, key, where) for key in edges)
        if not low < high:
            raise ConfigError(f"{where}: {edges[0]} is {low:g} and {edges[1]} {high:g}; write the lower edge first")
        yield (low + high) / 2, high - low
    elif "count" in entry:
        count = entry["count"]
        if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MAX_BANDS:
            raise ConfigError(f"{where}: count must be a whole number from 2 to {MAX_BANDS}, not {count!r}")
        first, last, width = (_number(entry, key, where) for key in ("first_nm", "last_nm", "fwhm_nm"))
        yield from ((centre, width) for centre in np.linspace(first, last, count).tolist())
    elif isinstance(entry.get("centre_nm"), list):
        columns = [entry["centre_nm"], entry.get("fwhm_nm")]
        if not isinstance(columns[1], list) or len(columns[0]) != len(columns[1]):
            raise ConfigError(f"{where}: fwhm_nm must list as many numbers as centre_nm")
        for row in zip(*columns, strict=True):
            centre, width = (_number({"centre_nm": value}, "centre_nm", where) for value in row)
            yield centre, width
    else:
        yield _number(entry, "centre_nm", where), _number(entry, "fwhm_nm", where)


def _not_spectral(entry: Mapping[str, Any], where: str) -> str:
    """What a band is that no spectrum holds; empty for a spectral one."""
    if "band_type" not in entry:
        return ""
    words = re.findall(r"[a-z]+", str(entry["band_type"]).lower())
    found = next((_NOT_SPECTRAL[word] for word in words if word in _NOT_SPECTRAL), "")
    if not found and not _SPECTRAL & set(words):
        raise ConfigError(
            f"{where}: band_type {entry['band_type']!r} is not known; there are reflectance, radiance, thermal, SAR, "
            "DEM and fill"
        )
    return found


def _check(content: Mapping[str, Any], source: str) -> None:
    """Refuse keys that are not known, texts that are none, and kinds that there are not."""
    _check_keys(content, _KEYS, source)
    for key in _TEXTS:
        if not isinstance(content.get(key, ""), str):
            raise ConfigError(f"{source}: {key} must be a text, not {content[key]!r}")
    if content.get("kind") not in (None, *get_args(Quantity)):
        raise ConfigError(f"{source}: kind must be one of {', '.join(get_args(Quantity))}, not {content['kind']!r}")


def _check_keys(content: Mapping[str, Any], known: Sequence[str], source: str) -> None:
    unknown = next((key for key in content if key not in known), None)
    if unknown is not None:
        raise ConfigError(f"{source}: the key {unknown!r} is not known; there are {', '.join(known)}")


def _words(content: Mapping[str, Any], key: str, source: str) -> tuple[str, ...]:
    words = content.get(key, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{source}: {key} must be a list of texts, not {words!r}")
    return tuple(words)


def _number(content: Mapping[str, Any], key: str, source: str) -> float:
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ConfigError(f"{source}: {key} must be a number above 0, not {value!r}")
    return float(value)


def _plain_number(value: float) -> int | float:
    """Return a number to four decimals, a whole one without them."""
    rounded = round(float(value), 4)
    return int(rounded) if rounded.is_integer() else rounded
