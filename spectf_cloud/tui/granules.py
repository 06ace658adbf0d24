"""Which files of a folder to show: radiance granules and saved probabilities, by name alone and so fast."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from spectf_cloud.readers.names import HEADER, other_halves, read_name

_PROBABILITY_ENDING = "_prob.tif"
# A card is not worth walking a whole archive.
_MAX_FOLDERS = 2000

# Delivered names are long and start alike.
_DELIVERED = re.compile(r"^EMIT_L1B_RAD_[0-9]{3}_")


def short_name(path: Path) -> str:
    """Return the distinctive part of the name of a granule or its probability.

    >>> short_name(Path("EMIT_L1B_RAD_001_20240301T093000_2406106_012.nc"))
    '20240301T093000_2406106_012'
    """
    return _DELIVERED.sub("", path.name).removesuffix(_PROBABILITY_ENDING).removesuffix(".nc")


def is_probability(path: Path) -> bool:
    """Return whether the name is one that ``deploy-pt --proba`` gives."""
    return path.name.endswith(_PROBABILITY_ENDING)


def worth_showing(paths: Iterable[Path]) -> list[Path]:
    """Return EMIT-like netCDF, headers of ENVI pairs and saved probabilities, without touching the disk."""
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
    """Files in a folder and its sub-folders; `whole` is false if some folders were not searched."""

    granules: list[Path] = field(default_factory=list)
    probabilities: list[Path] = field(default_factory=list)
    whole: bool = True


def below(folder: Path, cancelled: Callable[[], bool] = lambda: False) -> Below:
    """Find granules and saved probabilities in a folder and its sub-folders, linked but not hidden ones."""
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
