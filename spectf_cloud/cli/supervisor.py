"""Runs a command in a child process, so that the command ends even if a damaged file blocks the child.

The child does all the work; this process only waits. It passes interrupts on, and ends a child that ignores them or
that reads one piece of a file for too long. See `spectf_cloud.files.reading`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from spectf_cloud.errors import EXIT_INTERRUPTED
from spectf_cloud.files.processes import end_with
from spectf_cloud.files.reading import Board, post_on

# The commands that read one scene.
_SUPERVISED = ("deploy-pt", "deploy-trt", "explain", "info")
_LOOK_EVERY_S = 1.0
# Time that an interrupted child needs to remove what it began to write.
_GRACE_S = 1.0
_SHOW_CURSOR = "\r\x1b[K\x1b[?25h"


def wanted(arguments: Sequence[str]) -> bool:
    """Return whether a damaged scene could block this command, on a system where this has been tried."""
    return sys.platform == "linux" and bool(arguments) and arguments[0] in _SUPERVISED


def supervise(arguments: Sequence[str]) -> int | None:
    """Fork; return None in the child, which runs the command, and in this process its exit code once it has ended.

    Call it before threads are started and before anything large is imported.
    """
    stops = {number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN}
    board, this_process = Board(), os.getpid()
    # Blocked, they wait for sigtimedwait: none is lost between the fork and the wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops | {signal.SIGCHLD})
    child = os.fork()
    if child:
        return _Watch(child, board, stops, arguments).run()
    end_with(this_process)
    for number in stops:
        signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops | {signal.SIGCHLD})
    post_on(board)
    return None


class _Watch:
    """One child from the fork to its end."""

    def __init__(self, child: int, board: Board, stops: set[signal.Signals], arguments: Sequence[str]) -> None:
        self._child, self._board, self._stops, self._arguments = child, board, stops, arguments
        self._read, self._still_s = 0, 0.0
        self._stopped_at: float | None = None

    def run(self) -> int:
        """Wait for the child, or end it; return the exit code."""
        while True:
            looked = time.monotonic()
            arrived = signal.sigtimedwait(self._stops | {signal.SIGCHLD}, _LOOK_EVERY_S)
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if ended:
                return _ended_as(os.waitstatus_to_exitcode(status))
            if arrived is not None and arrived.si_signo in self._stops:
                self._stopped_at = self._stopped_at or looked
                os.kill(self._child, arrived.si_signo)
            if self._stopped_at is not None and time.monotonic() - self._stopped_at >= _GRACE_S:
                self._kill()
                return EXIT_INTERRUPTED
            # At most one interval: while this process was suspended, so was the child.
            hung = self._hung(min(time.monotonic() - looked, _LOOK_EVERY_S))
            if hung is not None:
                self._kill()
                return self._say(hung)

    def _hung(self, passed_s: float) -> str | None:
        """Return a message about a read that takes too long, else None."""
        seen = self._board.seen()
        if seen is None or seen.path is None or seen.number != self._read:
            self._read, self._still_s = seen.number if seen else 0, 0.0
            return None
        self._still_s += passed_s
        if not 0 < seen.timeout_s <= self._still_s:
            return None
        return (
            f"{seen.path}: a read has not ended for {seen.timeout_s:g} s, so the file is damaged or its drive "
            "does not answer; copy the file again, or wait longer with --read-timeout SECONDS (0: forever)"
        )

    def _say(self, message: str) -> int:
        from spectf_cloud.cli.reporting import failed
        from spectf_cloud.errors import InputError

        return failed(message, InputError.exit_code, self._arguments)

    def _kill(self) -> None:
        """End the child, and remove what it had begun to write."""
        os.kill(self._child, signal.SIGKILL)
        end = time.monotonic() + _GRACE_S  # the kernel may hold it while a drive does not answer
        while time.monotonic() < end and os.waitpid(self._child, os.WNOHANG)[0] == 0:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        seen = self._board.seen()
        for temporary in seen.temporaries if seen else ():
            with suppress(OSError):
                Path(temporary).unlink()
        if sys.stderr.isatty():  # a progress bar hides the cursor
            print(_SHOW_CURSOR, end="", file=sys.stderr, flush=True)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """Interrupt once: a second Ctrl+C must not stop the child from removing what it began to write."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _ended_as(code: int) -> int:
    """Return the child's exit code; if a signal ended it, end this process by the same signal."""
    if code >= 0:
        return code
    with suppress(OSError, ValueError):  # SIGKILL takes no handler, and needs none
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    return 128 - code
