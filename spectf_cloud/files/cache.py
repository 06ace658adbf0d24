"""The cache folder: kernels, tables, engines, spectra, published weights, preferences."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return SPECTF_CACHE_DIR, else the user's cache."""
    placed = os.environ.get("SPECTF_CACHE_DIR")
    if placed:
        return Path(placed)
    import pooch  # its log and its HTTP stack take time that `--help` should not

    return Path(pooch.os_cache("spectf-cloud"))
