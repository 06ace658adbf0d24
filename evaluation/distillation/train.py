"""Trains `weights.pt` to answer as the published v0.1.0 network does.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.distillation.train --run RUN_FOLDER

The run folder holds `checkpoint.pt`, `best.pt` and `log.csv`. Run the same command again to go on: a run that was
stopped (SIGTERM, Ctrl-C) goes on where it was (to the rounding of float sums). One thread.
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from evaluation.distillation import pooled
from evaluation.distillation.data import read_bank, reference_folder
from evaluation.distillation.lesson import Batch, Lesson, Stage, answers
from evaluation.distillation.log import append
from evaluation.distillation.natural import Natural
from evaluation.distillation.rows import features_and_rows, parameters_of
from evaluation.distillation.soap import Soap
from evaluation.distillation.validation import VALIDATION_SOURCES, Validation
from spectf_cloud.model import ModelConfig, SpecTfEncoder

HERE = Path(__file__).parent
COLUMNS = ("step", "stage", "cpu_s", "samples", "rate", "loss")


def random_start(model: SpecTfEncoder, seed: int) -> None:
    """Xavier weights; biases zero but for the embedding's, drawn within 0.03.

    LayerNorm right after an embedding without biases would be singular where reflectance and normalised wavelength
    are both zero; with small ones the tokens turn quickly there, as the teacher's do.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                bound = math.sqrt(6 / sum(parameter.shape))
                parameter.uniform_(-bound, bound, generator=random)
            elif "norm" not in name:
                parameter.zero_()
        model.spectral_embed.linear.bias.uniform_(-0.03, 0.03, generator=random)


class FeatureScale:
    """How much an error of each pooled feature counts: spread-normalised, more where the logits hang on it.

    The weight of a feature in the logit difference is had from the teacher's answers alone, by least squares.
    """

    def __init__(self, batch: Batch, floor: float) -> None:
        spread = batch.features.std(0)
        design = torch.cat([batch.features, torch.ones(len(batch.features), 1)], 1)
        difference = (batch.logits[:, 1] - batch.logits[:, 0])[:, None]
        slope = torch.linalg.lstsq(design, difference).solution[:-1, 0]
        importance = slope.abs() * spread
        self.factor = (importance / importance.mean() + floor) / (1 + floor) / spread


def doubt_of(batch: Batch) -> Tensor:
    """How much a spectrum counts (b,): less where the teacher is sure."""
    return 1 / (1 + ((batch.logits[:, 1] - batch.logits[:, 0]) / 8) ** 2)


