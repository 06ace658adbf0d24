"""Engines run the tasks: `Serial` in this process, `dask_engine.Dask` on a cluster."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Protocol, Self

from spectf_cloud.archive.receipts import Outcome
from spectf_cloud.archive.worker import Task, process

#: A task with its outcome.
Finished = tuple[Task, Outcome]


class Engine(Protocol):
    """Takes tasks and returns outcomes in any order; used as a context manager."""

    @property
    def room(self) -> int:
        """How many more tasks to submit now; limits the load on a scheduler."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def collect(self) -> list[Finished]:
        """Wait a while and return the tasks finished since, which may be none."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Serial:
    """One scene after another in this process, for debugging and for a few scenes."""

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()

    @property
    def room(self) -> int:
        """One at a time."""
        return 1 - len(self._waiting)

    def submit(self, task: Task) -> None:
        """Take a task."""
        self._waiting.append(task)

    def collect(self) -> list[Finished]:
        """Process the waiting task."""
        task = self._waiting.popleft()
        return [(task, process(task))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.clear()
