"""Trains the network on spectra near the threshold alone, by two processes.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.distillation.descend --run RUN_FOLDER

Starts from `best.pt` in the run folder, with the spectra of `pool`, and leaves its averaged network there at the end;
`descent.csv` is its log, `descent.pt` what the same command goes on with.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing
import yaml
from torch.nn import functional as F

from evaluation.distillation import pooled
from evaluation.distillation.log import append
from evaluation.distillation.pool import Pool, load
from evaluation.distillation.soap import Soap
from evaluation.distillation.train import best_so_far, parse, write_whole
from spectf_cloud.model import ModelConfig, SpecTfEncoder
from spectf_cloud.training.distributed import World, world

COLUMNS = ("step", "cpu_s", "samples", "rate", "loss")


@dataclass(frozen=True)
class Descent:
    """Settings, from config.yml.

    processes: at a time, a core each. batch: spectra a step, of each process. rate: at the start and the end, in shares
    of each tensor's root mean square: these are 0.03 to 4.5 here, and with one rate for all the small ones are
    noise before the large ones move. average: of the weights, exponential. delta: error of the logit difference from
    where on it counts linearly.
    """

    processes: int
    steps: int
    batch: int
    rate: tuple[float, float]
    average: float
    delta: float
    warm_up: int
    seed: int


class Descender:
    """A network, its average, and the optimiser; every process has the same."""

    def __init__(
        self, settings: Descent, model: SpecTfEncoder, pool: Pool, betas: tuple[float, float], every: int
    ) -> None:
        self.settings, self.model, self.pool = settings, model, pool
        self.average = ModelConfig().build([1000.0])
        self.average.load_state_dict(model.state_dict())
        self.units = [float(value.detach().square().mean().sqrt()) for value in model.parameters()]
        self.optimiser = Soap([{"params": [value]} for value in model.parameters()], betas=betas, every=every)
        self.step, self.cpu_s = 0, 0.0

    def rate(self) -> float:
        """Geometric between the two rates, after a warm-up."""
        first, last = self.settings.rate
        share = self.step / self.settings.steps
        return first * (last / first) ** share * min(1.0, (self.step + 1) / self.settings.warm_up)

    def advance(self, group: World) -> float:
        """One step of all processes; the loss of this one."""
        random = torch.Generator().manual_seed((self.settings.seed * 1_000_003 + self.step) * group.size + group.rank)
        rows = torch.randint(len(self.pool.toa), (self.settings.batch,), generator=random)
        features = pooled.features(self.model, self.pool.toa[rows], self.pool.wavelength[rows])
        logits = self.model.head(features)
        loss = F.huber_loss(logits[:, 1] - logits[:, 0], self.pool.difference[rows], delta=self.settings.delta)
        self.model.zero_grad()
        (loss / group.size).backward()
        group.sum_gradients(self.model.parameters())
        for one, unit in zip(self.optimiser.param_groups, self.units, strict=True):
            one["lr"] = self.rate() * unit
        self.optimiser.step()
        share = max(1 - self.settings.average, 1 / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, share)
        self.step += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        networks = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        return {
            **networks,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "cpu_s": self.cpu_s,
            "units": self.units,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up where `state` was."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.cpu_s, self.units = state["step"], state["cpu_s"], state["units"]


def descend(config: dict[str, Any], irradiance: Path, run: Path, group: World) -> None:
    """Take the steps the run has not taken; the leading process keeps and reports."""
    settings = Descent(**config["descent"] | {"rate": tuple(config["descent"]["rate"])})
    model, validation = best_so_far(config, irradiance, run)
    descender = Descender(settings, model, load(run)[0], tuple(config["betas"]), config["every"])
    kept = run / "descent.pt"
    if kept.is_file():
        descender.restore(torch.load(kept, weights_only=True))
    losses: list[float] = []
    clock = time.process_time()
    while descender.step < settings.steps:
        rate = descender.rate()
        losses.append(descender.advance(group))
        if descender.step % config["examine_every"] and descender.step < settings.steps:
            continue
        descender.cpu_s, clock = descender.cpu_s + group.size * (time.process_time() - clock), time.process_time()
        if group.leads:
            fixed = (descender.step, round(descender.cpu_s, 1), descender.step * settings.batch * group.size)
            scores = validation.score(descender.average)
            append(run / "descent.csv", COLUMNS, (*fixed, f"{rate:.5g}", f"{np.mean(losses):.5g}"), scores)
            write_whole(descender.state(), kept)
        losses.clear()
    if group.leads:
        write_whole(descender.average.state_dict(), run / "best.pt")


def _process(rank: int, port: int, config: dict[str, Any], irradiance: Path, run: Path) -> None:
    """One of the processes, started as torchrun would start it."""
    size = config["descent"]["processes"]
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with world(on_cuda=False) as group:
        descend(config, irradiance, run, group)


def main() -> None:
    """Command line."""
    options = parse(__doc__)
    config = yaml.safe_load(options.config.read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(
        _process, (port, config, options.irradiance, options.run), nprocs=config["descent"]["processes"]
    )


if __name__ == "__main__":
    main()
