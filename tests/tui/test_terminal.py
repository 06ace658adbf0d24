"""The application in a terminal of its own: what may be redirected, and how a crash ends."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

_PATIENCE_S = 120
_CRASH = """
import sys
from spectf_cloud.__main__ import main
from spectf_cloud.tui.app import SpectfApp

def fail(self, *_):
    raise ValueError("a fault\\nof two lines")

SpectfApp.action_tour = fail
sys.exit(main(["tui", *sys.argv[1:]]))
"""


def in_terminal(command, folder, keys=b"", after=b"", **redirected):
    """(exit code, what the terminal was sent) of a Python command; ``keys`` are typed once ``after`` is shown."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "SPECTF_CACHE_DIR": str(folder / "cache"), "TERM": "xterm-256color"}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, **redirected}
    process = subprocess.Popen([sys.executable, *command], start_new_session=True, env=environment, **streams)
    os.close(theirs)
    shown, end = b"", time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 2**16)
            except OSError:  # nobody holds the other side any more
                break
        if keys and after in shown:
            os.write(ours, keys)
            keys = b""
    else:
        process.kill()
    os.close(ours)
    return process.wait(), shown


def test_standard_error_may_be_redirected_and_gets_nothing_of_the_picture(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        command = ["-m", "spectf_cloud", "tui", str(tmp_path)]
        code, shown = in_terminal(command, tmp_path, b"\x1b\x11", b"Begin", stderr=log)  # escape, ctrl+q
    assert (code, (tmp_path / "log").read_text()) == (0, "")
    assert b"SpecTf Cloud" in shown and b"\x1b[?1049l" in shown  # the terminal is as it was


def test_a_crash_is_one_line_exit_code_1_and_a_file_to_report(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        code, shown = in_terminal(["-c", _CRASH, str(tmp_path)], tmp_path, stdout=log)
    kept = tmp_path / "cache" / "tui-crash.txt"
    after = shown.rpartition(b"\x1b[?1049l")[2].decode()
    assert code == 1
    assert f"error: ValueError: a fault of two lines (unexpected error; please report it with {kept})" in after.replace(
        "\r\n", ""
    )
    assert "Traceback" not in after
    assert kept.read_text().startswith("Traceback") and "in fail" in kept.read_text()
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("streams", [("stdin",), ("stdout", "stderr")])
def test_what_must_be_a_terminal_is_said(tmp_path, streams):
    with (tmp_path / "log").open("w+b") as log:
        code, _ = in_terminal(["-m", "spectf_cloud", "tui", str(tmp_path)], tmp_path, **dict.fromkeys(streams, log))
    assert code == 2
    if "stderr" in streams:
        assert "needs a terminal" in Path(tmp_path / "log").read_text()
