"""Optional libraries: which extra holds each, and whether it is installed."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Literal

from spectf_cloud.errors import MissingExtraError

logger = logging.getLogger(__name__)

Extra = Literal["dask", "earthdata", "plots", "report", "stac"]
_MODULES: dict[Extra, tuple[str, ...]] = {
    "dask": ("distributed",),
    "earthdata": ("earthaccess",),
    "plots": ("matplotlib",),
    "report": ("jinja2",),
    "stac": ("antimeridian", "geopandas", "pyarrow", "pystac", "pystac_client", "shapely"),
}


def need(extra: Extra, what: str) -> None:
    """Raise `MissingExtraError`, with the command that installs the extra, unless it is complete."""
    for module in _MODULES[extra]:
        if find_spec(module) is None:
            raise MissingExtraError(f"{what} needs {module}; install it with: pip install 'spectf-cloud[{extra}]'")


def have(extra: Extra, what: str) -> bool:
    """Return whether the extra is installed; if not, warn once that ``what`` is left out."""
    try:
        need(extra, what)
    except MissingExtraError as missing:
        _warn(f"left out: {missing}")
        return False
    return True


@cache
def _warn(message: str) -> None:
    logger.warning("%s", message)


@cache
def has_torch() -> bool:
    """Return whether PyTorch can be imported; a mask on a CPU does not need it."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError):  # PyTorch or a library of it is missing
        return False
    return True
