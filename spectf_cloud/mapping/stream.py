"""The stream of a scene's lines: one thread reads ahead while others turn lines into rows of the results.

The calling thread reads, so that interrupts and a progress bar reach it; workers compute. At most two blocks
are held, the one being computed and the one being read. Any failure stops the stream and is re-raised in the calling
thread, after the workers have stopped.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.tokens import Tokens

if TYPE_CHECKING:
    from spectf_cloud.inference.backend import Backend

Float32Array = NDArray[np.float32]

#: Called with (pixels done, all pixels) as lines are finished.
Progress = Callable[[int, int], None]

# A line of EMIT: long enough to hide the cost of a call, short enough to share a scene evenly and to stop soon.
_CPU_PIXELS = 1024


@dataclass(frozen=True, eq=False)
class Rows:
    """Results of whole lines or a whole scene.

    probability: (lines, samples) float32, −9999 without data; preview: (lines, samples, 6) float32 reflectance, NaN
    without data.
    """

    probability: Float32Array
    preview: Float32Array

    @classmethod
    def empty(cls, lines: int, samples: int, bands: int) -> Rows:
        """Return rows without data."""
        probability = np.full((lines, samples), NODATA, np.float32)
        return cls(probability, np.full((lines, samples, bands), np.nan, np.float32))


class LineComputer(Protocol):
    """Turns lines of a scene into rows of the results.

    `workers` threads may call it at once, best with about `pixels` pixels. A pixel's result must not depend on the
    other pixels of the call, because the grouping of lines depends on the memory.
    """

    workers: int
    pixels: int

    def __call__(self, values: NDArray[np.floating], incidence_deg: NDArray[np.float64]) -> Rows:
        """Return the rows of values (n, samples, bands) as read and incidence_deg (n, samples), NaN where unusable."""


class OnProcessor:
    """Compute lines by reflectance and a backend that ``workers`` threads may call at once.

    ``shown`` are the positions of the preview's bands among the tokens. The watch gets the workers' mean seconds of
    ``toa`` and ``inference``.
    """

    pixels = _CPU_PIXELS

    def __init__(
        self, tokens: Tokens, shown: NDArray[np.intp], backend: Backend, workers: int, watch: Stopwatch
    ) -> None:
        self.tokens, self.shown, self.backend, self.workers, self.watch = tokens, shown, backend, workers, watch

    def __call__(self, values: NDArray[np.floating], incidence_deg: NDArray[np.float64]) -> Rows:
        lines, samples, bands = values.shape
        rows = Rows.empty(lines, samples, len(self.shown))
        with self.watch.stage("toa", self.workers):
            usable, toa = self.tokens.reflectance(values.reshape(-1, bands), incidence_deg.reshape(-1))
            rows.preview.reshape(len(usable), -1)[usable] = toa[:, self.shown]
        if len(toa):
            with self.watch.stage("inference", self.workers):
                rows.probability.reshape(-1)[usable] = self.backend(toa)
        return rows


def piece_lines(scene: Scene, compute: LineComputer) -> int:
    """Return how many lines a worker gets at once."""
    return max(1, compute.pixels // scene.samples)


def run_stream(
    scene: Scene,
    compute: LineComputer,
    preview_bands: int,
    lines_per_block: int,
    watch: Stopwatch,
    progress: Progress | None = None,
) -> Rows:
    """Compute all rows of a scene. Raises what reading, computing or ``progress`` raises.

    The watch gets the seconds of ``read``, which mostly overlaps the computation, and of ``waiting``, the mean time
    in which a worker had nothing to do.
    """
    began, busy = time.perf_counter(), Stopwatch()
    whole = Rows.empty(scene.lines, scene.samples, preview_bands)
    lines = min(piece_lines(scene, compute), lines_per_block)
    lines_per_block -= lines_per_block % lines
    under_way: deque[tuple[int, Future[Rows]]] = deque()

    def piece_of(values: NDArray[np.floating], incidence_deg: NDArray[np.float64]) -> Rows:
        with busy.stage("busy", compute.workers):
            return compute(values, incidence_deg)

    def finish(allowed: int) -> None:
        """Put rows in their place until no more than ``allowed`` pieces are under way."""
        while len(under_way) > allowed:
            start, future = under_way.popleft()
            rows = future.result()
            stop = start + len(rows.probability)
            whole.probability[start:stop], whole.preview[start:stop] = rows.probability, rows.preview
            if progress:
                progress(stop * scene.samples, scene.lines * scene.samples)

    with ThreadPoolExecutor(compute.workers, "spectf-stream") as pool:
        try:
            for start, stop in scene.blocks(lines_per_block):
                with watch.stage("read"):
                    values = scene.image.read(start, stop)
                    incidence_deg = scene.read_incidence_deg(start, stop)
                for first in range(0, stop - start, lines):
                    piece = slice(first, first + lines)
                    under_way.append((start + first, pool.submit(piece_of, values[piece], incidence_deg[piece])))
                del values  # its pieces keep it until they are done
                finish(-(-(stop - start) // lines))
            finish(0)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    watch.add("waiting", time.perf_counter() - began - busy.seconds.get("busy", 0.0))
    return whole
