"""Inputs of ``deploy-many`` as granules: files, folders, patterns, lists, STAC catalogues and searches."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from spectf_cloud.catalogue import lists
from spectf_cloud.catalogue.granules import (
    Granule,
    Paired,
    check_source,
    is_address,
    is_data_place,
    is_granule_file,
    local_path,
    pair,
    read_name,
)
from spectf_cloud.catalogue.search import Search
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files import extras

logger = logging.getLogger(__name__)

_CATALOGUES = (".json", ".geojson")


def find_granules(sources: Sequence[str], search: Search) -> Paired:
    """Return every granule that the sources name, once, ordered by id.

    Parameters
    ----------
    sources
        Paths of granule files, folders (searched recursively, links followed), patterns, lists (.txt, .csv, .tsv,
        .parquet), static STAC catalogues (.json, .geojson), addresses of files, static catalogues or a STAC API.
    search
        Bounds for STAC sources; without any source, a search for EMIT granules at NASA.

    Raises
    ------
    InputError
        A source that does not exist or cannot be read, or sources without a granule.
    MissingExtraError
        A source needs a library that is not installed.
    """
    if not sources:
        if search.collection is None:
            raise UsageError("name the granules: files, folders, patterns, lists, or a search by --collection")
        from spectf_cloud.catalogue.earthdata import emit_granules

        return pair(emit_granules(search))
    found = pair(offer for source in sources for offer in _expand(source, search))
    if not found.granules:
        raise InputError(
            f"{', '.join(sources)}: no granule found; radiance files have _RAD_ or _rdn_ in their names; "
            "name others in a list (.csv: radiance,observation)"
        )
    return found


def _expand(source: str, search: Search) -> Iterator[str | Granule]:
    check_source(source := local_path(source))
    path = Path(source).absolute()
    if is_address(source):
        if read_name(source) and is_data_place(source):
            yield source
        else:
            yield from _stac(source, search)
    elif path.is_dir():
        yield from _walk(path, set())
    elif path.is_file():
        if path.suffix.lower() in _CATALOGUES:
            yield from _stac(str(path), search)
        else:
            yield from lists.read_list(path) if path.suffix.lower() in lists.SUFFIXES else [str(path)]
    elif glob.has_magic(source):
        yield from _matching(str(path))
    else:
        raise InputError(f"{source} does not exist; check its name and folder")


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yield granule files of a folder and its sub-folders; links are followed, but each folder is read once."""

    def warn(error: OSError) -> None:
        logger.warning("%s is left out, as it cannot be read: %s", error.filename, error.strerror)

    for place, folders, names in os.walk(folder, onerror=warn, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (str(Path(place) / name) for name in sorted(names) if is_granule_file(Path(place) / name))


def _matching(pattern: str) -> Iterator[str]:
    """Yield granule files that match, or are in folders that match; ``**`` is any number of folders, each read once."""
    head, anywhere, tail = pattern.partition("**/")
    matches = sorted(glob.glob(head))  # noqa: PTH207 - a pattern may be absolute
    if not matches:
        raise InputError(f"{pattern} matches no file")
    seen: set[tuple[int, int]] = set()
    for match in map(Path, matches):
        if match.is_dir():
            yield from (file for file in _walk(match, seen) if not anywhere or _fits(Path(file), match, tail))
        elif is_granule_file(match):
            yield str(match)


def _fits(file: Path, top: Path, tail: str) -> bool:
    """Return whether a file, or a folder between it and ``top``, matches the end of a pattern."""
    inside = file.relative_to(top)
    return any(part.match(tail) for part in (inside, *inside.parents) if part.name)


def _stac(source: str, search: Search) -> Iterator[str | Granule]:
    extras.need("stac", "a STAC catalogue")
    from spectf_cloud.catalogue.stac import stac_offers

    yield from stac_offers(source, search)
