"""Polishes the network `train` ends with: Gauss–Newton steps from tens of thousands of spectra at once.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.distillation.polish --run RUN_FOLDER

Starts from `best.pt` in the run folder and leaves the better network there; `polish.csv` is its log, `pool.pt` its
spectra. Two threads; a step holds `rows` gradients of 25,538 numbers, 8 GB for 81,920 of them.
"""

from __future__ import annotations

import csv
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evaluation.distillation.data import reference_folder
from evaluation.distillation.lesson import Lesson, Stage
from evaluation.distillation.newton import gradients, scale_of, steps
from evaluation.distillation.train import parse, write_whole
from evaluation.distillation.validation import Scores, Validation
from spectf_cloud.model import ModelConfig, SpecTfEncoder

COLUMNS = ("step", "cpu_s", "conjugate", "source", "mask_differs", "mean_abs_dp", "doubt_error")
_PORTION = 4096


@dataclass(frozen=True)
class Polish:
    """Settings, from config.yml.

    shares: of the sources, before the choice. pool: spectra drawn; rows: of them, at random, in a step. near: a
    spectrum with logit difference t is taken with chance 1/(1 + (t/near)²). partial: share of the spectra of which only
    `tokens` bands are given. jitter: as in the stages. clip: the largest error that counts. conjugate: after how many
    conjugate gradients to look at the step; rate: the share of it that is gone.
    """

    shares: dict[str, float]
    steps: int
    pool: int
    rows: int
    near: float
    partial: float
    tokens: int
    jitter: float
    clip: float
    damping: float
    conjugate: tuple[int, ...]
    rate: float
    seed: int


@dataclass(frozen=True)
class Pool:
    """toa, wavelength (n, s) in our units and normalised, and the teacher's logit differences (n,)."""

    toa: Tensor
    wavelength: Tensor
    difference: Tensor


@cache
def _lesson(simulated: str, irradiance: str) -> Lesson:
    """One per process: reading the libraries takes seconds."""
    torch.set_num_threads(1)
    bank = np.load(simulated, mmap_mode="r") if Path(simulated).is_file() else None
    return Lesson(reference_folder(), Path(irradiance), 0, {}, _PORTION, bank)


def draw(simulated: str, irradiance: str, settings: Polish, number: int, tokens: int, wanted: int) -> Pool:
    """Fresh spectra near the threshold; `number` is their seed."""
    lesson = _lesson(simulated, irradiance)
    lesson.shares, lesson.seed, lesson.bank_number = settings.shares, settings.seed, 1000 * number
    lesson.random.manual_seed(settings.seed + number)
    stage = Stage(tokens, 1, 1, (1, 1), jitter=settings.jitter)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    while sum(len(part[2]) for part in parts) < wanted:
        batch = lesson.fresh(stage)
        difference = batch.logits[:, 1] - batch.logits[:, 0]
        near = torch.rand(len(difference), generator=lesson.random) < 1 / (1 + (difference / settings.near) ** 2)
        parts.append((batch.toa[near], batch.wavelength[near], difference[near]))
    return Pool(*(torch.cat(values)[:wanted] for values in zip(*parts, strict=True)))


