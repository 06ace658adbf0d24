"""Which assets of a STAC item are radiance and geometry: by role, media type and name, never by position."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from spectf_cloud.catalogue.granules import (
    READABLE_SCHEMES,
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

if TYPE_CHECKING:
    import pystac

_NO_DATA_ROLES = frozenset(("thumbnail", "overview", "browse", "visual", "metadata", "documentation", "checksum"))
_NO_DATA_TYPE = re.compile(
    r"image/(png|jpe?g|gif|webp)|text/(html|xml)|application/(pdf|.*json|.*xml|.*opendap.*)", re.IGNORECASE
)
# Words in an asset's key, title, roles or file name, for files whose name is not that of a granule.
_KEY_KINDS: dict[Kind, re.Pattern[str]] = {
    "observation": re.compile(r"(?:^|[\W_])(obs|observations?)(?=[\W_]|$)", re.IGNORECASE),
    "radiance": re.compile(r"(?:^|[\W_])(rad|rdn|radiance)(?=[\W_]|$)", re.IGNORECASE),
}
_UNSAFE = re.compile(r"[^\w-]+")


@dataclass(frozen=True, order=True)
class _Found:
    """A place that an asset names; the greatest is the best."""

    readable: bool
    has_role: bool
    netcdf: bool
    has_data: bool
    place: str


def offers_of(item: pystac.Item, source: str) -> Iterator[str | Granule]:
    """Yield an item's granules, then OBS files that belong to none of them; ``source`` is where it was read from."""
    radiances, observations = (
        _files(item, source, kind, by_key=False) or _files(item, source, kind, by_key=True)
        for kind in ("radiance", "observation")
    )
    taken = set()
    for name, place in radiances:
        observation = _fitting(name, place, observations, alone=len(radiances) == len(observations) == 1)
        taken.add(observation)
        yield Granule(name.id, place, observation)
    yield from (place for _, place in observations if place not in taken and read_name(place))


def _files(item: pystac.Item, source: str, kind: Kind, *, by_key: bool) -> list[tuple[Name, str]]:
    """Return files of a kind, each granule's best place once; by their own names, or by the item's words for them."""
    best: dict[str, tuple[_Found, Name]] = {}
    for key, asset in item.assets.items():
        roles = {role.lower() for role in asset.roles or ()}
        if (roles & _NO_DATA_ROLES and "data" not in roles) or _NO_DATA_TYPE.match(asset.media_type or ""):
            continue
        for place in filter(is_data_place, _places(asset, source)):
            suffix, name = names.suffix_of(file_name(place)), names.read_name(file_name(place))
            if by_key:  # a page about radiance is not radiance
                texts = (key, asset.title or "", " ".join(sorted(roles)), names.stem_of(file_name(place)))
                name = _called(item.id, texts) if name is None and (suffix or "data" in roles) else None
            if name is not None and name.kind == kind:
                readable, netcdf = scheme_of(place) in READABLE_SCHEMES, suffix in names.HDF5_SUFFIXES
                found = _Found(readable, "data" in roles, netcdf, suffix != names.HEADER, place)
                best[name.id] = max(best.get(name.id, (found, name)), (found, name), key=lambda entry: entry[0])
    return [(name, found.place) for found, name in best.values()]


def _called(item_id: str, texts: Iterable[str]) -> Name | None:
    """Return the kind that the item's texts give a file without a granule's name; None for neither kind."""
    for text in texts:
        for kind, words in _KEY_KINDS.items():
            if words.search(text):
                return Name(_UNSAFE.sub("_", item_id), kind, "", (item_id.lower(),), gridded=False)
    return None


def _places(asset: pystac.Asset, source: str) -> Iterator[str]:
    """Yield the absolute places of the asset: its own and its alternates."""
    yield _absolute(asset.href, asset.get_absolute_href(), source)
    alternates = asset.extra_fields.get("alternate")
    for other in alternates.values() if isinstance(alternates, dict) else ():
        if isinstance(other, dict) and isinstance(other.get("href"), str):
            yield _absolute(other["href"], None, source)


def _absolute(href: str, resolved: str | None, source: str) -> str:
    """Return a place as absolute: relative to the item, or to the file read where the item's address is elsewhere."""
    if scheme_of(href) or Path(href).is_absolute():
        return local_path(href)
    nearby = urljoin(source, href) if is_address(source) else os.path.normpath(Path(source).parent / href)
    place = nearby if resolved is None else local_path(resolved)
    there = not is_address(place) and Path(place).exists()
    return place if there or not Path(nearby).exists() else nearby


def _fitting(radiance: Name, place: str, observations: list[tuple[Name, str]], *, alone: bool) -> str | None:
    """Return the place of the same scene's geometry; None if several fit and only the files can decide."""
    if alone and not (radiance.line and observations[0][0].line):
        return observations[0][1]
    ranked = [(rank, other) for name, other in observations if (rank := names.likeness(radiance, name))]
    if len(ranked) > 1 and not is_address(place):
        return None
    best = [other for rank, other in ranked if rank == max(ranked)[0]]
    return best[0] if len(best) == 1 else None
