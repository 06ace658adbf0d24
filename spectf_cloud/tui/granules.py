"""Which files of a folder are worth showing: radiance granules and saved probabilities. By name alone, so fast."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from spectf_cloud.readers.names import HEADER, other_halves, read_name

_PROBABILITY_ENDING = "_prob.tif"
# An archive is not walked to its end for a card.
_MAX_FOLDERS = 2000

# Delivered names are long and begin alike.
_DELIVERED = re.compile(r"^EMIT_L1B_RAD_[0-9]{3}_")


def short_name(path: Path) -> str:
    """What tells a granule, or what was made of it, from others of its kind."""
    return _DELIVERED.sub("", path.name).removesuffix(_PROBABILITY_ENDING).removesuffix(".nc")


def is_probability(path: Path) -> bool:
    """Whether the name is one that ``deploy-pt --proba`` gives."""
    return path.name.endswith(_PROBABILITY_ENDING)


def worth_showing(paths: Iterable[Path]) -> list[Path]:
    """Of a folder's files: EMIT-like netCDF, headers of ENVI pairs, saved probabilities. Asks no file system."""
    listed = list(paths)
    names = {path.name.lower() for path in listed}
    return [path for path in listed if is_probability(path) or _is_granule(path, names)]


def _is_granule(path: Path, names: set[str]) -> bool:
    suffix, name = path.suffix.lower(), read_name(path.name)
    if suffix not in (".nc", HEADER) or path.name.startswith(".") or (name is not None and name.kind != "radiance"):
        return False
    return suffix != HEADER or any(half in names for half in other_halves(path.name.lower()))


@dataclass
class Below:
    """What lies below a folder, in it and in its sub-folders; `whole` is false where not all of them were looked at."""

    granules: list[Path] = field(default_factory=list)
    probabilities: list[Path] = field(default_factory=list)
    whole: bool = True


def below(folder: Path, cancelled: Callable[[], bool] = lambda: False) -> Below:
    """Granules and saved probabilities of a folder and its sub-folders, linked ones too; hidden ones left out."""
    found, looked_at = Below(), set[str]()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if cancelled() or len(looked_at) == _MAX_FOLDERS:
            found.whole = False
            break
        if real in looked_at:  # a link back
            folders.clear()
            continue
        looked_at.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in worth_showing(Path(place, name) for name in sorted(files)):
            (found.probabilities if is_probability(path) else found.granules).append(path)
    return found
