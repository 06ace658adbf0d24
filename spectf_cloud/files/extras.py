"""Libraries that only some runs need."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal

from spectf_cloud.errors import MissingExtraError

_MODULES = {
    "dask": ("distributed",),
    "earthdata": ("earthaccess",),
    "stac": ("antimeridian", "geopandas", "pyarrow", "pystac", "pystac_client", "shapely"),
}


def need(extra: Literal["dask", "earthdata", "stac"], what: str) -> None:
    """Raise `MissingExtraError`, with the command that installs it, unless the extra is there whole."""
    for module in _MODULES[extra]:
        if find_spec(module) is None:
            raise MissingExtraError(f"{what} needs {module}; install it with: pip install 'spectf-cloud[{extra}]'")


@cache
def has_torch() -> bool:
    """Return whether PyTorch can be imported; masks on a CPU are made without it too."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError):  # absent, or its libraries are
        return False
    return True
