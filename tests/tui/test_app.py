"""The application driven as a user would, with real files and real child processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from spectra_files import make_rows, write_hdf5, write_split
from textual.widgets import Button, Checkbox, DataTable, Input, RichLog, Select, Static
from tui_app import COMMANDS, choose, driven, known_rate, make_app, quick, until

from spectf_cloud.__main__ import main
from spectf_cloud.products.flags import cloud_fraction
from spectf_cloud.tui.histogram import ThresholdHistogram
from spectf_cloud.tui.job_view import JobStrip
from spectf_cloud.tui.jobs import State
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.options import Command
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.pixel_view import PixelView
from spectf_cloud.tui.plot import Plot
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.save_screen import SaveScreen
from spectf_cloud.tui.scene_tree import SceneTree
from spectf_cloud.tui.tour_screen import TourScreen
from spectf_cloud.tui.train_page import TrainPage

from scene_files import arrays, raster, write_emit

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tiny granule in the working folder."""
    place = tmp_path / "scenes"
    place.mkdir()
    glt = np.meshgrid(np.arange(1, 11), np.arange(1, 13))
    write_emit(place, arrays(12, 10), glt=tuple(glt))
    monkeypatch.chdir(place)
    return place


GRANULE = "EMIT_L1B_RAD_001_20240203T040506_2403404_007.nc"


