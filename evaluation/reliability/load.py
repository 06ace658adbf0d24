"""Many scenes in one process: whether its resident memory grows."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path

from evaluation.reliability.scenes import whole_job
from spectf_cloud.mapping.deploy import deploy


@dataclass(frozen=True)
class Growth:
    """Resident memory after the first scenes and after all of them."""

    first_bytes: int
    last_bytes: int

    @property
    def growth(self) -> float:
        """Increase as a share of the first."""
        return self.last_bytes / self.first_bytes - 1


def resident_growth(radiance: Path, weights: Path, folder: Path, scenes: int, warm_up: int = 10) -> Growth:
    """Mask a scene with every product over and over in this process; the first few fill caches and do not count."""
    first = 0
    for number in range(scenes):
        deploy(whole_job(radiance, folder, weights))
        if number + 1 == warm_up:
            first = _resident()
    return Growth(first, _resident())


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
