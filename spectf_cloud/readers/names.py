"""What file names say: radiance, observation geometry or something else, and which two files belong together.

Names of EMIT (netCDF and ENVI), AVIRIS-NG, -3, -5 and Classic, PRISM, and any pair that differs in its ``rdn`` or
``rad`` and ``obs``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spectf_cloud.readers.envi import DATA_SUFFIXES

Kind = Literal["radiance", "observation", "other"]
Rank = tuple[int, ...]
Ranked = tuple[Rank, Path]
_TWIN: Rank = (1,)

#: Suffixes of netCDF-4 and HDF5.
HDF5_SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5")
HEADER = ".hdr"

_RADIANCE, _OBSERVATION = ("rdn", "rad", "radiance"), ("obs", "observation", "observations")
# What deliveries call files that are neither: location, look-up tables, later levels, masks.
_OTHERS = (
    "loc", "glt", "igm", "lut", "eph", "atm", "lbl", "h2o", "rfl", "rflunc", "rfluncert", "unc", "uncert", "maskuncert",
    "mask", "masks", "bandmask", "truth", "l2a", "l2b", "l3",
)  # fmt: skip
# A word stands between separators; AVIRIS Classic writes rdn right behind its flight line.
_START, _END = r"(?:^|[_-]|(?<=p\d\dr\d\d))", r"(?=[_-]|$)"
_ROLE = re.compile(f"{_START}({'|'.join((*_RADIANCE, *_OBSERVATION, *_OTHERS))}){_END}", re.IGNORECASE)
_MADE_OF = re.compile(f"{_START}(?:{'|'.join((*_RADIANCE, *_OBSERVATION))}){_END}", re.IGNORECASE)
_EMIT = re.compile(r"(?:EMIT_L1B_(?:RAD|OBS)_[^_]+_|emit)(\d{8}t\d{6})(?=[_.-]|$)", re.IGNORECASE)
# A flight line and, where the delivery cuts it, its scene: AV3<date>t<time>_<scene>, ang…, prm…; AVIRIS Classic f….
_FLIGHT_LINE = re.compile(r"[a-z]{1,6}\d?\d{8}t\d{6}(?:_\d{3}(?=_|$))?|f\d{6}t\d\dp\d\dr\d\d", re.IGNORECASE)
# Words that tell how a file was made, not what it shows: level, version, build, checksum, grid; Classic's one letter.
_PROCESSING = re.compile(r"l1[ab]?|v\d\w*|b\d{4}|[0-9a-f]{8}|main|img|ort|ortho")
_CLASSIC_VERSION = re.compile(r"[a-z]")
_GRIDDED = re.compile(r"(?:^|[_-])ort(?:ho)?(?=[_-]|$)", re.IGNORECASE)
# Names of folders of geometry alone: OBS, L1B_ORT, observations.
_OBS_FOLDER = re.compile(r"(?:l1b?[_-])?(?:obs|observations?|geometry|ort)", re.IGNORECASE)


# A path of an address has lost one of its two slashes.
_ADDRESS = re.compile(r"((?:/vsi[a-z0-9_]+/)?[a-z][a-z0-9+.-]+:)/+(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Name:
    """What one name says.

    Attributes
    ----------
    id
        The granule's id: the name without suffix and role; ``emit20240301t093000`` for all names of an EMIT granule.
    line
        The flight line or granule, lower-case, that files of one acquisition share; empty where the name has none.
    words
        The other words of the name, lower-case, in order.
    gridded
        Whether it says that the file is on a map grid.
    """

    id: str
    kind: Kind
    line: str
    words: tuple[str, ...]
    gridded: bool

    @property
    def subject(self) -> tuple[str, ...]:
        """The words that tell apart what was seen: a scene, a part of a line."""
        if self.line.startswith("emit"):
            return ()
        classic = self.line.startswith("f")
        return tuple(
            word
            for word in self.words
            if not self.line or not (_PROCESSING.fullmatch(word) or (classic and _CLASSIC_VERSION.fullmatch(word)))
        )


def read_name(name: str) -> Name | None:
    """What a file's name says; None where it says nothing of its kind. The last role in it counts.

    >>> read_name("AV320230418t211703_003_L1B_ORT_3f4aef90_OBS.nc").kind
    'observation'
    """
    stem = stem_of(name)
    roles = list(_ROLE.finditer(stem))
    if not roles:
        return None
    word = roles[-1][1].lower()
    kind: Kind = "radiance" if word in _RADIANCE else "observation" if word in _OBSERVATION else "other"
    gridded = bool(_GRIDDED.search(stem, roles[-1].end()))
    rest = _MADE_OF.sub("", stem).lstrip("_-")
    if emit := _EMIT.match(stem):
        line = f"emit{emit[1].lower()}"
        return Name(line, kind, line, _words(rest), gridded)
    flown = _FLIGHT_LINE.match(rest)
    line = flown[0].lower() if flown else ""
    return Name(rest, kind, line, _words(rest[len(line) :]), gridded) if rest else None


def likeness(radiance: Name, observation: Name) -> Rank | None:
    """How well two names fit, greater is better; None where they are of different scenes."""
    if radiance.line != observation.line:
        return None
    seen, other = radiance.subject, observation.subject
    if seen != other and not (radiance.line and not (seen and other)):
        return None
    same_grid = radiance.gridded == observation.gridded
    twins = same_grid and radiance.words == observation.words
    return int(twins), int(seen == other), int(same_grid), len(set(radiance.words) & set(observation.words))


def is_twin(rank: Rank) -> bool:
    """Whether the names differ in nothing but their role."""
    return rank[0] == 1


def observations_beside(radiance: Path) -> list[Ranked]:
    """OBS files of the same scene in the folder of the radiance, else in folders beside it; the likeliest first."""
    if (twin := _twin(radiance)) is not None:
        return [(_TWIN, twin)]
    name = read_name(radiance.name)
    if name is None:
        return []
    here = _alike(name, [radiance.parent])
    return here or _alike(name, _sisters(radiance.parent, name.line))


def stem_of(name: str) -> str:
    """The name without the suffixes that tell its format: ``a_rdn`` of ``a_rdn.img.hdr``."""
    suffix = suffix_of(name)
    stem = name[: len(name) - len(suffix)]
    return stem_of(stem) if suffix == HEADER else stem


def suffix_of(name: str) -> str:
    """The suffix of netCDF, HDF5, or an ENVI header or its data, lower-case; empty for any other."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in (HEADER, *HDF5_SUFFIXES, *DATA_SUFFIXES) else ""


