"""Files that would hold the application up are read by a child, which can be done without."""

import os
import time
from pathlib import Path

import child_work
import pytest
from child_work import end, loud, wanted
from tui_app import choose, driven, make_app, until

from spectf_cloud.errors import InputError
from spectf_cloud.tui.file_reader import FileReader
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.scene_facts import read_card, read_picture
from spectf_cloud.tui.scene_tree import SceneTree
from spectf_cloud.tui.scenes import ScenesPage

from scene_files import arrays, hung_attribute, write_emit


@pytest.fixture
def files(monkeypatch):
    paths = [os.environ.get("PYTHONPATH", ""), str(Path(child_work.__file__).parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # the child calls functions of this module
    reader = FileReader(timeout_s=20)
    yield reader
    reader.close()


def test_a_child_answers_and_is_kept(files, tmp_path, capfd):
    first = files.ask(loud, tmp_path, wanted)
    assert first != os.getpid() and files.ask(loud, tmp_path, wanted) == first
    assert capfd.readouterr() == ("", "")
    radiance, _ = write_emit(tmp_path, arrays(6, 5))
    assert files.ask(read_card, radiance, wanted).shape == (6, 5)
    assert files.ask(read_picture, radiance, wanted).picture.shape == (6, 5, 3)
    with pytest.raises(InputError, match="does not exist"):
        files.ask(read_card, tmp_path / "none.nc", wanted)
    assert files.ask(loud, tmp_path, wanted) == first


def test_a_child_that_crashes_is_said_and_replaced(files, tmp_path):
    with pytest.raises(InputError, match="crashed"):
        files.ask(end, tmp_path, wanted)
    assert files.ask(loud, tmp_path, wanted)


def test_a_read_that_is_not_wanted_any_more_is_ended(files, tmp_path):
    radiance, _ = hung_attribute(tmp_path)
    began = time.monotonic()
    assert files.ask(read_card, radiance, lambda: time.monotonic() > began + 0.5) is None
    assert files.ask(loud, tmp_path, wanted)


async def test_a_file_that_is_read_for_ever_leaves_the_application_usable(tmp_path):
    for name in ("bad", "good"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
    bad, _ = hung_attribute(tmp_path / "scenes" / "bad")
    write_emit(tmp_path / "scenes" / "good", arrays(6, 5))
    app = make_app(tmp_path / "scenes" / "bad", tmp_path)
    async with driven(app) as pilot:
        page = app.query_one(ScenesPage)
        page._files = FileReader(timeout_s=2)
        await choose(pilot, bad.name)
        await until(pilot, lambda: app.query_one("#thumbnail", Picture)._empty == "cannot be shown", "the trouble")
        good = tmp_path / "scenes" / "good"
        page.open_folder(good)
        tree = app.query_one(SceneTree)
        await until(pilot, lambda: any(node.data.path.parent == good for node in tree.root.children), "the folder")
        await choose(pilot, bad.name)
        await until(pilot, lambda: app.query_one("#thumbnail", Picture).shows_something, "the next picture")
