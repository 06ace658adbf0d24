"""Seconds of a run by stage, added up over threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: When the command line began: it imports this module first.
STARTED = time.perf_counter()


class Stopwatch:
    """Seconds of named stages, in the order in which they were first entered; any thread may add to them."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def seconds(self) -> Mapping[str, float]:
        """Return the seconds measured so far, by stage."""
        with self._lock:
            return dict(self._seconds)

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds to a stage."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    @contextmanager
    def stage(self, name: str, threads: int = 1) -> Iterator[None]:
        """Add the time of a block, even of one that fails, to a stage; divided by the number of parallel threads."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - start) / threads)
