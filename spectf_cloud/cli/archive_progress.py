"""Progress of a run over many granules: scenes per hour, time left, cloud."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from spectf_cloud.cli.reporting import Reporter

if TYPE_CHECKING:
    from spectf_cloud.archive.run import Status

_SECONDS_BETWEEN_EVENTS = 1.0
_SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def shown(reporter: Reporter) -> Iterator[Callable[[Status], None]]:
    """Yield a function that shows the status it is called with, as an event, a status line or log lines."""
    if reporter.json:
        yield _every(_SECONDS_BETWEEN_EVENTS, lambda status: reporter.event("progress", **asdict(status)))
    elif reporter.quiet:
        yield lambda status: None
    elif sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("starting workers") as line:
            yield lambda status: line.update(describe(status))
    else:
        yield _every(_SECONDS_BETWEEN_LINES, lambda status: print(describe(status), file=sys.stderr))


def describe(status: Status) -> str:
    """Return such as ``120 of 300 scenes, 10 failed, 310 scenes/h, 0:35 h left, 41.2% cloud``."""
    parts = [f"{status.done:,} of {status.total:,} scenes"]
    if status.failed:
        parts.append(f"{status.failed:,} failed")
    if status.scenes_per_hour is not None:
        parts.append(f"{status.scenes_per_hour:,.0f} scenes/h")
    if status.seconds_left is not None:
        minutes = round(status.seconds_left / 60)
        parts.append(f"{minutes // 60}:{minutes % 60:02d} h left")
    if status.cloud_fraction is not None:
        parts.append(f"{status.cloud_fraction:.1%} cloud")
    return ", ".join(parts)


def _every(seconds: float, show: Callable[[Status], None]) -> Callable[[Status], None]:
    """Call ``show`` at once, then at most every ``seconds``, and at the end."""
    last = float("-inf")

    def update(status: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds or status.done + status.failed >= status.total:
            last = time.monotonic()
            show(status)

    return update
