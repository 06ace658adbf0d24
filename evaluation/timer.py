"""Wall-clock and CPU seconds of a call, and of several that take turns on the same inputs."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

Input = TypeVar("Input")


class Seconds(NamedTuple):
    """What a call took by the clock, and of processors in this process and its ended children."""

    wall: float
    cpu: float


def seconds_of(run: Callable[[], object]) -> Seconds:
    """Call and measure. A busy machine disturbs CPU seconds least."""
    wall, cpu = time.perf_counter(), _cpu()
    run()
    return Seconds(time.perf_counter() - wall, _cpu() - cpu)


def alternate(
    runs: Mapping[str, Callable[[Input], object]],
    inputs: Iterable[Input],
    measure: Callable[[Callable[[], object]], Seconds] = seconds_of,
    rounds: Mapping[str, int] | None = None,
) -> dict[str, list[Seconds]]:
    """Measure every run on each input in turn, so that all see the same company; warm them up before.

    rounds
        Of runs that sit out the later inputs.
    """
    found: dict[str, list[Seconds]] = {name: [] for name in runs}
    for turn, given in enumerate(inputs):
        for name, run in runs.items():
            if turn < (rounds or {}).get(name, turn + 1):
                found[name].append(measure(lambda run=run, given=given: run(given)))
        print(turn, {name: f"{seconds[-1].cpu:.3g} s" for name, seconds in found.items()}, flush=True)
    return found


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
