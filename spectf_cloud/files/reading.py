"""What this process reads and has begun to write, on a board that its supervisor sees.

A damaged file can keep the HDF5 library in a loop that no Python thread or signal handler can end, and a drive that
does not answer holds a process in the kernel. So readers only announce what they read, and the supervisor
(`spectf_cloud.cli.supervisor`) acts from outside. Without a supervisor nothing is announced, which costs nothing.
"""

from __future__ import annotations

import json
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Seconds that one read may take: far more than a working drive needs for any block of a scene.
READ_TIMEOUT_S = 120.0

# Untouched memory is not used; the longest paths of a few files fit many times.
_BOARD_BYTES = 2**20


@dataclass(frozen=True)
class Notice:
    """Content of a board: the oldest read under way, or None; its number, unique among reads; temporaries."""

    timeout_s: float
    number: int
    path: str | None
    temporaries: list[str]


class Board:
    """Memory shared with the processes forked from this one: one of them writes, another polls."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _BOARD_BYTES)
        self._lock = threading.Lock()
        self._number = 0
        self._reads: dict[int, tuple[int, str]] = {}  # by thread, the oldest first
        self._temporaries: list[str] = []
        self.timeout_s = READ_TIMEOUT_S
        self._write()

    def seen(self) -> Notice | None:
        """Return the present content; None while it is being written."""
        line = self._memory[: self._memory.find(b"\n") + 1]
        try:
            return Notice(*json.loads(line))
        except (ValueError, TypeError):
            return None

    def set_read(self, path: str | None) -> str | None:
        """Announce what the calling thread reads now, None for nothing; return what it read before."""
        thread = threading.get_ident()
        with self._lock:
            _, before = self._reads.pop(thread, (0, None))
            self._number += 1
            if path is not None:
                self._reads[thread] = self._number, path
            self._write()
        return before

    def set_temporary(self, path: str, *, there: bool) -> None:
        """Announce that a temporary exists, or no longer."""
        with self._lock:
            self._temporaries.append(path) if there else self._temporaries.remove(path)
            self._write()

    def _write(self) -> None:
        number, path = next(iter(self._reads.values()), (self._number, None))
        line = json.dumps([self.timeout_s, number, path, self._temporaries]).encode() + b"\n"
        self._memory[: len(line)] = line


_board: Board | None = None


def post_on(board: Board) -> None:
    """Announce everything on this board from now on."""
    global _board
    _board = board


def limit_reads(seconds: float) -> None:
    """Make the supervisor, if any, end a read without progress after this many seconds; 0 for never."""
    if _board is not None:
        _board.timeout_s = seconds


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Announce that this thread reads a file in this block; every block counts as progress, so keep it small."""
    board = _board
    if board is None:
        yield
        return
    before = board.set_read(str(path))
    try:
        yield
    finally:
        board.set_read(before)


@contextmanager
def temporary_file(path: Path) -> Iterator[None]:
    """Announce that a temporary of this process may exist in this block."""
    board = _board
    if board is None:
        yield
        return
    board.set_temporary(str(path), there=True)
    try:
        yield
    finally:
        board.set_temporary(str(path), there=False)
