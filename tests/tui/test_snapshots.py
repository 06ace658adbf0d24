"""Every page as it looks at two sizes. `pytest --snapshot-update` accepts a new look; look at it first."""

import pytest
from textual.widgets import Input
from tui_app import STEM, choose, small_archive, until  # noqa: F401 - a fixture

from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.train_page import TrainPage

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
_STILL = 4  # pictures in a row that are the same


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
        await until(pilot, lambda: app.query_one("ScenesPage")._on_card is not None, "the card of the folder behind it")
        app.action_tour()
        await settled(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=show)