def is_data_name(name: str) -> bool:
    """Whether a cube may be called so: with a suffix of its format, or without any, as ENVI data often are."""
    return bool(suffix_of(name)) or not Path(name).suffix


def other_halves(name: str) -> list[str]:
    """What the data of an ENVI header, or the header of ENVI data, may be called."""
    stem = name[: len(name) - len(suffix_of(name))]
    if suffix_of(name) == HEADER:
        return [stem + suffix for suffix in DATA_SUFFIXES]
    return list(dict.fromkeys((name + HEADER, stem + HEADER)))


def has_header(path: Path) -> bool:
    """Whether an ENVI header stands beside this file."""
    halves = other_halves(path.name)
    halves += [half.removesuffix(HEADER) + HEADER.upper() for half in halves]
    return any(path.with_name(half).is_file() for half in halves)


def one_a_cube(candidates: Iterable[Ranked]) -> list[Ranked]:
    """The likeliest first; an ENVI cube that is there by header and data once, by its data."""
    cubes: dict[Path, Ranked] = {}
    for rank, path in sorted(candidates, key=lambda entry: (suffix_of(entry[1].name) == HEADER, entry[1])):
        cube = path if path.suffix.lower() in HDF5_SUFFIXES else path.with_name(stem_of(path.name))
        cubes.setdefault(cube, (rank, path))
    return sorted(cubes.values(), key=lambda entry: entry[0], reverse=True)


def _words(rest: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[_-]", rest.lower()) if word)


def _twin(radiance: Path) -> Path | None:
    """The file whose name differs in nothing but its role."""
    for pattern in (r"(.*_)(rdn|rad)(_.*)", r"(.*_)(radiance|rdn|rad)(.*)"):
        if found := re.fullmatch(pattern, radiance.name, re.IGNORECASE):
            role = "OBS" if found[2].isupper() else "obs"
            twin = radiance.with_name(found[1] + role + found[3])
            if twin.is_file():
                return twin
    return None


def _alike(radiance: Name, folders: Iterable[Path]) -> list[Ranked]:
    ranked: list[Ranked] = []
    for path in (path for folder in folders for path in _files(folder)):
        name = read_name(path.name) if "obs" in path.name.lower() and is_data_name(path.name) else None
        if name and name.kind == "observation" and (rank := likeness(radiance, name)) and path.is_file():
            ranked.append((rank, path))
    return one_a_cube(ranked)


def _sisters(folder: Path, line: str) -> list[Path]:
    """Folders beside this one that are named after geometry, after the flight line, or as this one but for the role."""
    own = folder.resolve()
    rest = _MADE_OF.sub("", own.name)

    def is_one(path: Path) -> bool:
        name = path.name
        same_but_role = rest != own.name and _MADE_OF.sub("", name) == rest
        return same_but_role or bool(_OBS_FOLDER.fullmatch(name)) or bool(line and line in name.lower())

    return sorted(path for path in _files(own.parent) if path != own and is_one(path) and path.is_dir())


def _files(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where it may not be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def address_of(path: Path) -> str | None:
    """The address that was taken for a path, as it was typed; None where it is none."""
    text = str(path)
    if found := _ADDRESS.fullmatch(text):
        local = "/" if found[1].lower() == "file:" else ""  # file:///home/…
        return f"{found[1]}//{local}{found[2]}"
    return text if text.startswith("/vsi") else None
