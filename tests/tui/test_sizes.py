"""Every page and every question in a terminal whose size changes at random, down to one where nothing fits."""

import random

import numpy as np
import pytest
from tui_app import STEM, choose, driven, small_archive, until  # noqa: F401 - a fixture

from spectf_cloud.tui.ask_screen import AskScreen, ConfirmScreen
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.save_screen import SaveScreen
from spectf_cloud.tui.tour_screen import TourScreen
from spectf_cloud.tui.train_page import TrainPage

EDGES = [(120, 40), (20, 5), (250, 80), (1, 1)]


def sizes(seed):
    """The edges, and a few in between."""
    chance = random.Random(seed)
    return [*EDGES, *((chance.randint(2, 200), chance.randint(1, 60)) for _ in range(1))]


async def scenes(app, pilot):
    await choose(pilot, f"{STEM.format('RAD')}.nc")
    await until(pilot, lambda: app.query_one("#thumbnail").shows_something)


async def mask(app, pilot):
    app.query_one(MaskingPage).choose(app.query_one("ScenesPage").folder / f"{STEM.format('RAD')}.nc")
    await pilot.press("f3")


async def result(app, pilot):
    page = app.query_one(ResultPage)
    page.open_result(app.query_one("ScenesPage").folder / "first_prob.tif")
    await pilot.press("f4")
    await until(pilot, lambda: page.result is not None and page.result.rgb is not None)
    app.query_one("#mask-picture").focus()
    await pilot.press("up", "plus")


async def train(app, pilot):
    await pilot.press("f5")
    app.query_one(TrainPage).open_run(app.query_one("ScenesPage").folder / "run")


@pytest.mark.parametrize("page", [scenes, mask, result, train])
async def test_a_page_fits_any_size(app, page):
    async with driven(app) as pilot:
        await page(app, pilot)
        for number, size in enumerate(sizes(page.__name__)):
            await pilot.resize_terminal(*size)
            if number == 3:  # the help beside it, from here on
                await pilot.press("f1")
        assert app.is_running and app.return_code is None


async def test_a_question_fits_any_size(app):
    async with driven(app) as pilot:
        await result(app, pilot)
        asked = SaveScreen(app.query_one(ResultPage).result), AskScreen("Which?"), ConfirmScreen("?", "y", "n")
        for screen in (*asked, TourScreen()):
            app.push_screen(screen)
            for size in ((20, 5), (90, 30)):
                await pilot.resize_terminal(*size)
            await pilot.press("escape")
            assert len(app.screen_stack) == 1


async def test_the_histogram_counts_anew_at_another_width(app):
    async with driven(app, (80, 24)) as pilot:
        await result(app, pilot)
        histogram = app.query_one("#threshold")
        for width in (120, 40):
            await pilot.resize_terminal(width, 24)
            line = histogram.render_line(0)
            assert line.cell_length == histogram.size.width
            whole = app.query_one(ResultPage).result.probability
            assert len(histogram._counts) == histogram.size.width
            assert sum(histogram._counts) == np.count_nonzero(whole >= 0)
