"""How many lines of a scene fit in memory at once."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from spectf_cloud.errors import UsageError
from spectf_cloud.scene import Scene

_BLOCK_BYTES = 32 * 2**20
# A row of chunks is decompressed whole, so it is better read whole, unless it is larger than this.
_LARGEST_BLOCK_BYTES = 256 * 2**20
# One is computed while the next is read and, in some formats, turned.
_BLOCKS_HELD = 3
# glibc's names for what `mallopt` sets, and values beyond any block of ours.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 2**25), (-1, 2**28)
_RESULT_BYTES_PER_PIXEL = 4 + 6 * 4
# Batches of the network on each thread, HDF5's chunk cache, products being written.
_WORKING_BYTES = 300 * 2**20


def block_lines(scene: Scene, memory_limit_bytes: int | None = None, busy_lines: int = 1) -> int:
    """Lines to read at a time: about 32 MiB, whole chunks where they are not too large, less under a limit.

    ``busy_lines`` keep every thread busy while the next are read: not fewer where they are not too large.

    Without a limit it is the memory of the machine. Raises `UsageError` when not even one line fits.
    """
    geometry_bands = scene.observation.bands if scene.observation else 1
    line_bytes = scene.samples * (scene.image.bands * 4 + geometry_bands * 8)
    chunk_lines = max(cube.lines_per_chunk for cube in scene.cubes)
    budget = max(_BLOCK_BYTES, min(max(chunk_lines, busy_lines) * line_bytes, _LARGEST_BLOCK_BYTES))
    limit_bytes = memory_limit_bytes or _machine_bytes()
    if limit_bytes is not None:
        fixed = _resident_bytes() + _WORKING_BYTES + scene.lines * scene.samples * _RESULT_BYTES_PER_PIXEL
        budget = min(budget, (limit_bytes - fixed) // _BLOCKS_HELD)
        if budget < line_bytes:
            least_mb = -(-(fixed + line_bytes * _BLOCKS_HELD) // 10**6)
            way_out = "raise --memory-limit" if memory_limit_bytes else f"this machine has {limit_bytes // 10**6}"
            raise UsageError(f"{scene.name} needs at least {least_mb} MB; {way_out}")
    lines = max(budget // line_bytes, 1)
    return lines - lines % chunk_lines if lines >= chunk_lines else lines


def _machine_bytes() -> int | None:
    """Memory of this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _resident_bytes() -> int:
    """Resident memory of this process now; a typical value where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return 500 * 2**20
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next ones.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_, with which every block of a scene is given back to the system
    and faulted in again: a tenth of the CPU time of a scene.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if "MALLOC_TRIM_THRESHOLD_" in os.environ else None
    if mallopt is not None:
        mallopt(*_MMAP_THRESHOLD)
        mallopt(*_TRIM_THRESHOLD)
