"""Input files of a command, looked for before anything large is imported."""

from __future__ import annotations

from pathlib import Path

from spectf_cloud.errors import InputError


def check_there(*paths: Path | None) -> None:
    """Raises `InputError` naming the first of these files that is not there."""
    for path in paths:
        if path is not None and not path.exists():
            raise InputError(f"{path}: no such file; check its name and folder")
