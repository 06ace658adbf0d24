"""The loop with a task that has nothing to do with spectra: images, a class for each pixel, a batch norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spectf_cloud.training.config import LoopOptions
from spectf_cloud.training.trainer import Trainer


class Images:
    """Which of three channels is the brightest, pixel by pixel; the best epoch has the largest accuracy."""

    unit, rows, micro_batch = "images", np.arange(24), 24
    chooses, larger_is_better = "accuracy", True

    def __init__(self):
        self.identity, self.notes = {"classes": 3}, {"classes": ["a", "b", "c"]}
        self.images = torch.rand(32, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        self.found = []

    def network(self):
        return nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1))

    def seed(self, epoch, rank):
        return epoch

    def read(self, rows):
        return self.images[rows], self.images[rows].argmax(1)

    def loss(self, model, *batch):
        images, classes = batch
        if torch.rand(()) < 0.5:  # an augmentation, drawn from the seed of the epoch
            images, classes = images.flip(-1), classes.flip(-1)
        return nn.functional.cross_entropy(model(images), classes, reduction="none").mean((1, 2)).sum()

    def metrics(self, model):
        assert not model.training
        images, classes = self.read(np.arange(24, 32))
        with torch.inference_mode():
            accuracy = (model(images).argmax(1) == classes).double().mean()
        self.found.append(float("nan") if not self.found else float(accuracy))  # the first one cannot be scored
        return {"accuracy": self.found[-1]}

    def finish(self, model, best):
        return best, {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("optimiser", ["adamw", "schedule-free"])
def test_any_task_is_trained_and_its_best_epoch_kept(tmp_path, optimiser):
    options = LoopOptions(outdir=tmp_path, epochs=12, batch=8, lr=0.05, optimiser=optimiser, keep_state=False)
    rows, task = [], Images()
    best, weights = Trainer(task, options, torch.device("cpu")).run(on_epoch=rows.append)
    assert best.scores["accuracy"] == max(task.found[1:]) > 0.6 and rows[0]["images_per_s"] > 0
    assert best.epoch == task.found.index(max(task.found[1:])) + 1
    assert all(torch.equal(best.weights[name], weights[name]) for name in weights)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_any_task_resumes_to_the_same_bits(tmp_path):
    def run(folder, epochs, **more):
        (tmp_path / folder).mkdir(exist_ok=True)
        options = LoopOptions(outdir=tmp_path / folder, epochs=epochs, batch=8, lr=0.05, optimiser="adamw", **more)
        return Trainer(Images(), options, torch.device("cpu")).run()

    run("broken", 2)
    whole, resumed = run("whole", 4)[1], run("broken", 4, resume=True)[1]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
