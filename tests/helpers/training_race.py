"""Training speed beside that of the straightforward loop: same start, same batches, same order, one thread."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.data.split import Scenes
from spectf_cloud.model import ModelConfig
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.distributed import ALONE
from spectf_cloud.training.run import SpecTfTask
from spectf_cloud.training.trainer import Trainer, batches

from straightforward import Straightforward, train_steps


def compare(spectra: Spectra, dropout: float, steps: int, batch: int = 256, lr: float = 1e-3, seed: int = 0) -> dict:
    """Return pixels per CPU second and the loss of each step, by name: ours and the straightforward way."""
    torch.set_num_threads(1)
    rows = np.random.default_rng(seed).permutation(len(spectra))[: steps * batch]
    config = TrainConfig(
        (), Path(), Path(), batch=batch, lr=lr, seed=seed, architecture=ModelConfig(dropout=dropout), val_fraction=0.0
    )
    task = SpecTfTask(config, spectra, Scenes([], [], []), torch.device("cpu"))
    trainer = Trainer(task, config, task.device)
    plain = Straightforward(config.architecture, spectra.wavelength_nm)
    plain.load_state_dict(trainer.model.state_dict())
    trainer.set_mode(training=True)

    def ours():
        for values, whole in batches(task.read, rows, batch, ALONE):
            yield trainer.step(values, whole) / whole

    torch.manual_seed(seed)
    result = {"dropout": dropout, "batch": batch, "steps": steps}
    for name, losses in (("ours", ours()), ("straightforward", train_steps(plain, spectra, rows, batch, lr))):
        found = [next(losses)]  # the first step warms up
        start = time.process_time()
        found += list(losses)
        seconds = time.process_time() - start
        result[name] = {"pixels_per_cpu_second": (steps - 1) * batch / seconds, "losses": found}
    speeds = [result[name]["pixels_per_cpu_second"] for name in ("ours", "straightforward")]
    return result | {"ratio": speeds[0] / speeds[1]}
