"""Spectra near the threshold, of which a mask is made or missed: for the last parts of the training.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.distillation.pool --run RUN_FOLDER

Two processes, a quarter of an hour; they leave `pool.pt` in the run folder. The compiled kernel tells near from far at
a fraction of the teacher's cost in PyTorch, which then answers for what was taken.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from evaluation.distillation.data import read_bank, reference_folder
from evaluation.distillation.lesson import Lesson, Stage
from evaluation.distillation.train import parse, write_whole
from spectf_cloud.inference.backend import Backend
from spectf_cloud.inference.predict import pick_backend

_DRAWN_AT_ONCE = 16384


@dataclass(frozen=True)
class Part:
    """A part of the pool, from config.yml.

    shares: of the sources, before the choice. size: spectra. near: a spectrum of which the teacher says d (logit
    difference) is taken with chance 1/(1 + (d/near)²). tokens: bands given of each, all where 268. jitter: as in the
    stages.
    """

    shares: dict[str, float]
    size: int
    near: float
    seed: int
    tokens: int = 268
    jitter: float = 0.1


@dataclass(frozen=True)
class Pool:
    """toa, wavelength (n, s) in our units and normalised, and the teacher's logit differences (n,)."""

    toa: Tensor
    wavelength: Tensor
    difference: Tensor

    @classmethod
    def joined(cls, pools: list[Pool]) -> Pool:
        """One after the other; all of the same number of bands."""
        return cls(*(torch.cat([getattr(pool, field.name) for pool in pools]) for field in fields(cls)))


@cache
def _lesson(simulated: str, irradiance: str) -> tuple[Lesson, Backend]:
    """One per process, with the teacher as the compiled kernel: reading the libraries takes seconds."""
    torch.set_num_threads(1)
    lesson = Lesson(reference_folder(), Path(irradiance), 0, {}, _DRAWN_AT_ONCE, read_bank(simulated))
    return lesson, pick_backend(lesson.teacher, fidelity="fast", threads=1)


def draw(simulated: str, irradiance: str, part: Part, wanted: int, number: int) -> Pool:
    """Fresh spectra near the threshold; `number` is which of the draws of this part it is."""
    lesson, teacher = _lesson(simulated, irradiance)
    lesson.shares, lesson.seed, lesson.bank_number = part.shares, part.seed, 1000 * number
    lesson.random.manual_seed(1000 * part.seed + number)
    stage = Stage(part.tokens, 1, 1, (1, 1), jitter=part.jitter)
    taken: list[Pool] = []
    while sum(len(pool.toa) for pool in taken) < wanted:
        difference = torch.from_numpy(teacher(lesson.draw().numpy())).logit(1e-7)
        near = torch.rand(len(difference), generator=lesson.random) < 1 / (1 + (difference / part.near) ** 2)
        batch = lesson.sets(near.nonzero()[:, 0], stage)
        taken.append(Pool(batch.toa, batch.wavelength, batch.logits[:, 1] - batch.logits[:, 0]))
    pool = Pool.joined(taken)
    return Pool(*(getattr(pool, field.name)[:wanted] for field in fields(Pool)))


def draw_all(config: dict[str, Any], irradiance: Path) -> list[Pool]:
    """A pool for every number of bands, of all parts of the configuration, by two processes."""
    parts = [Part(**values) for values in config["pool"]]
    by_tokens: dict[int, list[Pool]] = {}
    with ProcessPoolExecutor(2, get_context("spawn")) as drawers:
        drawn = [
            (part, drawers.submit(draw, config.get("simulated", ""), str(irradiance), part, part.size // 2, number))
            for part in parts
            for number in (0, 1)
        ]
        for part, future in drawn:
            by_tokens.setdefault(part.tokens, []).append(future.result())
    return [Pool.joined(pools) for pools in by_tokens.values()]


def load(run: Path) -> list[Pool]:
    """The pools of a run, those of most bands first."""
    pools = [Pool(**values) for values in torch.load(run / "pool.pt", weights_only=True)]
    return sorted(pools, key=lambda pool: -pool.toa.shape[1])


def main() -> None:
    """Command line."""
    options = parse(__doc__)
    options.run.mkdir(parents=True, exist_ok=True)
    pools = draw_all(yaml.safe_load(options.config.read_text()), options.irradiance)
    write_whole([vars(pool) for pool in pools], options.run / "pool.pt")


if __name__ == "__main__":
    main()
