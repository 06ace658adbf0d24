"""The application as tests drive it: a fresh memory, a size, and waiting for what a thread or a child brings."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from spectf_cloud.cli.main import app
from spectf_cloud.dataset import open_scene
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.tui.app import SpectfApp
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.preferences import Preferences, Rate, model_key

from scene_files import arrays, write_emit

# Children share this machine with whatever else it does; only a hang takes so long.
_PATIENCE_S = 240.0

COMMANDS = get_command(app)
STEM = "EMIT_L1B_{}_001_20240203T040506_2403404_007"
TAGS = {"SPECTF_WEIGHTS": "builtin", "SPECTF_RADIANCE": f"{STEM.format('RAD')}.nc", "SPECTF_THRESHOLD": "0.51"}


def make_app(folder: Path, memory: Path, **kept) -> SpectfApp:
    """An application that has been here before, unless ``tour_seen`` says otherwise."""
    return SpectfApp(folder, COMMANDS, Preferences(memory / "tui.json", **{"tour_seen": True, **kept}))


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


@pytest.fixture(name="app")
def small_archive(tmp_path, monkeypatch):
    """In a folder with a granule, a folder, and a probability that is a ramp over two clouds."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    place = tmp_path / "scenes"
    (place / "2024").mkdir(parents=True)
    monkeypatch.chdir(place)
    rng = np.random.default_rng(3)
    data = arrays(24, 20)
    line, sample = np.mgrid[:24, :20]
    cloud = np.exp(-((line - 7) ** 2 + (sample - 6) ** 2) / 30) + np.exp(-((line - 17) ** 2 + (sample - 14) ** 2) / 18)
    data.radiance[:] = (3 + 12 * cloud[..., None]) * np.linspace(1.2, 0.2, 12) * rng.uniform(0.9, 1.1, (24, 20, 1))
    rad, obs = write_emit(place, data)
    probability = np.clip(cloud + rng.normal(0, 0.05, cloud.shape), 0.01, 0.99).astype(np.float32)
    probability[:, 19] = -9999
    CloudMask(open_scene(rad, obs), probability, 0.51, TAGS).to_probability_geotiff(place / "first_prob.tif")
    (place / "run").mkdir()
    epochs = [f"{n},{0.6 / n:.4f},{0.7 / n + 0.05:.4f},{1 - 0.4 / n:.4f},{1 - 0.1 / n:.4f},900" for n in range(1, 9)]
    header = "epoch,train_loss,val_loss,val_f1,val_auc,spectra_per_s"
    (place / "run" / "metrics.csv").write_text("\n".join([header, *epochs]))
    return make_app(place.relative_to(place), tmp_path, rates=known_rate())
