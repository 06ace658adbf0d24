"""Training speed side by side with the straightforward loop: same start, same batches, same order.

    python -m evaluation.training.throughput DATA.hdf5 --steps 8

Time is that of the processor, one thread, so that a busy machine does not blur the ratio.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from evaluation.training.straightforward import Straightforward, train_steps
from spectf_cloud.data.spectra import Spectra, open_spectra
from spectf_cloud.data.split import Scenes
from spectf_cloud.model import ModelConfig
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.distributed import ALONE
from spectf_cloud.training.run import SpecTfTask
from spectf_cloud.training.trainer import Trainer, batches


def compare(spectra: Spectra, dropout: float, steps: int, batch: int = 256, lr: float = 1e-3, seed: int = 0) -> dict:
    """Pixels a second and loss of each step, ours and the straightforward way."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    spectra = open_spectra(options.dataset)
    results = [compare(spectra, dropout, options.steps) for dropout in (0.1, 0.0)]
    for found in results:
        speeds = [found[name]["pixels_per_cpu_second"] for name in ("ours", "straightforward")]
        print(
            f"dropout {found['dropout']}: {speeds[0]:.0f} against {speeds[1]:.0f} pixels/s, {found['ratio']:.1f} times"
        )
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
