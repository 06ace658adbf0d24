"""An output is absent, old or finished, however a run ends. 200 kills: python -m evaluation.reliability."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import PREFIX, atomic_output, check_output, writing_in
from spectf_cloud.files.resources import RESOURCES, resource

import crashes
from jobs import whole_job


def test_killed_at_any_moment_outputs_are_old_or_whole_or_absent(scene, tmp_path):
    seen = crashes.kill_runs(*scene, tmp_path, kills=6)
    assert seen["killed"] + seen["finished first"] == 6


@pytest.mark.parametrize("limit_bytes", [0, 700, 3000])
def test_a_disk_that_fills_up_is_exit_code_1_and_nothing_half_written(scene, tmp_path, limit_bytes):
    assert crashes.limited_disk(*scene, tmp_path, limit_bytes) == 1
    assert all(path.stat().st_size <= limit_bytes for path in tmp_path.iterdir())


def test_a_folder_that_may_not_be_written_is_exit_code_1(scene, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    for folder in {tmp_path, *tmp_path.parents, *scene[0].parents} - set(Path(tempfile.gettempdir(), "x").parents):
        folder.chmod(0o755)
    assert crashes.as_nobody(*scene, tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_an_input_that_vanishes_or_shrinks_during_the_run_is_exit_code_3(scene, tmp_path, monkeypatch):
    shutil.copytree(scene[0].parent, tmp_path / "in")
    radiance = tmp_path / "in" / scene[0].name
    (tmp_path / "out").mkdir()
    job = whole_job(radiance, tmp_path / "out", scene[1])
    for harm in (lambda: os.truncate(radiance, 4096), radiance.unlink):

        def work(harm=harm):
            monkeypatch.setattr("spectf_cloud.mapping.deploy.check_plausible", lambda *a, **k: harm())
            return crashes.quiet_main(job)

        assert crashes.exit_code(crashes.forked(work)) == 3
        assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_ends_with_130_and_leaves_nothing(scene, tmp_path, stop):
    job = whole_job(scene[0], tmp_path, scene[1])

    def work():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return crashes.quiet_main(job)

    codes = set()
    for delay in (0.03, 0.08):
        child = crashes.forked(work)
        time.sleep(delay)
        os.kill(child, stop)
        codes.add(crashes.exit_code(child))
        assert not list(tmp_path.glob(".*"))
    assert codes <= {130, 0, -stop, crashes.EARLY}  # 0: it was quicker; the last two: before the command heeded it


@pytest.mark.parametrize("overwrite", [True, False])
def test_of_two_writers_one_wins_whole(tmp_path, overwrite):
    contents = (b"a" * 200_000, b"b" * 300_000)
    for number in range(10):
        codes, content = crashes.two_writers(tmp_path / f"{number}.tif", contents, overwrite=overwrite)
        assert content in contents
        assert sorted(codes) == ([0, 0] if overwrite else [0, 1])
    assert len(list(tmp_path.iterdir())) == 10


def test_a_stray_is_removed_by_the_next_writer_but_not_while_another_writes(tmp_path):
    stray, folder = tmp_path / f"{PREFIX}dead.tif", tmp_path / f"{PREFIX}cache"
    with writing_in(tmp_path):
        stray.write_text("half")
        folder.mkdir()
        with atomic_output(tmp_path / "a.tif") as temporary:
            temporary.write_text("a")
        assert stray.exists() and folder.exists()
    with atomic_output(tmp_path / "b.tif") as temporary:
        temporary.write_text("b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_an_output_that_appeared_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "a.tif"
    with pytest.raises(OutputError, match="created by another process"), atomic_output(target) as temporary:
        temporary.write_text("mine")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", RESOURCES)
def test_what_belongs_to_the_installation_is_never_written_over(tmp_path, name):
    with pytest.raises(OutputError, match="belongs to this installation"):
        check_output(resource(name), overwrite=True)
    (tmp_path / "link").symlink_to(resource(name))
    with pytest.raises(OutputError, match="belongs to this installation"):
        check_output(tmp_path / "link", overwrite=True)
