"""Computes a scene line by line, on several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation.geometry import NODATA
from spectf_cloud.simulation.scene import SimulatedScene

Float32Array = NDArray[np.float32]
#: Called with lines done and lines in all.
Progress = Callable[[int, int], None]


def radiance_lines(
    scene: SimulatedScene, workers: int = 1, significant_bits: int | None = None, progress: Progress | None = None
) -> Iterator[Float32Array]:
    """Yield the radiance of a scene line by line: (samples, bands) float32, uW cm-2 sr-1 nm-1."""

    def compute(line: int) -> Float32Array:
        return _rounded(scene.radiance_line(line), significant_bits)

    return _in_order(compute, scene.shape[0], workers, progress)


def reflectance_lines(
    scene: SimulatedScene, workers: int = 1, progress: Progress | None = None
) -> Iterator[Float32Array]:
    """Yield the noise-free TOA reflectance of a scene line by line: (samples, bands) float32."""
    return _in_order(scene.reflectance_line, scene.shape[0], workers, progress)


def _in_order(
    compute: Callable[[int], Float32Array], lines: int, workers: int, progress: Progress | None
) -> Iterator[Float32Array]:
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Float32Array]] = []
        for line in range(lines + 2 * workers):
            if line < lines:
                waiting.append(pool.submit(compute, line))
            if line >= 2 * workers:
                yield waiting.pop(0).result()
                if progress:
                    progress(line - 2 * workers + 1, lines)


def _rounded(radiance: Float32Array, significant_bits: int | None) -> Float32Array:
    """Round the mantissa to some bits, half to even upwards; -9999 stays itself."""
    if significant_bits is None or significant_bits >= 23:
        return radiance
    drop = 23 - significant_bits
    bits = radiance.view(np.uint32)
    rounded = ((bits + np.uint32(1 << (drop - 1))) >> np.uint32(drop)) << np.uint32(drop)
    return np.where(radiance == NODATA, radiance, rounded.view(np.float32))
