"""What ``deploy-many`` is given: files, folders, patterns, lists, STAC catalogues and searches, as granules."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from spectf_cloud.archive import extras
from spectf_cloud.archive.granules import Granule, Paired, is_address, is_granule_file, pair, read_name
from spectf_cloud.archive.search import Search
from spectf_cloud.errors import InputError, UsageError

_LISTS = (".txt", ".csv", ".parquet")
#: Columns of a list: the first is needed, the second may be left out.
_COLUMNS = ("radiance", "observation")


def find_granules(sources: Sequence[str], search: Search) -> Paired:
    """Every granule that the sources name, each once, in the order of their ids.

    Parameters
    ----------
    sources
        Paths of granule files, folders (searched to the bottom), patterns, lists (.txt, .csv, .parquet), static STAC
        catalogues (.json), addresses of either or of a STAC API.
    search
        Bounds for STAC sources; without any source, a search for EMIT granules at NASA.

    Raises
    ------
    InputError
        A source that is not there or cannot be read, or none that holds a granule.
    MissingExtraError
        A source that needs a library which is not installed.
    """
    if not sources:
        if search.collection is None:
            raise UsageError("name the granules: files, folders, patterns, lists, or a search by --collection")
        from spectf_cloud.archive.earthdata import emit_granules

        return pair(emit_granules(search))
    found = pair(offer for source in sources for offer in _expand(source, search))
    if not found.granules:
        raise InputError(f"{', '.join(sources)}: no granule there; radiance files have _RAD_ or _rdn_ in their names")
    return found


def _expand(source: str, search: Search) -> Iterator[str | Granule]:
    path = Path(source)
    if is_address(source):
        if read_name(source):
            yield source
        else:
            yield from _stac(source, search)
    elif path.is_dir():
        yield from _walk(path)
    elif path.is_file():
        if path.suffix == ".json":
            yield from _stac(source, search)
        else:
            yield from _read_list(path) if path.suffix in _LISTS else [source]
    elif glob.has_magic(source):
        yield from _matching(source)
    else:
        raise InputError(f"{source} does not exist")


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if is_granule_file(Path(place) / name):
                yield str(Path(place) / name)


def _matching(pattern: str) -> Iterator[str]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - a pattern may be absolute
    if not matches:
        raise InputError(f"{pattern} matches no file")
    for match in matches:
        if Path(match).is_dir():
            yield from _walk(Path(match))
        elif is_granule_file(Path(match)):
            yield match


def _stac(source: str, search: Search) -> Iterator[Granule]:
    extras.need("pystac", "a STAC catalogue")
    from spectf_cloud.archive.stac import stac_granules

    yield from stac_granules(source, search)


def _read_list(path: Path) -> Iterator[str | Granule]:
    try:
        if path.suffix == ".parquet":
            rows = _parquet_rows(path)
        else:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            lines = [line for line in lines if line.strip() and not line.startswith("#")]
            rows = _csv_rows(lines) if path.suffix == ".csv" else [(line.strip(), None) for line in lines]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as a list of granules: {error}") from error
    for radiance, observation in rows:
        place = _beside(path, radiance)
        name = read_name(place)
        if observation:
            yield Granule(name[0] if name else Path(place).stem, place, _beside(path, observation))
        else:
            yield place


def _csv_rows(lines: list[str]) -> list[tuple[str, str | None]]:
    """Rows of a table with the columns of a list, or of one without a header: radiance first, geometry second."""
    table = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if table and _COLUMNS[0] in table[0]:
        at = [table[0].index(name) if name in table[0] else None for name in _COLUMNS]
        return [(row[at[0] or 0], row[at[1]] if at[1] is not None and at[1] < len(row) else None) for row in table[1:]]
    return [(row[0], row[1] if len(row) > 1 else None) for row in table]


def _parquet_rows(path: Path) -> list[tuple[str, str | None]]:
    extras.need("pyarrow", "a Parquet list")
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet table ({error})") from error
    if _COLUMNS[0] not in table:
        raise InputError(f"{path}: no column 'radiance' (it has {', '.join(table)}); name the radiance files there")
    return list(zip(table[_COLUMNS[0]], table.get(_COLUMNS[1], [None] * len(table[_COLUMNS[0]])), strict=True))


def _beside(path: Path, source: str) -> str:
    """A path in a list counts from the list's own folder."""
    return source if is_address(source) else str(path.parent / source)
