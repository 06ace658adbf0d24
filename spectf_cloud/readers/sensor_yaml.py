"""Sensors described in YAML: the ones known by name in ``sensors.yml``, and those of a user's own file.

A sensor is a mapping; docs/guide/sensors.md explains its keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml

from spectf_cloud.errors import ConfigError, InputError
from spectf_cloud.files.yaml import read_yaml
from spectf_cloud.readers.band_names import plain
from spectf_cloud.readers.listed_bands import ListedBand, check_keys, listed_bands, number_in, short
from spectf_cloud.scene import Quantity
from spectf_cloud.sensor import Sensor

REGISTRY = Path(__file__).resolve().parents[1] / "sensors.yml"

_TEXTS = ("name", "title", "kind", "units", "source", "like")
_INHERITED = ("source", "kind", "units", "scale")
_KEYS = (*_TEXTS, "scale", "aliases", "rename", "gsd_m", "bands")
#: In `sensors.yml` alone: its bands are those that `Sensor` itself knows.
_COMPUTED = "Sensor.emit"


@dataclass(frozen=True, eq=False, repr=False)
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
    gsd_m = number_in(content, "gsd_m", source) if "gsd_m" in content else math.nan
    bands = [] if base is None else list(_of_base(base, content.get("rename", {}), gsd_m, source))
    entries = content.get("bands", [])
    listed, left_out = listed_bands(_emit() if entries == _COMPUTED else entries, len(bands), gsd_m, source)
    bands += listed
    if not bands:
        raise ConfigError(f"{source}: no spectral bands are listed; give each a name, centre_nm and fwhm_nm")
    name = str(content.get("name", source))
    known = {} if base is None else {key: getattr(base, key) for key in _INHERITED}
    known |= {key: content[key] for key in ("title", "source", "kind", "units") if key in content}
    known |= {"scale": number_in(content, "scale", source)} if "scale" in content else {}
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


def _base(content: Mapping[str, Any], source: str, others: Mapping[str, KnownSensor] | None) -> KnownSensor | None:
    like = content.get("like")
    if like is None:
        return None
    found = known_sensor(like) if others is None else others.get(like)
    if found is None:
        raise ConfigError(f"{source}: like names {short(like)}, which is not known; see spectf-cloud sensors list")
    return found


def _emit() -> list[dict[str, Any]]:
    emit = Sensor.emit()
    return [{"centre_nm": emit.wavelength_nm.tolist(), "fwhm_nm": emit.fwhm_nm.tolist()}]


def _of_base(base: KnownSensor, new_names: object, gsd_m: float, source: str) -> Iterator[ListedBand]:
    """Yield the bands of another sensor, some under new names, and all of another size unless that is NaN."""
    if not isinstance(new_names, Mapping) or not set(new_names) <= set(base.band_names):
        raise ConfigError(f"{source}: rename must be old: new names of bands of {base.name}, not {short(new_names)}")
    rows = zip(base.band_names, base.wavelength_nm.tolist(), base.fwhm_nm.tolist(), base.gsd_m, strict=True)
    for position, (name, centre, width, own_gsd_m) in enumerate(rows):
        size_m = own_gsd_m if math.isnan(gsd_m) else gsd_m
        yield ListedBand(str(new_names.get(name, name)), centre, width, size_m, position)


def _check(content: Mapping[str, Any], source: str) -> None:
    """Refuse keys that are not known, texts that are none, and kinds that there are not."""
    check_keys(content, _KEYS, source)
    for key in _TEXTS:
        if not isinstance(content.get(key, ""), str):
            raise ConfigError(f"{source}: {key} must be a text, not {short(content[key])}")
    if content.get("kind") not in (None, *get_args(Quantity)):
        raise ConfigError(
            f"{source}: kind must be one of {', '.join(get_args(Quantity))}, not {short(content['kind'])}"
        )


def _words(content: Mapping[str, Any], key: str, source: str) -> tuple[str, ...]:
    words = content.get(key, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{source}: {key} must be a list of texts, not {short(words)}")
    return tuple(words)


def _plain_number(value: float) -> int | float:
    """Return a number to four decimals, a whole one without them."""
    rounded = round(float(value), 4)
    return int(rounded) if rounded.is_integer() else rounded
