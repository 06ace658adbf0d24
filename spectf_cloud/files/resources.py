"""Paths of the files that come with the package: at the top of the repository, or inside the wheel."""

from __future__ import annotations

from pathlib import Path

#: Files that every installation has and that no output may replace.
RESOURCES = ("weights.pt", "weights.yml", "irr.npy", "spectf_cloud_config.yml")

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(name: str) -> Path:
    """Return the path of ``weights.pt``, ``weights.yml``, ``irr.npy`` or ``spectf_cloud_config.yml``."""
    in_wheel = _PACKAGE / "resources" / name
    return in_wheel if in_wheel.exists() else _PACKAGE.parent / name
