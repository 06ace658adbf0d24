"""Which files of a folder are worth showing: radiance granules and saved probabilities. By name alone, so fast."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from spectf_cloud.readers.envi import DATA_SUFFIXES

# Names that deliveries give to what is no radiance: geometry, location, look-up tables, later levels, masks.
_OTHER = re.compile(
    r"(^|[_-])(obs|loc|glt|igm|mask|masks|truth|rfl|rfluncert|maskuncert|l2a|l2b|l3)([_.-]|$)", re.IGNORECASE
)
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
    names = {path.name for path in listed}
    return [path for path in listed if is_probability(path) or _is_granule(path, names)]


def _is_granule(path: Path, names: set[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix not in (".nc", ".hdr") or path.name.startswith(".") or _OTHER.search(path.stem):
        return False
    return suffix == ".nc" or any(path.stem + ending in names for ending in DATA_SUFFIXES)
