"""Shared by networks that learn from labelled spectra: items, scores and seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.data.split import Scenes
from spectf_cloud.inference.backend import Backend
from spectf_cloud.scoring.metrics import rank, reliability
from spectf_cloud.training.distributed import ALONE, World


class SpectraTask(ABC):
    """The shared part of a `Task` on labelled spectra; network, loss and outputs are the subclass's."""

    unit = "spectra"
    chooses = "val_loss"
    larger_is_better = False
    micro_batch: int
    identity: dict[str, Any]

    def __init__(self, spectra: Spectra, scenes: Scenes, seed: int, device: torch.device, here: World = ALONE) -> None:
        self.spectra, self.scenes, self.device, self.world = spectra, scenes, device, here
        self.rows = spectra.rows_of(scenes.train)
        self.notes: dict[str, Any] = {}
        self._seed = seed

    @abstractmethod
    def backend(self, model: Any) -> Backend:
        """Return a backend that computes cloud probabilities with the network."""

    def seed(self, epoch: int, rank: int) -> int:
        """Return a seed that differs between epochs and processes."""
        return int(np.random.SeedSequence([self._seed, epoch, rank]).generate_state(1)[0])

    def read(self, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Read toa (k, bands) float32 and cloud (k,) int64."""
        cloud = self.spectra.cloud[rows].astype(np.int64)
        return torch.from_numpy(self.spectra.take(rows)), torch.from_numpy(cloud)

    def metrics(self, model: Any) -> dict[str, float]:
        """Return loss and scores of the validation scenes."""
        return validation_scores(self.backend(model), self.spectra, self.scenes, self.world)


def validation_scores(backend: Backend, spectra: Spectra, scenes: Scenes, here: World = ALONE) -> dict[str, float]:
    """Return loss and scores of the validation scenes at the threshold of the largest F1; empty without any."""
    rows = spectra.rows_of(scenes.validation)
    if not len(rows):
        return {}
    cloud, probability = spectra.cloud[rows], _probabilities(backend, spectra, rows, here)
    scores = score(cloud, probability, rank(cloud, probability).best_f(1.0)[1])
    return {"val_loss": cross_entropy(cloud, probability)} | {f"val_{name}": value for name, value in scores.items()}


def scores_on_test(
    backend: Backend, spectra: Spectra, scenes: Scenes, threshold: float, here: World = ALONE
) -> dict[str, float]:
    """Return the scores of the test scenes at a threshold."""
    rows = spectra.rows_of(scenes.test)
    return score(spectra.cloud[rows], _probabilities(backend, spectra, rows, here), threshold)


def _probabilities(backend: Backend, spectra: Spectra, rows: NDArray[np.int64], here: World) -> NDArray[np.float32]:
    """Return cloud probability (n,) of these rows, computed by all processes together."""
    parts = [backend(block) for block in spectra.blocks(rows[here.rank :: here.size])]
    return here.gather(np.concatenate(parts) if parts else np.empty(0, np.float32), len(rows))


def score(cloud: NDArray[np.uint8], probability: NDArray[np.float32], threshold: float) -> dict[str, float]:
    """Return the scores of probabilities at a threshold."""
    ranking = rank(cloud, probability)
    scores = ranking.confusion(threshold).scores()
    ece = reliability(cloud, probability).ece
    return scores | {"auc": ranking.auc(), "ap": ranking.average_precision(), "ece": ece, "threshold": threshold}


def cross_entropy(cloud: NDArray[np.uint8], probability: NDArray[np.float32]) -> float:
    """Return the mean of −ln p(label), with p(label) at least 1e-7."""
    of_label = np.where(cloud == 1, probability, 1 - probability.astype(np.float64))
    return float(-np.log(np.clip(of_label, 1e-7, 1.0)).mean())
