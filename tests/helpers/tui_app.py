"""The application as tests drive it: a fresh memory, a size, and waiting for what a thread or a child brings."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path

from typer.main import get_command

from spectf_cloud.cli.main import app
from spectf_cloud.tui.app import SpectfApp
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.preferences import Rate, Remembered, model_key

# Children share this machine with whatever else it does; only a hang takes so long.
_PATIENCE_S = 240.0

COMMANDS = get_command(app)


def make_app(folder: Path, memory: Path, **kept) -> SpectfApp:
    """An application that has been here before, unless ``tour_seen`` says otherwise."""
    return SpectfApp(folder, COMMANDS, Remembered(memory / "tui.json", **{"tour_seen": True, **kept}))


def known_rate() -> dict:
    """A memory of one earlier job."""
    key = model_key("builtin", "faithful", "-1")
    rate = Rate(1000.0, 3.0, 10_000)
    return {key: {"pixels_per_s": rate.pixels_per_s, "start_s": rate.start_s, "pixels": rate.pixels}}


@asynccontextmanager
async def driven(app: SpectfApp, size: tuple[int, int] = (80, 24)):
    """The pilot of a running application; children never outlive it."""
    async with app.run_test(size=size) as pilot:
        yield pilot


async def until(pilot, condition, what: str = "") -> None:
    """Let the application work until something is so."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"it did not come to {what or condition}"
        await pilot.pause(0.02)


async def choose(pilot, name: str) -> None:
    """Move the tree's cursor to a file and wait for its card."""
    from textual.widgets import DirectoryTree

    tree = pilot.app.query_one(DirectoryTree)
    await until(pilot, lambda: any(node.data and node.data.path.name == name for node in tree.root.children), name)
    tree.move_cursor(next(node for node in tree.root.children if node.data.path.name == name))
    await pilot.pause()


def quick(app: SpectfApp) -> None:
    """Exact needs no kernel to be compiled or compared first."""
    app.query_one(MaskingPage).form.fill({"fidelity": "exact"})
