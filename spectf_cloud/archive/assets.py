"""Which assets of a STAC item are radiance and geometry: by role, media type and name, never by position."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pystac

from spectf_cloud.archive.granules import (
    Granule,
    file_name,
    is_address,
    is_data_place,
    local_path,
    read_name,
    scheme_of,
)
from spectf_cloud.readers import names
from spectf_cloud.readers.names import Kind, Name

_NO_DATA_ROLES = frozenset(("thumbnail", "overview", "browse", "visual", "metadata", "documentation", "checksum"))
_NO_DATA_TYPE = re.compile(
    r"image/(png|jpe?g|gif|webp)|text/(html|xml)|application/(pdf|.*json|.*xml|.*opendap.*)", re.IGNORECASE
)
# Words of an asset's key or title, where the file's name says nothing.
_KEY_KINDS: dict[Kind, re.Pattern[str]] = {
    "observation": re.compile(r"(?:^|[\W_])(obs|observations?)(?=[\W_]|$)", re.IGNORECASE),
    "radiance": re.compile(r"(?:^|[\W_])(rad|rdn|radiance)(?=[\W_]|$)", re.IGNORECASE),
}
_UNSAFE = re.compile(r"[^\w-]+")


@dataclass(frozen=True, order=True)
class _Found:
    """A place that an asset names; the greatest is the one to take."""

    readable: bool
    has_role: bool
    netcdf: bool
    has_data: bool
    place: str


def offers_of(item: pystac.Item, source: str) -> Iterator[str | Granule]:
    """The granules of an item, then the OBS files that belong to none of them; ``source`` is where it was read from."""
    radiances, observations = _files(item, source, "radiance"), _files(item, source, "observation")
    left = dict(observations)
    for name, place in radiances:
        observation = _fitting(name, place, observations, alone=len(radiances) == len(observations) == 1)
        if observation is not None:
            left.pop(observation, None)
        yield Granule(name.id, place, dict(observations).get(observation) if observation else None)
    yield from (place for place in left.values() if read_name(place))


def _files(item: pystac.Item, source: str, kind: Kind) -> list[tuple[Name, str]]:
    """Files of a kind, each once at its best place."""
    found: dict[Name, list[_Found]] = {}
    for key, asset in item.assets.items():
        roles = {role.lower() for role in asset.roles or ()}
        media = asset.media_type or ""
        if (roles & _NO_DATA_ROLES and "data" not in roles) or _NO_DATA_TYPE.match(media):
            continue
        for place in filter(is_data_place, _places(asset, source)):
            name = _name(item.id, key, asset, place)
            if name is not None and name.kind == kind:
                suffix = names.suffix_of(file_name(place))
                netcdf = suffix in names.HDF5_SUFFIXES
                readable = scheme_of(place) in ("", "http", "https")
                one = _Found(readable, "data" in roles, netcdf, suffix != names.HEADER, place)
                found.setdefault(name, []).append(one)
    best: dict[str, tuple[_Found, Name]] = {}
    for name, places in found.items():
        here = max(places)
        if name.id not in best or here > best[name.id][0]:
            best[name.id] = here, name
    return [(name, here.place) for here, name in best.values()]


def _name(item_id: str, key: str, asset: pystac.Asset, place: str) -> Name | None:
    """What the file's name says, else what the asset's key or title says; None for neither kind."""
    if (name := names.read_name(file_name(place))) is not None:
        return name
    for text in (key, asset.title or ""):
        for kind, words in _KEY_KINDS.items():
            if words.search(text):
                return Name(_UNSAFE.sub("_", item_id), kind, "", (item_id.lower(),), gridded=False)
    return None


def _places(asset: pystac.Asset, source: str) -> Iterator[str]:
    """Where the asset may be had: its own place and its alternates, absolute."""
    yield _absolute(asset.href, asset.get_absolute_href(), source)
    alternates = asset.extra_fields.get("alternate")
    for other in alternates.values() if isinstance(alternates, dict) else ():
        if isinstance(other, dict) and isinstance(other.get("href"), str):
            yield _absolute(other["href"], None, source)


def _absolute(href: str, told: str | None, source: str) -> str:
    """A relative place counts from the file that was read, where it is there, else from the item's own address."""
    if scheme_of(href) or Path(href).is_absolute():
        return local_path(href)
    beside = urljoin(source, href) if is_address(source) else os.path.normpath(Path(source).parent / href)
    return beside if told is None or Path(beside).exists() else local_path(told)


def _fitting(radiance: Name, place: str, observations: list[tuple[Name, str]], *, alone: bool) -> Name | None:
    """The observation of the same scene; None where several fit and the files themselves can decide."""
    if alone and not (radiance.line and observations[0][0].line):
        return observations[0][0]
    ranked = [(rank, name) for name, _ in observations if (rank := names.likeness(radiance, name))]
    if len(ranked) > 1 and not is_address(place):
        return None
    best = [name for rank, name in ranked if rank == max(rank for rank, _ in ranked)]
    return best[0] if len(best) == 1 else None
