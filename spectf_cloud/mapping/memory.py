"""Memory of a scene: how many lines are read at once."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from spectf_cloud.errors import UsageError
from spectf_cloud.scene import Scene

_BLOCK_BYTES = 32 * 2**20
# A row of chunks is decompressed as a whole, so it is read as a whole unless it is larger than this.
_MAX_BLOCK_BYTES = 256 * 2**20
# One is computed while the next is read and, in some formats, transposed.
_BLOCKS_HELD = 3
# Parameters of glibc's `mallopt`, with values larger than any block.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 2**25), (-1, 2**28)
_RESULT_BYTES_PER_PIXEL = 4 + 6 * 4
# Batches of the network on each thread, HDF5's chunk cache, products being written.
_WORKING_BYTES = 300 * 2**20


def block_lines(scene: Scene, memory_limit_bytes: int | None = None, busy_lines: int = 1) -> int:
    """Return the lines to read at a time: about 32 MiB, or whole chunks and ``busy_lines`` up to 256 MiB.

    ``busy_lines`` keep every thread busy while the next are read. A memory limit, by default the memory of the
    machine, reduces the lines. Raises `UsageError` when not even one line fits.
    """
    geometry_bands = scene.observation.bands if scene.observation else 1
    line_bytes = scene.samples * (scene.image.bands * 4 + geometry_bands * 8)
    chunk_lines = max(cube.lines_per_chunk for cube in scene.cubes)
    budget = max(_BLOCK_BYTES, min(max(chunk_lines, busy_lines) * line_bytes, _MAX_BLOCK_BYTES))
    limit_bytes = memory_limit_bytes or _machine_bytes()
    if limit_bytes is not None:
        fixed = _resident_bytes() + _WORKING_BYTES + scene.lines * scene.samples * _RESULT_BYTES_PER_PIXEL
        budget = min(budget, (limit_bytes - fixed) // _BLOCKS_HELD)
        if budget < line_bytes:
            least_mb = -(-(fixed + line_bytes * _BLOCKS_HELD) // 10**6)
            advice = "raise --memory-limit" if memory_limit_bytes else f"this machine has {limit_bytes // 10**6}"
            raise UsageError(f"{scene.name} needs at least {least_mb} MB; {advice}")
    lines = max(budget // line_bytes, 1)
    return lines - lines % chunk_lines if lines >= chunk_lines else lines


def _machine_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _resident_bytes() -> int:
    """Return the resident memory of this process; a typical value where it is not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return 500 * 2**20
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def keep_freed_memory() -> None:
    """Make glibc keep freed blocks for the next ones.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_, which returns every block of a scene to the system and costs a
    tenth of the CPU time of a scene.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if "MALLOC_TRIM_THRESHOLD_" in os.environ else None
    if mallopt is not None:
        mallopt(*_MMAP_THRESHOLD)
        mallopt(*_TRIM_THRESHOLD)