def text_of(app, selector):
    """What a part of the screen says."""
    console = Console(width=300, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(app.query_one(selector, Static).content, markup=False, soft_wrap=True)
    return captured.get()


async def test_from_choosing_a_scene_to_saving_and_reopening(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app) as pilot:
        quick(app)
        await choose(pilot, GRANULE)
        await until(pilot, lambda: app.query_one("#thumbnail", Picture).shows_something, "the thumbnail")
        await pilot.press("enter")
        form = app.query_one(MaskingPage).form
        await until(pilot, lambda: form.has_focus_within, "the form")
        assert (form.values["rdn"], form.values["proba"], form.problem) == (GRANULE, True, None)
        assert text_of(app, "#deploy-command .shell").startswith("$ spectf-cloud deploy-pt")
        await pilot.press("ctrl+r")
        [job] = app.masking.jobs
        await until(pilot, lambda: job.over, "the end of the job")
        assert (job.state, job.error) == (State.done, "")
        result_page = app.query_one(ResultPage)
        await until(pilot, lambda: result_page.result and result_page.result.rgb is not None, "the result")
        assert cloud_fraction(result_page.mask) == job.result["cloud_fraction"]

        await pilot.press("f4")
        app.query_one(ThresholdHistogram).focus()
        await pilot.press("home", "right")
        assert app.query_one(ThresholdHistogram).value == 0.01
        await pilot.press("b")
        wanted = result_page.result.mask(0.01, 1)
        np.testing.assert_array_equal(result_page.mask, wanted)

        await pilot.press("s")
        assert isinstance(app.screen, SaveScreen)
        app.screen.query_one(Input).value = str(folder / "stricter.tif")
        await pilot.click("#save-now")
        await until(pilot, (folder / "stricter.tif").is_file, "the saved mask")
        with raster(folder / "stricter.tif") as written:
            np.testing.assert_array_equal(written.read(1), wanted)

        await pilot.press("f2", "r")
        await choose(pilot, Path(job.result["outputs"]["probability"]).name)
        before = result_page.result
        await pilot.press("enter")
        await until(pilot, lambda: result_page.result is not before and result_page.result.rgb is not None, "reopening")
        assert (result_page.result.threshold, result_page.query_one(ThresholdHistogram).value) == (0.51, 0.51)

        app.query_one("#mask-picture", Picture).focus()
        await pilot.press("up")
        view = app.query_one(PixelView)
        await until(pilot, lambda: view.explained, "the attention")
        [(pixel, explained)] = view.explained.items()
        assert explained["probability"] == pytest.approx(float(result_page.result.probability[pixel]), abs=1e-4)
        assert sum(explained["attention"]) == pytest.approx(1)
        assert len(app.query_one("#spectrum", Plot)._curves[0].x) >= 10


async def test_a_cancelled_job_leaves_no_output_and_the_queue_goes_on(tmp_path, monkeypatch):
    """On the sample granule: cancelled mid-run, in a terminal that is resized meanwhile."""
    monkeypatch.chdir(tmp_path)
    app = make_app(SAMPLE, tmp_path)
    async with driven(app) as pilot:
        quick(app)
        await choose(pilot, "EMIT_L1B_RAD_001_20230418T211703_2310814_001.nc")
        await pilot.press("enter")
        form = app.query_one(MaskingPage).form
        await until(pilot, lambda: form.has_focus_within, "the form")
        form.fill({"out": str(tmp_path / "m.tif")})
        await pilot.press("ctrl+r", "ctrl+r")
        first, second = app.masking.jobs
        assert form.values["out"] == str(tmp_path / "m_3.tif")
        await until(pilot, lambda: first.done > 0, "the first progress")
        for size in ((40, 12), (160, 50), (80, 24)):
            await pilot.resize_terminal(*size)
        assert app.query_one(JobStrip).display
        app.query_one(DataTable).move_cursor(row=1)
        await pilot.press("f8")
        assert second.state is State.cancelled
        await pilot.press("f8")
        await until(pilot, lambda: first.over, "the end of the job")
        assert first.state is State.cancelled
        assert not app.query_one(JobStrip).display
    assert [path.name for path in tmp_path.iterdir() if "m" in path.stem] == []


async def test_a_job_that_is_killed_shows_why_and_the_app_goes_on(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app) as pilot:
        app.query_one(MaskingPage).choose(folder / GRANULE)
        await pilot.press("f3")
        app.query_one(MaskingPage).action_run()
        await until(pilot, lambda: app.masking.jobs and app.masking.jobs[0].process_id, "the child")
        [job] = app.masking.jobs
        os.kill(job.process_id, signal.SIGKILL)
        await until(pilot, lambda: job.over, "the end of the job")
        await pilot.pause()
        log = "\n".join(line.text for line in app.query_one(RichLog).lines)
        assert "SIGKILL" in log.replace("\n", "")
        assert app.is_running


async def test_a_job_that_fails_shows_its_own_words(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app, (120, 40)) as pilot:
        page = app.query_one(MaskingPage)
        page.choose(folder / GRANULE)
        page.form.fill({"weights": "/not/there.pt"})
        page.action_run()
        await until(pilot, lambda: app.masking.jobs and app.masking.jobs[0].over, "the end of the job")
        assert app.masking.jobs[0].error.startswith("/not/there.pt: no such weights file")


async def test_leaving_asks_first_and_takes_the_jobs_along(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app) as pilot:
        app.query_one(MaskingPage).choose(folder / GRANULE)
        app.query_one(MaskingPage).action_run()
        await until(pilot, lambda: app.masking.jobs and app.masking.jobs[0].process_id, "the child")
        child = app.masking.jobs[0].process_id
        os.kill(child, signal.SIGSTOP)  # on a busy machine it could be done before the question is answered
        await pilot.press("ctrl+q")
        await pilot.press("n")
        assert app.masking.busy
        await pilot.press("ctrl+q")
        os.kill(child, signal.SIGCONT)
        await pilot.press("y")
        await until(pilot, lambda: not app.is_running, "the exit")
    assert app.masking.jobs[0].state is State.cancelled


async def test_what_cannot_be_read_is_said_on_its_card(tmp_path):
    place = tmp_path / "scenes"
    place.mkdir()
    (place / "broken_RAD_.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    (place / "text.nc").write_text("no granule")
    (place / "x_prob.tif").write_bytes(b"")
    app = make_app(place, tmp_path)
    async with driven(app) as pilot:
        for name in ("broken_RAD_.nc", "text.nc", "x_prob.tif"):
            await choose(pilot, name)
            await until(pilot, lambda name=name: "Trouble" in text_of(app, "#facts") and name in text_of(app, "#facts"))
        assert app.query_one("#use", Button).disabled


async def test_a_folder_of_five_thousand_files(tmp_path):
    place = tmp_path / "scenes"
    place.mkdir()
    for number in range(2500):
        (place / f"EMIT_L1B_RAD_001_20240203T{number:06d}_1_1.nc").touch()
        (place / f"EMIT_L1B_OBS_001_20240203T{number:06d}_1_1.nc").touch()
    app = make_app(place, tmp_path)
    async with driven(app) as pilot:
        tree = app.query_one(SceneTree)
        await until(pilot, lambda: len(tree.root.children) == 2500, "the tree")
        await pilot.press("end", "pageup", "f3", "f2")
        assert app.focused is tree


async def test_typing_is_checked_and_the_command_follows(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app) as pilot:
        page = app.query_one(MaskingPage)
        assert page.form.problem.option == "rdn"
        page.choose(folder / GRANULE)
        await pilot.press("f3")
        page.form.query_one("#option-threshold Input", Input).focus()
        await pilot.press("2")
        assert page.form.problem.option == "threshold"
        assert page.query_one(".run", Button).disabled
        await pilot.press("ctrl+r")
        assert app.masking.jobs == []
        await pilot.press("backspace", ".", "3")
        assert page.form.problem is None
        assert "--threshold .3" in text_of(app, "#deploy-command .shell")
        await pilot.press("ctrl+y")
        assert app.clipboard == page.query_one("#deploy-command").command
        page.form.query_one("#option-overwrite Checkbox", Checkbox).toggle()
        page.form.query_one("#option-fidelity Select", Select).value = "fast"
        await pilot.pause()
        assert Command("deploy-pt", COMMANDS).arguments(page.form.values)[-2:] == ["--fidelity", "fast"]


async def test_the_estimate_is_of_the_last_job(folder, tmp_path):
    app = make_app(folder, tmp_path, rates=known_rate())
    async with driven(app) as pilot:
        await choose(pilot, GRANULE)
        await until(pilot, lambda: "about 3 s, at 1,000 pixels/s" in text_of(app, "#facts"))


async def test_training_is_followed_stopped_and_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    rows = make_rows(scenes=6, per_scene=20)
    write_hdf5(tmp_path / "s.h5", rows)
    write_split(tmp_path, rows)
    app = make_app(tmp_path, tmp_path)
    async with driven(app, (120, 40)) as pilot:
        page = app.query_one(TrainPage)
        await pilot.press("f5")
        await until(pilot, lambda: page.form.has_focus_within, "the form")
        told = {"dataset": "s.h5", "train_csv": "train.csv", "test_csv": "test.csv", "outdir": "run"}
        page.form.fill({**told, "val_fraction": "0.3", "epochs": "2000", "arch_ff": "8", "arch_proj_dim": "8"})
        await pilot.press("ctrl+r")
        [first] = app.training.jobs
        await until(pilot, lambda: len(first.epochs) >= 2 or first.over, "two epochs")
        await pilot.press("f8")
        await until(pilot, lambda: first.over, "the stop")
        assert first.state is State.cancelled, first.error
        shown = len(page.query_one("#loss", Plot)._curves[0].x)
        assert shown == len(first.epochs) == page.query_one("#epochs", DataTable).row_count
        page.form.fill({"epochs": str(shown + 2)})
        await pilot.press("ctrl+g")
        second = app.training.jobs[1]
        await until(pilot, lambda: second.over, "the end")
        assert second.state is State.done, second.error
        assert page.query_one("#f1", Plot)._curves[0].x == [float(n) for n in range(1, shown + 3)]
        page.open_run(tmp_path / "run")
        assert page.query_one("#epochs", DataTable).row_count == shown + 2


async def test_an_evaluation_is_opened(tmp_path):
    scores = {"f1": 0.9, "accuracy": 0.95, "auc": 0.99}
    report = {"models": [{"name": "SpecTf", "threshold": 0.5, "scores": scores}]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    app = make_app(tmp_path, tmp_path)
    async with driven(app, (120, 40)) as pilot:
        page = app.query_one(TrainPage)
        page.open_run(tmp_path)
        table = page.query_one("#epochs", DataTable)
        assert [str(cell) for cell in table.get_row_at(0)] == ["SpecTf", "0.5000", "0.9000", "0.9500", "0.9900"]
        page.open_run(tmp_path / "not there")
        await pilot.pause()
        assert table.row_count == 1


async def test_the_tour_comes_once(folder, tmp_path):
    for expected in (True, False):
        from spectf_cloud.tui.app import SpectfApp
        from spectf_cloud.tui.preferences import Preferences

        app = SpectfApp(folder, COMMANDS, Preferences.load(tmp_path / "tui.json"))
        async with driven(app) as pilot:
            await pilot.pause()
            assert isinstance(app.screen, TourScreen) is expected
            await pilot.press("escape")
            assert not isinstance(app.screen, TourScreen)


async def test_every_action_is_in_the_palette_and_help_opens(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app, (120, 40)) as pilot:
        commands = list(app.get_system_commands(app.screen))
        titles = {command.title for command in commands}
        assert {"Theme", "Quit", "Tour", "Mask: run", "Result: save as", "Train: resume", "Cancel the job"} <= titles
        for command in commands:
            if command.title.startswith(("Go to", "Scenes: reload", "Result:", "Mask:", "Train: run", "Cancel")):
                command.callback()
                await pilot.pause()
        for close in ("f1", "escape"):
            await pilot.press("f1")
            assert len(app.screen.query("HelpPanel")) == 1
            await pilot.press(close)
            assert len(app.screen.query("HelpPanel")) == 0


async def test_escape_closes_the_help_of_a_question_before_the_question(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app) as pilot:
        app.action_tour()
        await pilot.press("f1", "escape")
        assert isinstance(app.screen, TourScreen) and not app.screen.query("HelpPanel")
        await pilot.press("escape")
        assert not isinstance(app.screen, TourScreen)


async def test_a_folder_shows_the_granules_below_it_and_is_nothing_to_mask(tmp_path):
    deep = tmp_path / "scenes" / "2024" / "07" / "01"
    deep.mkdir(parents=True)
    (tmp_path / "scenes" / "empty").mkdir()
    (deep / GRANULE).touch()
    (deep / "x_prob.tif").touch()
    write_emit(tmp_path / "scenes", arrays(6, 5))
    app = make_app(tmp_path / "scenes", tmp_path)
    async with driven(app) as pilot:
        await choose(pilot, GRANULE)
        await until(pilot, lambda: not app.query_one("#use", Button).disabled)
        await choose(pilot, "2024")
        await until(pilot, lambda: "07/01/20240203T040506_2403404_007" in text_of(app, "#facts"))
        assert "1 granule, 1 saved probability" in text_of(app, "#facts")
        assert app.query_one("#use", Button).disabled
        await pilot.press("m")
        assert app.query_one("TabbedContent").active == "scenes"
        await choose(pilot, "empty")
        await until(pilot, lambda: "no granule" in text_of(app, "#facts"))
        await choose(pilot, GRANULE)
        await until(pilot, lambda: not app.query_one("#use", Button).disabled)


async def test_the_mouse_is_enough(folder, tmp_path):
    app = make_app(folder, tmp_path)
    async with driven(app) as pilot:
        await choose(pilot, GRANULE)
        await until(pilot, lambda: not app.query_one("#use", Button).disabled)
        await pilot.click("#use")
        await until(pilot, lambda: app.query_one("TabbedContent").active == "mask", "the next page")


def test_the_app_never_imports_torch(folder):
    """Driven over all pages in an interpreter of its own."""
    code = """
import asyncio, sys
from pathlib import Path
from tui_app import choose, driven, make_app, until
from spectf_cloud.tui.picture import Picture

async def drive():
    app = make_app(Path.cwd(), Path.cwd() / "memory")
    async with driven(app) as pilot:
        await choose(pilot, sys.argv[1])
        await until(pilot, lambda: app.query_one("#thumbnail", Picture).shows_something)
        await pilot.press("enter", "f4", "f5", "f2")
asyncio.run(drive())
assert "textual" in sys.modules and "h5py" in sys.modules
print("torch" in sys.modules)
"""
    paths = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", code, GRANULE]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": paths})
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["False"]


def test_without_textual_the_way_out_is_named(monkeypatch, capsys):
    monkeypatch.setattr("spectf_cloud.cli.tui.find_spec", lambda name: None)
    assert main(["tui"]) == 4
    assert "pip install 'spectf-cloud[tui]'" in capsys.readouterr().err


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    assert main(["tui", str(tmp_path / "none")]) == 3
    assert "is not a folder" in capsys.readouterr().err


def test_without_a_terminal_it_says_so(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "spectf_cloud", "tui", str(tmp_path)], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"needs a terminal" in ended.stderr
