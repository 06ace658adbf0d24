"""Granules: what a file's name says about it, and the pairing of radiance with observation geometry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from spectf_cloud.dataset import find_observation
from spectf_cloud.errors import InputError

Kind = Literal["radiance", "observation"]

_KINDS: dict[str, Kind] = {"rad": "radiance", "rdn": "radiance", "obs": "observation"}
# As the archive delivers them, and as EMIT's own processing names its ENVI files: the same second, the same granule.
_DELIVERED = re.compile(r"EMIT_L1B_(?P<kind>RAD|OBS)_[^_]+_(?P<time>\d{8}t\d{6})", re.IGNORECASE)
_PRODUCTION = re.compile(r"emit(?P<time>\d{8}t\d{6})_.*?_(?P<kind>rdn|rad|obs)(?=_|$)", re.IGNORECASE)
_OTHER = re.compile(r"(?P<head>.+?)_(?P<kind>rdn|rad|obs)(?P<tail>_.*)?$", re.IGNORECASE)
_TIME = re.compile(r"(\d{8})[tT](\d{6})")
_DATA_SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5", ".hdr", ".img")


@dataclass(frozen=True, order=True)
class Granule:
    """One scene to mask: its id, and where its files are (paths or addresses).

    `observation` is None where no geometry was offered; it is then looked for beside the radiance.
    """

    id: str
    radiance: str
    observation: str | None = None


@dataclass(frozen=True)
class Paired:
    """Granules in the order of their ids, and the radiance files left out because their granule is there already."""

    granules: tuple[Granule, ...]
    repeated: tuple[str, ...]


def is_address(source: str) -> bool:
    """Whether this is an address rather than a path."""
    return source.startswith(("http://", "https://"))


def file_name(source: str) -> str:
    """The last part of a path or of an address."""
    return Path(unquote(urlsplit(source).path) if is_address(source) else source).name


def read_name(source: str) -> tuple[str, Kind] | None:
    """The granule's id and what the file holds, as its name says; None where it says neither.

    The two names of an EMIT granule give one id, ``emit20240301t093000``.
    """
    name = file_name(source)
    stem = name[: -len(suffix)] if (suffix := _data_suffix(name)) else name
    for pattern in (_DELIVERED, _PRODUCTION):
        if found := pattern.match(stem):
            return f"emit{found['time'].lower()}", _KINDS[found["kind"].lower()]
    if found := _OTHER.match(stem):
        return found["head"] + (found["tail"] or ""), _KINDS[found["kind"].lower()]
    return None


def is_granule_file(path: Path) -> bool:
    """Whether a file met in a folder is one of a granule, not the data beside a header that stands for it."""
    if read_name(path.name) is None or (path.suffix and not _data_suffix(path.name)):
        return False
    return path.suffix not in ("", ".img") or not _headers(path)


def acquired(granule_id: str) -> datetime | None:
    """When the granule was seen (UTC), as far as its id tells."""
    found = _TIME.search(granule_id)
    try:
        return datetime.strptime("".join(found.groups()), "%Y%m%d%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def pair(offers: Iterable[str | Granule]) -> Paired:
    """Make granules of loose files, and keep those that come as pairs; each granule once.

    A file whose name says nothing is taken for radiance. Geometry from the same folder comes first, then from
    anywhere among the offers, then from beside the radiance.
    """
    offers = list(offers)
    names = [(offer, read_name(offer)) for offer in offers if isinstance(offer, str)]
    geometry: dict[str, list[str]] = {}
    for source, name in names:
        if name and name[1] == "observation":
            geometry.setdefault(name[0], []).append(source)
    granules: dict[str, Granule] = {}
    repeated: list[str] = []
    loose = [
        Granule(name[0] if name else Path(file_name(source)).stem, source)
        for source, name in names
        if not name or name[1] == "radiance"
    ]
    for granule in [*(offer for offer in offers if isinstance(offer, Granule)), *loose]:
        if granule.id not in granules:
            observation = granule.observation or _observation(granule, geometry.get(granule.id, []))
            granules[granule.id] = Granule(granule.id, granule.radiance, observation)
        elif not _same_cube(granules[granule.id].radiance, granule.radiance):
            repeated.append(granule.radiance)
    return Paired(tuple(sorted(granules.values())), tuple(repeated))


def _observation(granule: Granule, offered: list[str]) -> str | None:
    folder = granule.radiance.rpartition("/")[0]
    beside = [source for source in offered if source.rpartition("/")[0] == folder]
    if beside or offered:
        return (beside or offered)[0]
    if is_address(granule.radiance):
        return None
    try:
        return str(find_observation(Path(granule.radiance)))
    except InputError:
        return None


def _same_cube(one: str, other: str) -> bool:
    """Whether two names are of one file, or of the header and the data of one ENVI cube."""
    return _without_suffix(one) == _without_suffix(other)


def _without_suffix(source: str) -> str:
    suffix = _data_suffix(source)
    return source[: -len(suffix)] if suffix in (".hdr", ".img") else source


def _data_suffix(name: str) -> str:
    return next((suffix for suffix in _DATA_SUFFIXES if name.lower().endswith(suffix)), "")


def _headers(path: Path) -> bool:
    return path.with_name(path.name + ".hdr").is_file() or path.with_suffix(".hdr").is_file()
