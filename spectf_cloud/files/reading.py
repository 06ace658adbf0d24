"""What this process reads and has begun to write, on a board that its supervisor sees.

A damaged file can keep the HDF5 library in a loop that no Python thread and no signal handler gets out of, and a
drive that does not answer holds a process in the kernel. So whoever reads only says so, and the supervisor
(`spectf_cloud.cli.supervisor`) acts from outside. Without one nothing is said, which costs nothing.
"""

from __future__ import annotations

import json
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Seconds that one read may take: no block of a scene is so large that a drive which answers needs them.
READ_TIMEOUT_S = 120.0

# Memory that is not touched is not taken; the longest paths of a few files fit many times.
_BOARD_BYTES = 2**20


@dataclass(frozen=True)
class Notice:
    """What a board says: the read longest under way, or None; its number, which no other read has; temporaries."""

    timeout_s: float
    number: int
    path: str | None
    temporaries: list[str]


class Board:
    """Memory shared with the processes forked from this one; one of them writes, another looks from time to time."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _BOARD_BYTES)
        self._lock = threading.Lock()
        self._number = 0
        self._reads: dict[int, tuple[int, str]] = {}  # by thread, the longest under way first
        self._temporaries: list[str] = []
        self.timeout_s = READ_TIMEOUT_S
        self._write()

    def seen(self) -> Notice | None:
        """What it says now; None where it is being written."""
        line = self._memory[: self._memory.find(b"\n") + 1]
        try:
            return Notice(*json.loads(line))
        except (ValueError, TypeError):
            return None

    def set_read(self, path: str | None) -> str | None:
        """Say what the calling thread reads from now on, None for nothing; returns what it did before."""
        thread = threading.get_ident()
        with self._lock:
            _, before = self._reads.pop(thread, (0, None))
            self._number += 1
            if path is not None:
                self._reads[thread] = self._number, path
            self._write()
        return before

    def set_temporary(self, path: str, *, there: bool) -> None:
        """Say that a temporary is there, or no longer."""
        with self._lock:
            self._temporaries.append(path) if there else self._temporaries.remove(path)
            self._write()

    def _write(self) -> None:
        number, path = next(iter(self._reads.values()), (self._number, None))
        line = json.dumps([self.timeout_s, number, path, self._temporaries]).encode() + b"\n"
        self._memory[: len(line)] = line


_board: Board | None = None


def post_on(board: Board) -> None:
    """Say everything on this board from now on."""
    global _board
    _board = board


def limit_reads(seconds: float) -> None:
    """Have the supervisor, where there is one, end a read without progress after so many seconds; 0 for never."""
    if _board is not None:
        _board.timeout_s = seconds


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say that this thread reads a file within; every such block is a step of progress, so keep it small."""
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
    """Say that a temporary of this process may be there within."""
    board = _board
    if board is None:
        yield
        return
    board.set_temporary(str(path), there=True)
    try:
        yield
    finally:
        board.set_temporary(str(path), there=False)
