"""Libraries that only some runs need."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from spectf_cloud.errors import MissingExtraError

_EXTRA = {"earthaccess": "earthdata"}


def need(module: str, what: str) -> None:
    """Raises `MissingExtraError` with the command that installs ``module``, unless it is there."""
    if find_spec(module) is None:
        extra = _EXTRA.get(module, "dask")
        raise MissingExtraError(f"{what} needs {module}; install it with: pip install 'spectf-cloud[{extra}]'")


@cache
def has_torch() -> bool:
    """Return whether PyTorch can be imported; masks on a CPU are made without it too."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError):  # absent, or its libraries are
        return False
    return True