@torch.no_grad()
def fit_head(model: SpecTfEncoder, batch: Batch) -> None:
    """Set the head to the least-squares one for the teacher's logits, given the features as they are now."""
    parts = zip(batch.toa.split(256), batch.wavelength.split(256), strict=True)
    features = torch.cat([pooled.features(model, *part) for part in parts])
    design = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    weighted = design.T * doubt_of(batch)
    ridge = 1e-7 * len(design) * torch.eye(design.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(weighted @ design + ridge, weighted @ batch.logits.double())
    model.head.weight.copy_(solution[:-1].T)
    model.head.bias.copy_(solution[-1])


def loss_of(model: SpecTfEncoder, batch: Batch, scale: FeatureScale, stage: Stage) -> Tensor:
    """Scaled squared error of the features, and Huber of the logit difference, less where the teacher is sure."""
    features = pooled.features(model, batch.toa, batch.wavelength)
    error = model.head(features) - batch.logits
    doubt = doubt_of(batch)
    difference = error[:, 1] - error[:, 0]
    on_logits = (doubt * F.huber_loss(difference, torch.zeros_like(difference), reduction="none", delta=4.0)).mean()
    on_sum = F.smooth_l1_loss(error.sum(1), torch.zeros_like(difference))
    on_features = ((features - batch.features) * scale.factor).square().mean(1)
    if stage.doubtful:
        on_features = on_features * (0.25 + doubt) / (0.25 + doubt).mean()
    return on_features.mean() + stage.logit_weight * (on_logits + 0.1 * on_sum)


class Run:
    """A student, its averaged copy, the optimiser and where the curriculum stands."""

    def __init__(self, config: dict[str, Any], folder: Path, irradiance: Path, run: Path) -> None:
        self.config, self.run = config, run
        self.stages = [Stage.from_mapping(values) for values in config["stages"]]
        simulated = read_bank(config.get("simulated", ""))
        shares = dict(config["shares"])
        self.lesson = Lesson(folder, irradiance, config["seed"], shares, config["bank"], simulated)
        self.model = ModelConfig().build(self.lesson.sources.wavelength_nm)
        random_start(self.model, config["seed"])
        self.average = ModelConfig().build(self.lesson.sources.wavelength_nm)
        self.average.load_state_dict(self.model.state_dict())
        self.lesson.student = self.average
        embedding = list(self.model.spectral_embed.parameters())
        groups = [{"params": list(self.model.parameters())[len(embedding) :]}, {"params": embedding}]
        self.optimiser = Soap(groups, betas=tuple(config["betas"]), every=config["every"])
        self.natural = Natural(parameters_of(self.model), config["slowness"], config["bound"])
        self.step, self.samples, self.cpu_s, self.best = 0, 0, 0.0, math.inf
        self.scale: FeatureScale | None = None
        judges = (config["validation_seed"], config["validation_size"], *VALIDATION_SOURCES)
        self.judged_on = " ".join(map(str, judges))
        if (run / "checkpoint.pt").is_file():
            self.load()

    def where(self, step: int) -> tuple[int, float]:
        """Stage number, and the learning rate: geometric between the two rates of the stage, after a warm-up."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps:
                first, last = stage.rate
                rate = first * (last / first) ** (step / stage.steps)
                return number, rate * min(1.0, (self.step + 1) / self.config["warm_up"])
            step -= stage.steps
        return len(self.stages), 0.0

    def advance(self) -> float:
        """One step of the current stage; returns its loss."""
        number, rate = self.where(self.step)
        stage = self.stages[number]
        if self.scale is None or self.step == sum(earlier.steps for earlier in self.stages[:number]):
            calibration = self._calibration(stage)
            self.scale = FeatureScale(calibration, stage.floor)
            if number and self.stages[number - 1].rows:  # the rows know nothing of the head
                fit_head(self.model, calibration)
                fit_head(self.average, calibration)
        batch = self.lesson.batch(stage)
        loss = self._answer_rows(batch, stage, rate) if stage.rows else self._descend(batch, stage, rate)
        share = max(1 - stage.average, 1 / (self.step + 1))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, share)
        self.step += 1
        self.samples += stage.batch
        return loss

    def _answer_rows(self, batch: Batch, stage: Stage, rate: float) -> float:
        """One step of `Natural` on some random features of each set; mean square of their scaled errors."""
        assert self.scale is not None
        n = len(batch.toa)
        feature = torch.rand(n, len(self.scale.factor), generator=self.lesson.random).topk(stage.rows, 1).indices
        weight = self.scale.factor[feature]
        if stage.doubtful:
            doubt = 0.25 + doubt_of(batch)
            weight = weight * (doubt / doubt.mean()).sqrt()[:, None]
        features, rows = features_and_rows(self.natural.parameters, batch.toa, batch.wavelength, feature, weight)
        error = ((batch.features - features).gather(1, feature) * weight).flatten()
        self.natural.step(rows, error, rate, stage.damping, stage.memory)
        return float(error.square().mean())

    def _descend(self, batch: Batch, stage: Stage, rate: float) -> float:
        """One step of `Soap` on features and logits; its loss."""
        assert self.scale is not None
        loss = loss_of(self.model, batch, self.scale, stage)
        self.model.zero_grad()
        loss.backward()
        for group, share in zip(self.optimiser.param_groups, (1.0, self.config["slowness"]), strict=True):
            group["lr"] = rate * share
        self.optimiser.step()
        return float(loss.detach())

    def _calibration(self, stage: Stage) -> Batch:
        """Sets of their own seed, so that a resumed run has the same scale."""
        lesson = self.lesson
        kept = lesson.sources.random
        lesson.sources.random = np.random.default_rng([self.config["seed"], 7])
        toa = torch.tensor(lesson.sources.draw(self.config["shares"], self.config["calibration"]))
        lesson.sources.random = kept
        random = torch.Generator().manual_seed(self.config["seed"])
        chosen = torch.rand(toa.shape, generator=random).topk(min(stage.tokens, toa.shape[1]), 1).indices
        toa, wavelength = toa.gather(1, chosen), lesson.wavelength[chosen]
        return Batch(toa, wavelength, *answers(lesson.teacher, toa, wavelength))

    def save(self) -> None:
        """Everything needed to go on, written whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "natural": self.natural.state_dict(),
            "lesson": self.lesson.state(),
            "step": self.step,
            "samples": self.samples,
            "cpu_s": self.cpu_s,
            "best": self.best,
            "judged_on": self.judged_on,
        }
        write_whole(state, self.run / "checkpoint.pt")

    def load(self) -> None:
        """Take up a saved run."""
        state = torch.load(self.run / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.natural.load_state_dict(state["natural"])
        self.step, self.samples, self.cpu_s, self.best = (state[k] for k in ("step", "samples", "cpu_s", "best"))
        if state.get("judged_on") != self.judged_on:  # another validation has another scale
            self.best = math.inf
        number = self.where(self.step - 1)[0]
        if self.step and number < len(self.stages):
            self.lesson.restore(state["lesson"], self.stages[number])
            self.scale = FeatureScale(self._calibration(self.stages[number]), self.stages[number].floor)

    def examine(self, validation: Validation, loss: float) -> None:
        """Score the averaged weights, log them, and keep them if they are the best yet."""
        number, rate = self.where(self.step - 1)
        if self.stages[number].rows:
            fit_head(self.average, self._calibration(self.stages[number]))
        scores = validation.score(self.average)
        values = (self.step, number, round(self.cpu_s, 1), self.samples, f"{rate:.5g}", f"{loss:.5g}")
        append(self.run / "log.csv", COLUMNS, values, scores)
        total = sum(score[1] for score in scores.values())
        if total < self.best:
            self.best = total
            write_whole(self.average.state_dict(), self.run / "best.pt")


def write_whole(state: Any, path: Path) -> None:
    """`torch.save` under a temporary name, then renamed."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def train(run: Run, validation: Validation, until: int | None = None) -> None:
    """Go through the curriculum, to its end or to step `until`, or until told to stop."""
    stopped: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: stopped.append(number))
    last = sum(stage.steps for stage in run.stages)
    last = min(last, until) if until else last
    losses: list[float] = []
    clock = time.process_time()
    while run.step < last and not stopped:
        losses.append(run.advance())
        run.cpu_s, clock = run.cpu_s + time.process_time() - clock, time.process_time()
        if run.step % run.config["examine_every"] == 0 or run.step == last:
            run.examine(validation, float(np.mean(losses)))
            losses.clear()
            run.save()
    run.save()


def best_so_far(config: dict[str, Any], irradiance: Path, run: Path) -> tuple[SpecTfEncoder, Validation]:
    """The network in `best.pt`, for the steps after these, and what it is judged on."""
    lesson = Lesson(reference_folder(), irradiance, 0, {}, 1, read_bank(config.get("simulated", "")))
    model = ModelConfig().build(lesson.sources.wavelength_nm)
    model.load_state_dict(torch.load(run / "best.pt", weights_only=True))
    return model, Validation(lesson, config["validation_seed"], config["validation_size"], config["threshold"])


def parse(description: str | None) -> argparse.Namespace:
    """config, irradiance and run, for this command and `polish`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE / "config.yml")
    parser.add_argument("--irradiance", type=Path, default=HERE.parents[1] / "irr_astm_g173.npy")
    parser.add_argument("--run", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Command line."""
    options = parse(__doc__)
    torch.set_num_threads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load(options.config.read_text())
    run = Run(config, reference_folder(), options.irradiance, options.run)
    validation = Validation(run.lesson, config["validation_seed"], config["validation_size"], config["threshold"])
    train(run, validation)


if __name__ == "__main__":
    main()
