"""Pixels in batches of one shape, in parallel: a pixel's result never depends on the others in its batch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


def in_batches(
    toa: Float32Array,
    size: int,
    threads: int,
    compute: Callable[[Float32Array], Float32Array],
    on_each_thread: Callable[[], None] | None = None,
) -> Float32Array:
    """Return ``compute`` (n,) float32 of toa (n, bands), by batches of exactly ``size`` rows; the last is padded."""
    result = np.empty(len(toa), np.float32)

    def run(start: int) -> None:
        batch = np.ascontiguousarray(toa[start : start + size])
        filled = len(batch)
        if filled < size:
            batch = np.concatenate([batch, np.zeros((size - filled, toa.shape[1]), np.float32)])
        result[start : start + filled] = compute(batch)[:filled]

    on_threads(run, range(0, len(toa), size), threads, on_each_thread)
    return result


def on_threads(
    run: Callable[[int], None], starts: range, threads: int, on_each_thread: Callable[[], None] | None = None
) -> None:
    """Call ``run`` with every start, on this thread where one is enough."""
    if threads == 1 or len(starts) < 2:
        for start in starts:
            run(start)
    else:
        with ThreadPoolExecutor(threads, "spectf", on_each_thread) as pool:
            list(pool.map(run, starts))
