"""``spectf-cloud tui``: the terminal application."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.errors import InputError, MissingExtraError, UsageError


def tui(
    folder: Annotated[Path, typer.Argument(readable=False, help="Where to look for scenes first.")] = Path(),
) -> None:
    """Find, mask and look at scenes in an application that fills the terminal."""
    if find_spec("textual") is None:
        raise MissingExtraError("the terminal application needs textual: pip install 'spectf-cloud[tui]'")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name one that holds scenes")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # Textual draws on standard error
        raise UsageError("the application needs a terminal; standard input and error must not be redirected")

    from spectf_cloud.tui.app import SpectfApp
    from spectf_cloud.tui.sharp import sharp_image

    SpectfApp(folder, sharp_image=sharp_image()).run()
