"""Which files of a folder are worth showing: radiance granules and saved probabilities. By name alone, so fast."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from spectf_cloud.readers.names import HEADER, other_halves, read_name

_PROBABILITY_ENDING = "_prob.tif"

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
