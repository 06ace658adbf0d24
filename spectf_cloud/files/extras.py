"""Libraries that only some commands need."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec

from spectf_cloud.errors import MissingExtraError

logger = logging.getLogger(__name__)

_EXTRA = {"earthaccess": "earthdata", "matplotlib": "plots", "jinja2": "report"}


def need(module: str, what: str) -> None:
    """Raises `MissingExtraError` with the command that installs ``module``, unless it is there."""
    if find_spec(module) is None:
        extra = _EXTRA.get(module, "dask")
        raise MissingExtraError(f"{what} needs {module}; install it with: pip install 'spectf-cloud[{extra}]'")


def have(module: str, what: str) -> bool:
    """Return whether ``module`` is there; where it is not, warn once that ``what`` is left out."""
    try:
        need(module, what)
    except MissingExtraError as missing:
        _warn(f"left out: {missing}")
        return False
    return True


@cache
def _warn(message: str) -> None:
    logger.warning("%s", message)
