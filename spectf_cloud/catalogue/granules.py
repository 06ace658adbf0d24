"""Granules: what a file's name says, and the pairing of radiance with observation geometry."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spectf_cloud.dataset import choose_observation, find_observation
from spectf_cloud.errors import InputError
from spectf_cloud.readers import acquisition, names
from spectf_cloud.readers.names import Name, Rank

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
#: Schemes of paths (none) and of addresses that files are fetched from.
READABLE_SCHEMES = ("", "http", "https")
# OPeNDAP services and STAC items have the same names, but are not the files.
_SERVICE = re.compile(
    r"/(opendap|hyrax|thredds/dodsc)/|://opendap\.|\.dap(\.nc4?)?$|\.dmr(pp)?$|/items/[^/]+/?$", re.IGNORECASE
)


@dataclass(frozen=True, order=True)
class Granule:
    """One scene to mask: its id, and where its files are (paths or addresses).

    `observation` is None if no geometry was given; it is then looked for next to the radiance.
    """

    id: str
    radiance: str
    observation: str | None = None


@dataclass(frozen=True)
class Paired:
    """Granules by id, and the radiance files left out because their granule was already given."""

    granules: tuple[Granule, ...]
    repeated: tuple[str, ...]


def is_address(source: str) -> bool:
    """Return whether this is an address that files are fetched from, rather than a path."""
    return scheme_of(source) in READABLE_SCHEMES[1:]


def scheme_of(source: str) -> str:
    """Return the scheme in lower case; empty for a path.

    >>> scheme_of("S3://bucket/scene.nc"), scheme_of("/data/scene.nc")
    ('s3', '')
    """
    found = _SCHEME.match(source)
    return found[1].lower() if found else ""


def local_path(source: str) -> str:
    """Return a ``file://`` address as a path; anything else unchanged.

    >>> local_path("file:///data/a%20scene.nc")
    '/data/a scene.nc'
    """
    return unquote(urlsplit(source).path) if scheme_of(source) == "file" else source


def check_source(source: str) -> None:
    """Raise `InputError` for an address of an unsupported scheme, such as s3://."""
    scheme = scheme_of(source)
    if scheme not in READABLE_SCHEMES:
        raise InputError(f"{source}: {scheme}:// is not supported; give the file's https:// address or a local copy")


def is_data_place(source: str) -> bool:
    """Return whether a path or an address can be that of a scene's file."""
    place = urlsplit(source)._replace(query="", fragment="").geturl() if scheme_of(source) else source
    return not (scheme_of(source) and _SERVICE.search(place)) and names.is_data_name(file_name(source))


def file_name(source: str) -> str:
    """Return the last part of a path or an address.

    >>> file_name("https://host/data/scene.nc?version=2")
    'scene.nc'
    """
    return Path(unquote(urlsplit(source).path) if scheme_of(source) else source).name


def read_name(source: str) -> Name | None:
    """Return what a file's name says about radiance or observation; None if it says neither."""
    name = names.read_name(file_name(source))
    return None if name is None or name.kind == "other" else name


def is_granule_file(path: Path) -> bool:
    """Return whether a file in a folder stands for a granule; ENVI data with a header do not, the header does."""
    if read_name(path.name) is None or not names.is_data_name(path.name):
        return False
    return path.suffix.lower() in (names.HEADER, *names.HDF5_SUFFIXES) or not names.has_header(path)


def acquired(granule_id: str) -> datetime | None:
    """Return when the granule was acquired (UTC); None if its id does not say."""
    seen = acquisition.acquired(granule_id)
    return None if seen is None else seen.time


def pair(offers: Iterable[str | Granule]) -> Paired:
    """Make granules from single files, and keep those that come as pairs; each granule once.

    A file whose name says nothing counts as radiance. Geometry is taken from the offers in the same folder, else from
    all offers, else from the files next to the radiance.
    """
    offers = list(offers)
    read = [(offer, read_name(offer)) for offer in offers if isinstance(offer, str)]
    geometry: dict[str, list[tuple[str, Name]]] = {}
    for source, name in read:
        if name and name.kind == "observation":
            geometry.setdefault(_scene(name), []).append((source, name))
    granules: dict[str, Granule] = {}
    repeated: list[str] = []
    loose = [granule_of(source) for source, name in read if not name or name.kind == "radiance"]
    for granule in [*(offer for offer in offers if isinstance(offer, Granule)), *loose]:
        if granule.id not in granules:
            observation = granule.observation or _observation(granule.radiance, geometry)
            granules[granule.id] = replace(granule, observation=observation)
        elif not _same_cube(granules[granule.id].radiance, granule.radiance):
            repeated.append(granule.radiance)
    return Paired(tuple(sorted(granules.values())), tuple(repeated))


def granule_of(radiance: str, observation: str | None = None) -> Granule:
    """Return the granule of a radiance file, with the id from its name."""
    name = read_name(radiance)
    return Granule(name.id if name else Path(file_name(radiance)).stem, radiance, observation)


def _scene(name: Name) -> str:
    """Return what all files of one scene share: its flight line, else the name without its role."""
    return name.line or name.id.lower()


def _observation(radiance: str, geometry: dict[str, list[tuple[str, Name]]]) -> str | None:
    """Return the best OBS file of those offered, else the one next to the radiance; None if neither fits."""
    name = read_name(radiance)
    offered = geometry.get(_scene(name), []) if name else []
    fitting = [(rank, source) for source, other in offered if name and (rank := names.likeness(name, other))]
    folder = radiance.rpartition("/")[0]
    fitting = [entry for entry in fitting if entry[1].rpartition("/")[0] == folder] or fitting
    paths = [(rank, Path(source)) for rank, source in fitting if not is_address(source)]
    if is_address(radiance) or (fitting and not paths):
        return _likeliest(fitting)
    try:
        return str(choose_observation(Path(radiance), paths) if paths else find_observation(Path(radiance)))
    except InputError:
        return None


def _likeliest(ranked: Sequence[tuple[Rank, str]]) -> str | None:
    """Return the best by name; None if two different ones are equally good."""
    best = [source for rank, source in ranked if rank == max(ranked)[0]]
    return best[0] if len({file_name(_without_suffix(source)) for source in best}) == 1 else None


def _same_cube(one: str, other: str) -> bool:
    """Return whether two names are one file, even by a link, or the header and data of one ENVI cube."""
    if _without_suffix(one) == _without_suffix(other):
        return True
    return not is_address(one) and not is_address(other) and os.path.realpath(one) == os.path.realpath(other)


def _without_suffix(source: str) -> str:
    suffix = names.suffix_of(source)
    return source if suffix in names.HDF5_SUFFIXES else source[: len(source) - len(suffix)]
