"""One network, its optimiser and its data, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.errors import UsageError
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.models.winners import logits
from spectf_cloud.scoring.metrics import rank, reliability
from spectf_cloud.training.batches import batches, draw_bands, epoch_order
from spectf_cloud.training.checkpoint import CHECKPOINT, Best, Checkpoint
from spectf_cloud.training.config import CLIP_NORM, TrainConfig
from spectf_cloud.training.distributed import World
from spectf_cloud.training.results import save_curves, save_metrics_csv, save_state
from spectf_cloud.training.scenes import Scenes
from spectf_cloud.training.setup import compiled_forward, network, optimiser
from spectf_cloud.training.trackers import open_trackers

Progress = Callable[[int, int], None]
OnEpoch = Callable[[dict[str, float]], None]

# Activations of so many spectra at once stay in a core's cache; measured best, see evaluation/training.
_MICRO_BATCH_CPU = 32
_MICRO_BATCH_CPU_DROPOUT = 8
_MICRO_BATCH_DEVICE = 1024


class Trainer:
    """One network, its optimiser and its data, epoch by epoch."""

    def __init__(
        self,
        config: TrainConfig,
        spectra: Spectra,
        scenes: Scenes,
        device: torch.device,
        here: World,
        irradiance: dict[str, str] | None = None,
    ) -> None:
        if config.bands_per_step > spectra.bands:
            raise UsageError(f"--bands-per-step {config.bands_per_step} but the spectra have {spectra.bands} bands")
        self.config, self.spectra, self.device, self.world = config, spectra, device, here
        self.irradiance = irradiance or {}
        self.rows = spectra.rows_of(scenes.train)
        self.validation = spectra.rows_of(scenes.validation)
        self.model = network(config, spectra.wavelength_nm).to(device)
        self.optimiser = optimiser(config, self.model)
        self.forward = compiled_forward(self.model, device) if config.compile else logits
        on_cpu = _MICRO_BATCH_CPU_DROPOUT if config.architecture.dropout else _MICRO_BATCH_CPU
        self.micro_batch = on_cpu if device.type == "cpu" else _MICRO_BATCH_DEVICE

    def run(self, progress: Progress | None, on_epoch: OnEpoch | None) -> Checkpoint:
        """All epochs, from the checkpoint where one is to be resumed."""
        path = self.config.outdir / CHECKPOINT
        state = self._resumed(path)
        trackers = open_trackers(self.config, state.identity) if self.world.leads else None
        while state.epoch < self.config.epochs and not self._is_over(state):
            began = time.monotonic()
            loss = self.epoch(state.epoch, progress)
            row = {"epoch": float(state.epoch + 1), "train_loss": loss, "lr": self.config.lr}
            row["spectra_per_s"] = len(self.rows) / (time.monotonic() - began)
            self._validate(state, row)
            state.epoch += 1
            state.weights, state.optimiser = _on_cpu(self.model), self.optimiser.state_dict()
            state.history.append(row)
            if self.world.leads:
                self._write(state, path)
            if trackers:
                trackers.log(state.epoch, row)
            if on_epoch:
                on_epoch(row)
        if trackers:
            trackers.finish()
        return state

    def epoch(self, number: int, progress: Progress | None) -> float:
        """Train on every spectrum once; the mean loss."""
        torch.manual_seed(_seed(self.config.seed, number, self.world.rank))
        self.model.train()
        self.optimiser.train()
        order = epoch_order(self.rows, self.config.seed, number)
        loss_sum = torch.zeros((), dtype=torch.float64)
        done, total = number * len(order), self.config.epochs * len(order)
        for toa, cloud, whole in batches(self.spectra, order, self.config.batch, self.world):
            loss_sum += self.step(toa, cloud, whole)
            done += whole
            if progress:
                progress(done, total)
        return float(self.world.sum(loss_sum)) / len(order)

    def step(self, toa: Tensor, cloud: Tensor, whole: int) -> float:
        """One step on this process's share of a batch of ``whole`` spectra; the sum of the losses."""
        self.optimiser.zero_grad()
        loss_sum = 0.0
        for start in range(0, len(toa), self.micro_batch):
            values = toa[start : start + self.micro_batch].to(self.device, non_blocking=True)
            truth = cloud[start : start + self.micro_batch].to(self.device, non_blocking=True)
            shown, wavelength = draw_bands(values, self.model.wavelength, self.config.bands_per_step)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp):
                answer = self.forward(self.model, shown, wavelength)
            loss = nn.functional.cross_entropy(answer.float(), truth, reduction="sum")
            (loss / whole).backward()  # type: ignore[no-untyped-call]
            loss_sum += float(loss.detach())
        self.world.sum_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimiser.step()
        return loss_sum

    def probabilities(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cloud probability of these rows, computed by all processes together."""
        self.model.eval()
        backend = TorchBackend(self.model, self.device)
        mine = rows[self.world.rank :: self.world.size]
        parts = [backend(block) for block in self.spectra.blocks(mine)]
        return self.world.gather(np.concatenate(parts) if parts else np.empty(0, np.float32), len(rows))

    def _validate(self, state: Checkpoint, row: dict[str, float]) -> None:
        """Leave the model in evaluation state; note scores and, if it is so, that this epoch is the best."""
        self.optimiser.eval()
        self.model.eval()
        if not len(self.validation):
            return
        probability = self.probabilities(self.validation)
        cloud = self.spectra.cloud[self.validation]
        loss, ranking = cross_entropy(cloud, probability), rank(cloud, probability)
        _, threshold = ranking.best_f(1.0)
        row["val_loss"] = loss
        row |= {f"val_{name}": value for name, value in score(cloud, probability, threshold).items()}
        if state.best is None or loss < state.best.loss:
            state.best = Best(state.epoch + 1, loss, threshold, _on_cpu(self.model))

    def _is_over(self, state: Checkpoint) -> bool:
        patience = self.config.early_stop
        return bool(patience and state.best and state.epoch - state.best.epoch >= patience)

    def _resumed(self, path: Path) -> Checkpoint:
        identity = self.config.identity()
        identity["spectra"] = [file.sha256 for file in self.spectra.files]
        identity["scenes"] = [len(self.rows), len(self.validation)]
        if self.config.resume and path.is_file():
            state = Checkpoint.load(path, identity)
            self.model.load_state_dict(state.weights)
            self.optimiser.load_state_dict(state.optimiser)
            state.irradiance = self.irradiance
            return state
        return Checkpoint(identity, 0, _on_cpu(self.model), {}, irradiance=self.irradiance)

    def _write(self, state: Checkpoint, path: Path) -> None:
        state.save(path)
        save_metrics_csv(self.config.outdir / "metrics.csv", state.history)
        save_curves(self.config.outdir / "curves.png", state.history)
        if self.config.save_every_epoch:
            save_state(self.config.outdir / f"weights_epoch_{state.epoch:03d}.pt", state.weights)


def score(cloud: NDArray[np.uint8], probability: NDArray[np.float32], threshold: float) -> dict[str, float]:
    """The numbers that describe a set of probabilities at a threshold."""
    ranking = rank(cloud, probability)
    scores = ranking.confusion(threshold).scores()
    ece = reliability(cloud, probability).ece
    return scores | {"auc": ranking.auc(), "ap": ranking.average_precision(), "ece": ece, "threshold": threshold}


def cross_entropy(cloud: NDArray[np.uint8], probability: NDArray[np.float32]) -> float:
    """Mean of −ln p(label); float32 probabilities are kept 1e-7 away from 0 and 1."""
    of_label = np.where(cloud == 1, probability, 1 - probability.astype(np.float64))
    return float(-np.log(np.clip(of_label, 1e-7, 1.0)).mean())


def _on_cpu(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
