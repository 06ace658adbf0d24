"""Libraries that only some archive runs need."""

from __future__ import annotations

from importlib.util import find_spec

from spectf_cloud.errors import MissingExtraError

_EXTRA = {"earthaccess": "earthdata"}


def need(module: str, what: str) -> None:
    """Raises `MissingExtraError` with the command that installs ``module``, unless it is there."""
    if find_spec(module) is None:
        extra = _EXTRA.get(module, "dask")
        raise MissingExtraError(f"{what} needs {module}; install it with: pip install 'spectf-cloud[{extra}]'")
