"""Commands run as child processes, one after another, with their progress, log and result."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spectf_cloud.tui.preferences import Rate

_MAX_LINE_BYTES = 2**22
_MAX_LOG_LINES = 500
# A native call cannot be interrupted; after this time the job is killed.
_GRACE_S = 15.0


class State(StrEnum):
    """The state of a job."""

    queued = "queued"
    running = "running"
    stopping = "stopping"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


@dataclass(eq=False)
class Job:
    """One command. `result` is its ``done`` event, `epochs` its ``epoch`` events."""

    arguments: tuple[str, ...]
    title: str
    number: int
    state: State = State.queued
    done: int = 0
    total: int = 0
    rate_per_s: float = 0.0
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, float]] = field(default_factory=list)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_LOG_LINES))
    process_id: int | None = None
    _marks: list[tuple[float, int]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in (State.done, State.failed, State.cancelled)

    @property
    def fraction(self) -> float:
        """Share done, 0 to 1."""
        return 1.0 if self.state is State.done else self.done / self.total if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds left at the mean rate so far; None before there is one."""
        return (self.total - self.done) / self.rate_per_s if self.rate_per_s > 0 and not self.over else None

    @property
    def steady_rate(self) -> Rate | None:
        """The rate to expect of similar jobs; None if it was too short, with fewer than two progress events."""
        if len(self._marks) < 3 or self.state is not State.done:
            return None
        (began, _), (first_s, first), (last_s, last) = self._marks[0], self._marks[1], self._marks[-1]
        if last <= first or last_s <= first_s:
            return None
        rate = (last - first) / (last_s - first_s)
        return Rate(rate, max(0.0, first_s - began - first / rate), self.total)


class JobQueue:
    """Runs jobs one at a time. ``changed`` is called in the event loop whenever a job changes."""

    def __init__(self, changed: Callable[[Job], None]) -> None:
        self.jobs: list[Job] = []
        self._changed = changed
        self._worker: asyncio.Task[None] | None = None

    def add(self, arguments: Sequence[str], title: str) -> Job:
        """Queue a command; it starts when those before it have ended."""
        job = Job(tuple(arguments), title, len(self.jobs) + 1)
        self.jobs.append(job)
        self._changed(job)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return job

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return any(not job.over for job in self.jobs)

    def cancel(self, job: Job) -> None:
        """Remove a waiting job, or ask a running one to stop and remove what it began to write."""
        if job.state is State.queued:
            job.state = State.cancelled
        elif job.state is State.running:
            job.state = State.stopping
            _signal(job, signal.SIGTERM)
            asyncio.get_running_loop().call_later(_GRACE_S, _kill_if_stopping, job)
        self._changed(job)

    async def close(self) -> None:
        """Cancel all jobs and wait until they have ended."""
        for job in reversed(self.jobs):
            self.cancel(job)
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        while job := next((job for job in self.jobs if job.state is State.queued), None):
            job.state = State.running
            self._changed(job)
            try:
                await _run(job, self._changed)
            except (OSError, ValueError) as error:  # no process, no memory, a line without end
                job.state, job.error = State.failed, f"the job could not be run: {error}"
                _signal(job, signal.SIGKILL)
            job.process_id = None
            self._changed(job)


async def run_once(arguments: Sequence[str]) -> Job:
    """Run one command outside any queue until it ends; cancelling the caller kills it."""
    job = Job(tuple(arguments), arguments[0], 0, State.running)
    try:
        await _run(job, lambda job: None)
    except (OSError, ValueError) as error:
        job.state, job.error = State.failed, f"the job could not be run: {error}"
    finally:
        if not job.over:
            _signal(job, signal.SIGKILL)
    return job


async def _run(job: Job, changed: Callable[[Job], None]) -> None:
    """Run a job until it ends and set its final state."""
    job._marks.append((time.monotonic(), 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spectf_cloud", *job.arguments, "--json", "-v"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_MAX_LINE_BYTES,
        start_new_session=True,  # Ctrl+C in the terminal goes to the application only
    )
    job.process_id = process.pid
    if job.state is State.stopping:  # cancelled while it was starting
        _signal(job, signal.SIGTERM)

    async def follow(stream: asyncio.StreamReader | None, take: Callable[[Job, str], None]) -> None:
        assert stream is not None
        while line := await stream.readline():
            take(job, line.decode("utf-8", "replace").rstrip())
            changed(job)

    await asyncio.gather(follow(process.stdout, _take_event), follow(process.stderr, _take_log))
    code = await process.wait()
    if job.state is State.stopping:
        job.state = State.cancelled
    elif code == 0 and job.result:
        job.state = State.done
    else:
        job.state, job.error = State.failed, job.error or _why(job, code)


def _take_event(job: Job, line: str) -> None:
    try:
        event = json.loads(line)
        kind = event.pop("event")
    except (ValueError, KeyError, AttributeError, TypeError):
        job.log.append(line)
        return
    if kind == "progress":
        job.done, job.total, job.rate_per_s = event["done"], event["total"], event["rate"]
        job._marks.append((time.monotonic(), job.done))
        del job._marks[2:-1]
    elif kind == "epoch":
        job.epochs.append(event)
    elif kind == "done":
        job.result = event
    elif kind == "error":
        job.error = event["message"]


def _take_log(job: Job, line: str) -> None:
    if line:
        job.log.append(line)


def _why(job: Job, code: int) -> str:
    """Return a reason for a child that reported none."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        return f"the job's process was ended by signal {-code} ({name})"
    last = next((line for line in reversed(job.log) if line.strip()), None)
    return f"the job exited with code {code}: {last}" if last else f"the job exited with code {code} and no message"


def _signal(job: Job, number: int) -> None:
    """Signal the child and its own children, such as a compiler."""
    if job.process_id is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(job.process_id, number)


def _kill_if_stopping(job: Job) -> None:
    if job.state is State.stopping:
        job.log.append("it did not stop, so it was killed")
        _signal(job, signal.SIGKILL)
