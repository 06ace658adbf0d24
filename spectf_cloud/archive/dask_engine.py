"""The engine for many scenes at once: dask.distributed, on this machine or on a running cluster."""

from __future__ import annotations

import logging
import os
import queue
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import dask
import distributed

from spectf_cloud.archive.engine import Finished
from spectf_cloud.archive.receipts import Outcome
from spectf_cloud.archive.worker import (
    MAX_CRASHES,
    Task,
    crash_count,
    failed_in_engine,
    process,
    quarantined,
    timeout_hint,
)
from spectf_cloud.errors import InputError, SpectfError

# Its classes carry no types.
_LocalCluster: Any = distributed.LocalCluster
_Client: Any = distributed.Client

_SETTINGS = {
    # A scene that kills its worker is retried on others, up to the same limit as in `worker`.
    "distributed.scheduler.allowed-failures": MAX_CRASHES - 1,
    # Dask samples every thread and wakes every 20 ms, which takes a twentieth of the CPU.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
}
# For one scene with every product: 0.6 GB measured, doubled.
BYTES_PER_WORKER = 1_200_000_000
# Tasks at the scheduler for each worker: one running and one waiting.
_TASKS_PER_WORKER = 2
_POLL_S = 1.0
_COUNT_EVERY_S = 5.0
_CONNECT_S = 30.0
# How long a scheduler may be unreachable before the run ends.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Cluster:
    """Where to run.

    Attributes
    ----------
    scheduler
        Address (``tcp://…``) or scheduler file of a running cluster; None starts one on this machine.
    workers
        Processes on this machine, one scene each; by default `workers_here`.
    resources
        What a task takes from a worker, such as ``{"GPU": 1}``.
    """

    scheduler: str | None = None
    workers: int | None = None
    resources: dict[str, float] = field(default_factory=dict)


class Dask:
    """Tasks on a dask cluster, a bounded number at a time; a task whose worker dies goes to another one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stack = ExitStack()
        self._running: dict[Any, Task] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._last_seen = time.monotonic()
        self._known_threads, self._counted = 0, float("-inf")

    @property
    def room(self) -> int:
        """Two tasks for each worker, at least one."""
        return max(1, _TASKS_PER_WORKER * self._threads()) - len(self._running)

    def submit(self, task: Task) -> None:
        """Hand a task to the scheduler."""
        future = self._client.submit(
            process,
            task,
            key=f"{task.granule.id}-{uuid4().hex[:8]}",
            pure=False,
            retries=0,
            resources=self._cluster.resources or None,
        )
        self._running[future] = task
        future.add_done_callback(self._ended.put)

    def collect(self) -> list[Finished]:
        """Return the tasks that ended, after at most a second. Raises `SpectfError` when the scheduler is lost."""
        try:
            futures = [self._ended.get(timeout=_POLL_S)]
        except queue.Empty:
            self._check_connection()
            return []
        while not self._ended.empty():
            futures.append(self._ended.get())
        return [(task, self._outcome(future, task)) for future in futures if (task := self._running.pop(future, None))]

    def __enter__(self) -> Self:
        if self._cluster.scheduler is None:
            self._client = self._start_here()
        else:
            self._client = self._stack.enter_context(_connect(self._cluster.scheduler))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for future in self._running:
            future.cancel()
        self._running.clear()
        self._stack.close()

    def _start_here(self) -> Any:
        self._stack.enter_context(dask.config.set(_SETTINGS))
        local = _LocalCluster(
            n_workers=self._cluster.workers or workers_here(),
            threads_per_worker=1,
            processes=True,
            resources=self._cluster.resources or None,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        self._stack.enter_context(local)
        return self._stack.enter_context(_Client(local))

    def _threads(self) -> int:
        """Return the threads of all workers, counted again every few seconds as workers come and go."""
        if time.monotonic() - self._counted > _COUNT_EVERY_S and self._client.status == "running":
            try:
                self._known_threads = sum(self._client.nthreads().values())
                self._counted = time.monotonic()
            except (OSError, TimeoutError):
                pass  # the scheduler is unreachable; `collect` watches for how long
        return self._known_threads

    def _outcome(self, future: Any, task: Task) -> Outcome:
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        if future.status != "error":
            raise SpectfError(f"the scheduler gave up on {task.granule.id} ({future.status}); rerun to continue")
        error = future.exception()
        # Dask blames every task of a dead worker, including those that only waited there.
        if isinstance(error, distributed.KilledWorker) and (died := crash_count(task)) >= MAX_CRASHES:
            return quarantined(task, f"{died} workers died while masking it{timeout_hint(task)}")
        return failed_in_engine(task, error)

    def _check_connection(self) -> None:
        if self._client.status == "running":
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > _PATIENCE_S or self._client.status == "closed":
            raise SpectfError("the scheduler went away; finished scenes are in the ledger, rerun to continue")


def workers_here() -> int:
    """Return how many scenes this machine can mask at once: one per core, if memory allows."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available) // BYTES_PER_WORKER))


def _connect(scheduler: str) -> Any:
    """Return a client of a running cluster. Raises `InputError` if there is none."""
    where: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler:
        if not Path(scheduler).is_file():
            raise InputError(f"{scheduler} is neither an address (tcp://host:8786) nor a scheduler file")
        where = {"scheduler_file": scheduler}
    try:
        return _Client(**where, timeout=_CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"{scheduler}: no dask scheduler answers ({error}); check the address, or start one"
        ) from error