def draw_pools(simulated: str, irradiance: str, settings: Polish, bands: int) -> list[Pool]:
    """The pool of whole spectra and that of sets of some bands, by two processes."""
    partial = round(settings.partial * settings.pool)
    with ProcessPoolExecutor(2, get_context("spawn")) as drawers:
        pools = []
        for kind, (tokens, size) in enumerate(((bands, settings.pool - partial), (settings.tokens, partial))):
            numbers = range(kind, 2 * -(-size // _PORTION), 2)
            parts = [drawers.submit(draw, simulated, irradiance, settings, k, tokens, _PORTION) for k in numbers]
            drawn = [part.result() for part in parts]
            pools.append(Pool(*(torch.cat([getattr(part, name) for part in drawn])[:size] for name in vars(drawn[0]))))
    return pools


class Polisher:
    """A network, and the steps it takes."""

    def __init__(self, settings: Polish, model: SpecTfEncoder, pools: list[Pool], validation: Validation) -> None:
        self.settings, self.model, self.pools, self.validation = settings, model, pools, validation
        self.scores = validation.score(model)
        rows = min(settings.rows, sum(len(pool.toa) for pool in pools))
        self.rows = torch.empty(rows, sum(value.numel() for value in model.parameters()))

    def step(self, number: int) -> int:
        """Go the best of the steps looked at; the conjugate gradients it took, 0 where none is better than staying."""
        settings, before = self.settings, self.scores
        error = self._linearise(torch.Generator().manual_seed(settings.seed + number))
        start = parameters_to_vector(self.model.parameters()).detach().clone()
        best, taken, where = float(len(before)), 0, start
        scale = scale_of(self.model, self.rows)
        found = steps(self.rows, error, scale, settings.damping, settings.conjugate)
        for conjugate, step in zip(settings.conjugate, found, strict=True):
            vector_to_parameters(start + settings.rate * step, self.model.parameters())
            scores = self.validation.score(self.model)
            merit = sum(score[1] / before[name][1] for name, score in scores.items())
            if merit < best:
                best, taken, where, self.scores = merit, conjugate, start + settings.rate * step, scores
        vector_to_parameters(where, self.model.parameters())
        return taken

    def _linearise(self, random: torch.Generator) -> Tensor:
        """Gradients of some spectra of each pool into `rows`, and how much is missing to the teacher (n,)."""
        errors, whole = [], sum(len(pool.toa) for pool in self.pools)
        rows = self.rows
        for pool in self.pools:
            wanted = min(len(rows), -(-len(self.rows) * len(pool.toa) // whole))
            chosen = torch.randperm(len(pool.toa), generator=random)[:wanted]
            difference = gradients(self.model, pool.toa[chosen], pool.wavelength[chosen], rows[:wanted])
            errors.append((pool.difference[chosen] - difference).clamp(-self.settings.clip, self.settings.clip))
            rows = rows[wanted:]
        return torch.cat(errors)


def polish(config: dict[str, Any], irradiance: Path, run: Path) -> None:
    """Draw the pools where the run has none, then take the steps it has not taken."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in config["polish"].items()}
    settings, bank = Polish(**values), str(config.get("simulated", ""))
    lesson = _lesson(bank, str(irradiance))
    if not (run / "pool.pt").is_file():
        pools = draw_pools(bank, str(irradiance), settings, len(lesson.wavelength))
        write_whole([vars(pool) for pool in pools], run / "pool.pt")
    pools = [Pool(**values) for values in torch.load(run / "pool.pt", weights_only=True)]
    validation = Validation(lesson, config["validation_seed"], config["validation_size"], config["threshold"])
    model = ModelConfig().build(lesson.sources.wavelength_nm)
    model.load_state_dict(torch.load(run / "best.pt", weights_only=True))
    log = run / "polish.csv"
    last = last_line(log)
    first, cpu_s = int(last.get("step", 0)), float(last.get("cpu_s", 0))
    torch.set_num_threads(2)
    polisher = Polisher(settings, model, pools, validation)
    for number in range(first, settings.steps):
        taken = polisher.step(number)
        write_whole(model.state_dict(), run / "best.pt")
        _record(log, number + 1, cpu_s + time.process_time(), taken, polisher.scores)


def last_line(log: Path) -> dict[str, str]:
    """The last line of a polishing log by column; empty where there is none."""
    if not log.is_file():
        return {}
    with log.open(newline="") as file:
        *_, last = csv.DictReader(file)
    return last


def _record(log: Path, number: int, cpu_s: float, taken: int, scores: Scores) -> None:
    with log.open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(COLUMNS)
        for name, score in scores.items():
            writer.writerow((number, round(cpu_s, 1), taken, name, *(f"{value:.5f}" for value in score)))


def main() -> None:
    """Command line."""
    options = parse(__doc__)
    polish(yaml.safe_load(options.config.read_text()), options.irradiance, options.run)


if __name__ == "__main__":
    main()
