"""Where the time of a run went: seconds by stage, added up over threads."""

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
        """What was measured so far, by stage."""
        with self._lock:
            return dict(self._seconds)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds towards a stage."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    @contextmanager
    def stage(self, name: str, threads: int = 1) -> Iterator[None]:
        """Count what happens within towards a stage, also where it fails; by its share where so many threads do it."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - start) / threads)
