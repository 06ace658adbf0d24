"""Polishes the network `train` ends with: Gauss–Newton steps from tens of thousands of spectra at once.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.distillation.polish --run RUN_FOLDER

Starts from `best.pt` in the run folder, with the spectra of `pool`, and leaves the better network there; `polish.csv`
is its log. Two threads; a step holds `rows` gradients of 25,538 numbers, 8 GB for 81,920 of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evaluation.distillation.log import append, last_line
from evaluation.distillation.newton import gradients, scale_of, steps
from evaluation.distillation.pool import Pool, load
from evaluation.distillation.train import best_so_far, parse, write_whole
from evaluation.distillation.validation import Validation
from spectf_cloud.model import SpecTfEncoder

COLUMNS = ("step", "cpu_s", "conjugate")


@dataclass(frozen=True)
class Polish:
    """Settings, from config.yml.

    rows: spectra of the pool, at random, in a step. clip: the largest error that counts. conjugate: after how many
    conjugate gradients to look at the step; rate: the share of it that is gone.
    """

    steps: int
    rows: int
    clip: float
    damping: float
    conjugate: tuple[int, ...]
    rate: float
    seed: int


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
    """Take the steps the run has not taken."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in config["polish"].items()}
    settings, log = Polish(**values), run / "polish.csv"
    model, validation = best_so_far(config, irradiance, run)
    last = last_line(log)
    first, cpu_s = int(last.get("step", 0)), float(last.get("cpu_s", 0))
    torch.set_num_threads(2)
    polisher = Polisher(settings, model, load(run), validation)
    for number in range(first, settings.steps):
        taken = polisher.step(number)
        write_whole(model.state_dict(), run / "best.pt")
        append(log, COLUMNS, (number + 1, round(cpu_s + time.process_time(), 1), taken), polisher.scores)


def main() -> None:
    """Command line."""
    options = parse(__doc__)
    polish(yaml.safe_load(options.config.read_text()), options.irradiance, options.run)


if __name__ == "__main__":
    main()
