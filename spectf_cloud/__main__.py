"""``python -m spectf_cloud`` and the ``spectf-cloud`` command start here."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import spectf_cloud.mapping.stopwatch  # noqa: F401 - time counts from here
from spectf_cloud.cli import supervisor
from spectf_cloud.errors import EXIT_INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Given arguments run in this process, those of the command line under a supervisor where that helps.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - open for the whole run
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _interrupt)
        arguments = sys.argv[1:] if argv is None else argv
        if argv is None and supervisor.wanted(arguments):
            code = supervisor.supervise(arguments)
            if code is not None:
                return code
        from spectf_cloud.cli.main import run

        return run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
