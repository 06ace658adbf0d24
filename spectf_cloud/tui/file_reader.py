"""Reads files in a child process: with a damaged file, a library may loop forever, crash or block other threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, TypeVar

from spectf_cloud.errors import InputError
from spectf_cloud.files.processes import end_with
from spectf_cloud.files.reading import READ_TIMEOUT_S

Answer = TypeVar("Answer")

_LOOK_EVERY_S = 0.05
# Patience with a read that is not needed any more: a new child takes about as long to start.
_PATIENCE_S = 2.0
# The child's first answer to each task: its imports are done.
_BEGUN = None
_CHILD = "import sys; from spectf_cloud.tui.file_reader import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"


class FileReader:
    """One child, started when first needed, that does one task after another. Any thread may ask."""

    def __init__(self, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._child: tuple[subprocess.Popen[bytes], Connection] | None = None

    def ask(self, work: Callable[[Path], Answer], path: Path, cancelled: Callable[[], bool]) -> Answer | None:
        """Return what ``work`` returns for a file, or raise what it raises; None if cancelled.

        ``work`` is a module-level function. Raises `InputError` if it does not end, or ends the child.
        """
        with self._lock:
            if cancelled():
                return None
            try:
                pipe = self._started()
                pipe.send((work, path))
                answer = self._wait(pipe, path, cancelled)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                self.close()
                raise InputError(f"{path}: the process reading it crashed; the file is damaged") from None
        if isinstance(answer, Exception):
            raise answer
        result: Answer | None = answer
        return result

    def close(self) -> None:
        """End the child; the next request starts another."""
        if self._child is not None:
            process, _ = self._child
            self._child = None
            process.kill()  # a thread that still waits for its answer gets EOFError
            with suppress(subprocess.TimeoutExpired):  # a drive that does not answer keeps it in the kernel
                process.wait(1)

    def _started(self) -> Connection:
        if self._child is None:
            ours, theirs = Pipe()
            # multiprocessing would pass on a standard error that the application has taken over.
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what libraries print must not reach the picture
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            self._child = process, ours
        return self._child[1]

    def _wait(self, pipe: Connection, path: Path, cancelled: Callable[[], bool]) -> Any:
        """Return the child's answer; None if cancelled, after ending a child that is still reading."""
        began = given_up = float("inf")
        while True:
            now = time.monotonic()
            if pipe.poll(_LOOK_EVERY_S):
                answer = pipe.recv()
                if answer is not _BEGUN:
                    return answer
                began = now
            if now - began > self._timeout_s:
                self.close()
                raise InputError(
                    f"{path}: a read has not ended for {self._timeout_s:g} s, so the file is damaged or its "
                    "drive does not answer; copy the file again"
                )
            given_up = min(given_up, now) if cancelled() else given_up
            if now - given_up > _PATIENCE_S:
                self.close()
                return None


def serve(file: int, application: int) -> None:
    """Answer requests, in the child, until the application ends."""
    end_with(application)
    pipe = Connection(file)
    with suppress(EOFError, OSError):
        while True:
            work, path = pipe.recv()
            pipe.send(_BEGUN)
            try:
                answer = work(path)
            except Exception as error:
                answer = error
            pipe.send(answer)
