"""Screens of the terminal application for the documentation, from real work on the sample granule.

    python docs/guide/tui/make_screens.py docs/guide/tui

Masks the sample in the application itself, explains a pixel, trains a small network on simulated spectra, and
exports the pages as SVG on the way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import DirectoryTree, Input
from typer.main import get_command

from spectf_cloud.__main__ import main as spectf_cloud
from spectf_cloud.cli.main import app as commands
from spectf_cloud.tui.app import SpectfApp
from spectf_cloud.tui.histogram import ThresholdHistogram
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.pixel_view import PixelView
from spectf_cloud.tui.preferences import Preferences
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.train_page import TrainPage

_SAMPLE = Path(__file__).resolve().parents[3] / "datasets" / "sample"
_NARROW, _WIDE = (80, 24), (120, 40)


async def _until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    while not condition():
        await pilot.pause(0.05)


async def _export(pilot: Pilot[None], path: Path, size: tuple[int, int]) -> None:
    await pilot.resize_terminal(*size)
    for field in pilot.app.query(Input):
        field.cursor_blink = False
    await pilot.pause(0.5)
    path.write_text(pilot.app.export_screenshot(title="SpecTf Cloud"), encoding="utf-8")


async def _masking(app: SpectfApp, pilot: Pilot[None], out: Path) -> None:
    await _export(pilot, out / "tour.svg", _NARROW)
    await pilot.press("escape")
    tree = app.query_one(DirectoryTree)
    await _until(pilot, lambda: tree.root.children)
    await pilot.press("down")
    await _until(pilot, lambda: app.query_one("#thumbnail", Picture).shows_something)
    await pilot.press("enter")
    await _until(pilot, lambda: app.query_one(MaskingPage).form.has_focus_within)
    await pilot.press("ctrl+r")
    [job] = app.masking.jobs
    await _until(pilot, lambda: job.fraction > 0.4 or job.over)
    await _export(pilot, out / "mask.svg", _NARROW)
    await _until(pilot, lambda: job.over and app.query_one(ResultPage).result)
    await _until(pilot, lambda: getattr(app.query_one(ResultPage).result, "rgb", None) is not None)


async def _looking(app: SpectfApp, pilot: Pilot[None], out: Path) -> None:
    await pilot.press("f2", "home", "down", "r")
    tree = app.query_one(DirectoryTree)
    await _until(pilot, lambda: len(tree.root.children) > 1)
    tree.move_cursor(tree.root.children[0])
    await pilot.pause(1.0)
    await _until(pilot, lambda: app.query_one("#thumbnail", Picture).shows_something)
    await _export(pilot, out / "scenes.svg", _NARROW)
    await pilot.resize_terminal(*_WIDE)
    await pilot.press("f4")
    app.query_one("#mask-picture", Picture).focus()
    await pilot.press("up", "up", "up", "right", "right")
    view = app.query_one(PixelView)
    await _until(pilot, lambda: view.explained)
    await pilot.press("b")
    app.query_one(ThresholdHistogram).focus()
    await pilot.press("right", "right", "right", "right")
    await _export(pilot, out / "result.svg", _WIDE)
    await _export(pilot, out / "result_80.svg", _NARROW)


async def _training(app: SpectfApp, pilot: Pilot[None], out: Path) -> None:
    page = app.query_one(TrainPage)
    await pilot.press("f5")
    await _until(pilot, lambda: page.form.has_focus_within)
    told = {"dataset": "spectra.h5", "train_csv": "train.csv", "test_csv": "test.csv", "outdir": "run"}
    page.form.fill({**told, "epochs": "10", "batch": "32", "lr": "0.003", "val_fraction": "0.25"})
    await pilot.press("ctrl+r")
    [job] = app.training.jobs
    await _until(pilot, lambda: len(job.epochs) >= 9 or job.over)
    await _export(pilot, out / "train.svg", _WIDE)
    await _until(pilot, lambda: job.over)
    if job.error:
        raise RuntimeError(job.error)


async def _drive(out: Path, folder: Path) -> None:
    app = SpectfApp(folder, get_command(commands), Preferences(Path("remembered.json")))
    async with app.run_test(size=_NARROW) as pilot:
        await pilot.pause(0.5)
        await _masking(app, pilot, out)
        await _looking(app, pilot, out)
        await _training(app, pilot, out)
        assert app.query_one(MaskingPage).form.problem is None


def main() -> None:
    """Write the screens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        shutil.copytree(_SAMPLE, "granules")
        spectf_cloud(["dataset", "simulate", "spectra.h5", "--scenes", "10", "--spectra-per-scene", "30", "-q"])
        spectf_cloud(["dataset", "split", "spectra.h5", "--train-csv", "train.csv", "--test-csv", "test.csv", "-q"])
        asyncio.run(_drive(out, Path("granules")))


if __name__ == "__main__":
    main()
