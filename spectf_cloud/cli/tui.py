"""``spectf-cloud tui``: the terminal application."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.errors import InputError, MissingExtraError, SpectfError, UsageError


def tui(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(readable=False, help="Folder to start in.")] = Path(),
) -> None:
    """Find, mask and look at scenes in a full-screen terminal application."""
    if find_spec("textual") is None:
        raise MissingExtraError("the terminal application needs textual: pip install 'spectf-cloud[tui]'")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name one that holds scenes")
    _draw_on_terminal()

    from spectf_cloud.tui.app import SpectfApp
    from spectf_cloud.tui.pixel_images import sharp_image

    app = SpectfApp(folder, context.find_root().command, sharp_image=sharp_image())
    app.error_console.quiet = True  # the command reports a crash in one line
    app.run()
    if app.return_code:
        raise SpectfError(app.last_words)


def _draw_on_terminal() -> None:
    """Have Textual, which draws on `sys.__stderr__` and measures `sys.__stdout__`, use the one that is a terminal.

    The other may be redirected: it gets the messages of the application and its libraries.
    """
    terminal = next((stream for stream in (sys.__stderr__, sys.__stdout__) if stream and stream.isatty()), None)
    if not sys.stdin.isatty() or terminal is None:
        raise UsageError("the application needs a terminal as standard input and as standard output or error")
    sys.__stderr__ = sys.__stdout__ = terminal  # type: ignore[misc]
