"""Lists of granules: text with one file per line, tables (.csv, .tsv, .parquet) of radiance and observation."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from spectf_cloud.catalogue.granules import Granule, check_source, granule_of, is_address, local_path, scheme_of
from spectf_cloud.errors import InputError
from spectf_cloud.files import extras
from spectf_cloud.readers.names import suffix_of

SUFFIXES = (".txt", ".csv", ".tsv", ".parquet")
#: Names of the columns of a list; the radiance is required, the observation optional.
_RADIANCE, _OBSERVATION = ("radiance", "rdn", "rad", "rdnfp"), ("observation", "obs", "obsfp")
# In search order: a file name may contain a comma.
_SEPARATORS = ("\t", ";", ",")
_COMMENT = "#"
# Number of the row, radiance and observation.
_Row = tuple[int, str, str | None]


def read_list(path: Path) -> Iterator[str | Granule]:
    """Yield what a list names; paths are relative to the list's folder. Raises `InputError`."""
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _text_rows(path)
    if not rows:
        raise InputError(f"{path} names no granule; write one radiance file per line, followed by its OBS file")
    for number, radiance, observation in rows:
        if not radiance:
            raise InputError(f"{path}, row {number}: no radiance file; write it first, its OBS file second")
        place = _absolute(path, number, radiance)
        yield granule_of(place, _absolute(path, number, observation)) if observation else place


def _text_rows(path: Path) -> list[_Row]:
    """Read the rows without comments, blank lines and the header."""
    lines = [
        (number, line)
        for number, line in enumerate(_text(path).splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith(_COMMENT)
    ]
    first = lines[0][1].strip().lower() if lines else ""
    if first.startswith("sep=") and len(first) == len("sep=;"):  # a line for Excel
        lines, separator = lines[1:], first[-1]
    else:
        separator = _separator(path, [line for _, line in lines])
    table = [(number, cells) for number, line in lines if any(cells := _cells(line, separator))]
    at_radiance, at_observation, with_header = _columns(path, table[0][1] if table else [])
    return [
        (number, _cell(cells, at_radiance) or "", _cell(cells, at_observation))
        for number, cells in table[int(with_header) :]
    ]


def _text(path: Path) -> str:
    """Read UTF-8, with or without a byte order mark, or UTF-16 with one, as spreadsheets write it."""
    try:
        content = path.read_bytes()
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the list is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _separator(path: Path, lines: Sequence[str]) -> str:
    """Return the separator that yields files or the header's columns; a line that is a file is not split."""
    plain = path.suffix.lower() == ".txt"
    if not (plain and any(_is_file(path, line.strip()) for line in lines)):
        for separator in _SEPARATORS:
            cut = [cells for line in lines if len(cells := _cells(line, separator)) > 1]
            if cut and (
                _column(cut[0], _RADIANCE) is not None
                or all(not cells[1] or _looks_like_a_file(path, cells[1]) for cells in cut)
            ):
                return separator
    return "\t" if plain else ","


def _looks_like_a_file(path: Path, cell: str) -> bool:
    return bool(scheme_of(cell) or "/" in cell or suffix_of(cell)) or _is_file(path, cell)


def _is_file(path: Path, source: str) -> bool:
    try:
        return not scheme_of(source) and (path.parent / source).is_file()
    except (OSError, ValueError):  # too long for a name, or a null byte
        return False


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _cell(cells: Sequence[str], at: int | None) -> str | None:
    return cells[at] or None if at is not None and at < len(cells) else None


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((at for at, cell in enumerate(header) if cell.lower() in names), None)


def _columns(path: Path, first: Sequence[str]) -> tuple[int, int | None, bool]:
    """Return the columns of radiance and observation, and whether the first row is a header."""
    radiance, observation = _column(first, _RADIANCE), _column(first, _OBSERVATION)
    if radiance is not None:
        return radiance, observation, True
    if first and (observation is not None or not _looks_like_a_file(path, first[0])):
        raise InputError(
            f"{path}: its first row names neither a file nor the column 'radiance' ({', '.join(first)}); head the "
            "columns with radiance and observation, separated by a comma, semicolon or tab"
        )
    return 0, 1, False


def _parquet_rows(path: Path) -> list[_Row]:
    extras.need("stac", "a Parquet list")
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet table ({error}); write it again") from error
    columns = {name.lower(): values for name, values in table.items()}
    radiance = next((columns[name] for name in _RADIANCE if name in columns), None)
    if radiance is None:
        raise InputError(f"{path} has no column 'radiance' (it has {', '.join(table)}); name the radiance files there")
    observation = next((columns[name] for name in _OBSERVATION if name in columns), [None] * len(radiance))
    rows = enumerate(zip(radiance, observation, strict=True), start=1)
    return [(number, str(one or ""), None if other is None else str(other)) for number, (one, other) in rows]


def _absolute(path: Path, number: int, source: str) -> str:
    """Return a path of a list as absolute, relative to the list's folder; an address unchanged."""
    source = local_path(source)
    if is_address(source):
        return source
    try:
        check_source(source)
    except InputError as error:
        raise InputError(f"{path}, row {number}: {error}") from None
    return str(path.absolute().parent / Path(source).expanduser())
