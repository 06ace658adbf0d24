"""Every page as it looks at two sizes. `pytest --snapshot-update` accepts a new look; look at it first."""

import numpy as np
import pytest
from textual.widgets import Input
from tui_app import choose, known_rate, make_app, until

from spectf_cloud.dataset import open_scene
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.train_page import TrainPage

from scene_files import arrays, write_emit

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
_STILL = 4  # pictures in a row that are the same
STEM = "EMIT_L1B_{}_001_20240203T040506_2403404_007"
TAGS = {"SPECTF_WEIGHTS": "builtin", "SPECTF_RADIANCE": f"{STEM.format('RAD')}.nc", "SPECTF_THRESHOLD": "0.51"}


@pytest.fixture
def app(tmp_path, monkeypatch):
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


async def settled(pilot, page=None):
    """The page has the focus, nothing blinks, and the picture has stopped changing."""
    if page is not None:
        await until(pilot, lambda: page.has_focus_within, "the page asked for")
    for field in pilot.app.query(Input):
        field.cursor_blink = False
    seen, same = "", 0
    while same < _STILL:
        await pilot.pause(0.05)
        now = pilot.app.export_screenshot()
        seen, same = now, same + 1 if now == seen else 0


@SIZES
def test_scenes(app, snap_compare, size):
    async def show(pilot):
        await choose(pilot, f"{STEM.format('RAD')}.nc")
        await until(pilot, lambda: app.query_one("#thumbnail", Picture).shows_something)
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=show)


@SIZES
def test_mask(app, snap_compare, size):
    async def show(pilot):
        page = app.query_one(MaskingPage)
        page.choose(app.query_one("ScenesPage").folder / f"{STEM.format('RAD')}.nc")
        await pilot.press("f3")
        await settled(pilot, page)
        app.query_one("#option-threshold Input").focus()
        await pilot.press("2")
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=show)


@SIZES
def test_result(app, snap_compare, size):
    async def show(pilot):
        page = app.query_one(ResultPage)
        page.open_result(app.query_one("ScenesPage").folder / "first_prob.tif")
        await pilot.press("f4")
        await until(pilot, lambda: page.result is not None and page.result.rgb is not None)
        await settled(pilot, page)
        page.query_one("#threshold").focus()
        await pilot.press("right", "right", "b")
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=show)


@SIZES
def test_train(app, snap_compare, size):
    async def show(pilot):
        page = app.query_one(TrainPage)
        await pilot.press("f5")
        page.open_run(app.query_one("ScenesPage").folder / "run")
        await settled(pilot, page)

    assert snap_compare(app, terminal_size=size, run_before=show)


def test_the_tour(app, snap_compare):
    async def show(pilot):
        await until(pilot, lambda: app.query_one("ScenesPage")._told is not None, "the card of the folder behind it")
        app.action_tour()
        await settled(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=show)
