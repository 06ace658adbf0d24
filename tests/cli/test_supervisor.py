"""Reads that never end, and interrupts of a process that cannot heed them. Each child is forked: nothing is mocked."""

import io
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from spectf_cloud import __main__ as command_line
from spectf_cloud.cli import reporting, supervisor
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.reading import Board, limit_reads, reading, temporary_file
from spectf_cloud.readers import emit
from spectf_cloud.readers.raw import read_raw

import crashes
from scene_files import arrays, hung_attribute, write_emit

HANGS = sorted((Path(__file__).parents[1] / "hostile/hangs").glob("*.nc"))
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are supervised on Linux only")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(supervisor, "_LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(supervisor, "_GRACE_S", 0.3)


def supervised(folder, *arguments):
    """Process id of a child in which the command line runs as a shell would start it, its words kept in files."""

    def work():
        for name, number in (("stdout", 1), ("stderr", 2)):
            file = os.open(folder / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(file, number)
            setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        reporting.active = None  # an earlier test's
        sys.argv = ["spectf-cloud", *map(str, arguments)]
        return command_line.main()

    return crashes.forked(work)


def under_supervision(work):
    """Process id of a supervisor whose child does ``work``."""

    def run():
        code = supervisor.supervise(["deploy-pt"])
        if code is None:
            limit_reads(0.5)
            work()
            return 0
        return code

    return crashes.forked(run)


def words(folder):
    """What a supervised command said: standard error, and the events."""
    lines = (folder / "stdout").read_text().splitlines()
    return (folder / "stderr").read_text(), [json.loads(line) for line in lines]


@pytest.mark.parametrize("radiance", HANGS, ids=lambda path: path.stem)
def test_a_read_that_never_ends_is_exit_code_3_and_names_the_file(tmp_path, radiance):
    out = tmp_path / "out"
    out.mkdir()
    child = supervised(tmp_path, "deploy-pt", out / "m.tif", radiance, radiance, "--json", "--read-timeout=0.5")
    assert crashes.exit_code(child) == 3
    said, [event] = words(tmp_path)
    assert said.startswith(f"error: {radiance}: ") and "--read-timeout" in said and said.count("\n") == 1
    assert (event["event"], event["exit_code"]) == ("error", 3)
    assert not list(out.iterdir())


def test_a_read_that_holds_the_interpreters_lock_ends_too(tmp_path, monkeypatch):
    radiance, _ = hung_attribute(tmp_path)
    monkeypatch.setenv("SPECTF_READ_TIMEOUT", "0.5")
    assert crashes.exit_code(supervised(tmp_path, "explain", radiance, "--pixel=1,1", "--out=x.png")) == 3
    assert words(tmp_path)[0].startswith(f"error: {radiance}: a read ")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("damage", ["lock held", "lock free"])
def test_an_interrupt_ends_a_hung_read_with_130_and_leaves_nothing(tmp_path, stop, damage):
    out = tmp_path / "out"
    out.mkdir()
    radiance, observation = hung_attribute(tmp_path) if damage == "lock held" else (HANGS[0], HANGS[0])
    child = supervised(tmp_path, "deploy-pt", out / "m.tif", observation, radiance, "--read-timeout=0")
    time.sleep(0.5)
    os.kill(child, stop)
    assert crashes.exit_code(child) == 130
    assert words(tmp_path) == ("", [])
    assert not list(out.iterdir())


def test_a_scene_that_is_read_and_masked_is_as_without_a_supervisor(tmp_path):
    radiance, observation = write_emit(tmp_path, arrays(6, 5))
    arguments = ["deploy-pt", "OUT", observation, radiance, "--fidelity=exact", "--trust-input", "--json"]
    masks = []
    for start in (supervised, lambda _, *rest: crashes.forked(lambda: command_line.main([str(x) for x in rest]))):
        out = tmp_path / f"{len(masks)}.tif"
        arguments[1] = out
        assert crashes.exit_code(start(tmp_path, *arguments)) == 0
        masks.append(out.read_bytes())
    assert masks[0] == masks[1]
    assert words(tmp_path)[1][-1]["event"] == "done"


def test_temporaries_of_a_run_that_hangs_while_it_writes_are_removed(tmp_path):
    def work():
        with atomic_output(tmp_path / "m.tif") as temporary:
            temporary.write_text("half")
            emit.open_cube(HANGS[0])

    assert crashes.exit_code(under_supervision(work)) == 3
    assert not list(tmp_path.iterdir())


def test_a_drive_that_does_not_answer_is_a_read_that_never_ends(tmp_path):
    os.mkfifo(tmp_path / "drive")
    work = lambda: read_raw(tmp_path / "drive", np.dtype("f4"), 0, (1,))  # noqa: E731
    assert crashes.exit_code(under_supervision(work)) == 3


def test_many_reads_and_long_computing_are_no_hung_read(tmp_path):
    def work():
        for _ in range(5):
            with reading(tmp_path):
                time.sleep(0.2)
        time.sleep(0.8)

    assert crashes.exit_code(under_supervision(work)) == 0


@pytest.mark.parametrize("end", [lambda: os._exit(4), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_the_end_of_the_child_is_the_end_of_the_command(end):
    plain = crashes.exit_code(crashes.forked(end))
    assert crashes.exit_code(under_supervision(end)) == plain


def test_who_kills_the_supervisor_kills_its_child(tmp_path):
    def work():
        (tmp_path / "id").write_text(str(os.getpid()))
        time.sleep(60)

    parent = under_supervision(work)
    while not (tmp_path / "id").exists() or not (child := (tmp_path / "id").read_text()):
        time.sleep(0.02)
    os.kill(parent, signal.SIGKILL)
    assert crashes.exit_code(parent) == -signal.SIGKILL
    for _ in range(500):
        with suppress(OSError, IndexError):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.02)
                continue
        return
    pytest.fail("it lives on")


def test_a_board_says_what_is_read_longest_and_by_whom(monkeypatch):
    board = Board()
    monkeypatch.setattr("spectf_cloud.files.reading._board", board)
    assert board.seen().path is None
    with reading(Path("a\nb")):
        first = board.seen()
        with reading(Path("ü\udcff")):
            inner = board.seen()
        again = board.seen()
    assert (first.path, inner.path, again.path) == ("a\nb", "ü\udcff", "a\nb")
    assert len({first.number, inner.number, again.number}) == 3
    with temporary_file(Path("t")):
        assert board.seen().temporaries == ["t"]
    assert (board.seen().path, board.seen().temporaries) == (None, [])


def test_without_a_supervisor_nothing_is_said_or_needed(tmp_path):
    limit_reads(1)
    with reading(tmp_path), temporary_file(tmp_path):
        pass
    assert not supervisor.wanted([]) and not supervisor.wanted(["train", "x"])
