"""Output of a command while it works and when it is done: a bar, log lines or JSON events."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer

Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; give it twice for debugging.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print only errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON events for programs, one per line.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
#: Fields of `Reporter`, for `fields.takes`.
REPORTING = {"json": Json, "verbose": Verbose, "quiet": Quiet}

_SECONDS_BETWEEN_LOG_LINES = 10.0
_SECONDS_BETWEEN_EVENTS = 0.25

logger = logging.getLogger("spectf_cloud")


@dataclass(frozen=True)
class Reporter:
    """Where a command's messages go: people read standard error and output, programs read JSON events."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0

    def __post_init__(self) -> None:
        global active
        active = self
        level = logging.ERROR if self.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_LowerCaseLevel("%(levelname)s: %(message)s"))
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False

    @contextmanager
    def progress(self, what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """Yield a function to call with (done, total); it shows an event, a bar or log lines."""
        if self.json:
            yield _throttled(lambda done, total, rate: self.event("progress", done=done, total=total, rate=rate))
        elif self.quiet:
            yield lambda done, total: None
        elif sys.stderr.isatty():
            with _bar(what, unit) as update:
                yield update
        else:
            yield _throttled(
                lambda done, total, rate: print(
                    f"{what}: {done / total:.0%}, {rate:,.0f} {unit}/s, {_eta(done, total, rate)} left", file=sys.stderr
                ),
                _SECONDS_BETWEEN_LOG_LINES,
            )

    def event(self, kind: str, **fields: Any) -> None:
        """Print one JSON object on a line of standard output."""
        print(json.dumps({"event": kind, **fields}, default=str), flush=True)

    def done(self, fields: Mapping[str, Any], *lines: str) -> None:
        """Print the result: all fields for programs, the lines for people."""
        if self.json:
            self.event("done", **fields)
        elif not self.quiet:
            for line in lines:
                print(line)


#: The reporter of the running command, for errors that end it; None until its options are parsed.
active: Reporter | None = None


def failed(message: str, exit_code: int, arguments: Sequence[str]) -> int:
    """Print why a command failed, on standard error and as an event; return the exit code."""
    with suppress(OSError, ValueError):  # the reader is gone
        print(f"error: {message}", file=sys.stderr, flush=True)
    if active.json if active else "--json" in arguments:
        with suppress(OSError, ValueError):
            print(json.dumps({"event": "error", "message": message, "exit_code": exit_code}), flush=True)
    return exit_code


class _LowerCaseLevel(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        return super().format(record)


def _throttled(
    show: Callable[[int, int, float], None], seconds: float = _SECONDS_BETWEEN_EVENTS
) -> Callable[[int, int], None]:
    """Call ``show(done, total, rate per second)`` at most every ``seconds``, and always at the end."""
    start = last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds or (done >= total and now - start > 2.0):
            last = now
            show(done, total, done / max(now - start, 1e-9))

    return update


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")
        start = time.monotonic()

        def update(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f} {unit}/s")

        yield update


def _eta(done: int, total: int, rate: float) -> str:
    seconds = round((total - done) / rate) if rate > 0 else 0
    return f"{seconds // 60}:{seconds % 60:02d}"
