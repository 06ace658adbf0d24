"""How far the student is from the teacher on held-out draws, all bands."""

from __future__ import annotations

import math

import numpy as np
import torch

from evaluation.distillation.data import bounded
from evaluation.distillation.lesson import Lesson, answers
from spectf_cloud.model import SpecTfEncoder

#: Per source: share of the mask that differs, mean abs probability error, mean abs error where |d| < 4.
Scores = dict[str, tuple[float, float, float]]

VALIDATION_SOURCES = ("real_statistics", "clear", "simulated_scenes")


class Validation:
    """Held-out draws of its own seed, all bands, through our irradiance."""

    def __init__(self, lesson: Lesson, seed: int, n: int, threshold: float) -> None:
        kept = lesson.sources.random
        lesson.sources.random = np.random.default_rng(seed)
        self.cut = math.log(threshold / (1 - threshold))
        self.sets = {}
        for name in VALIDATION_SOURCES:
            toa = torch.tensor(bounded(getattr(lesson.sources, name), n))
            wavelength = lesson.wavelength.expand_as(toa)
            logits = answers(lesson.teacher, toa, wavelength)[1]
            self.sets[name] = (toa * lesson.units.emit, wavelength, logits[:, 1] - logits[:, 0])
        lesson.sources.random = kept

    def score(self, model: SpecTfEncoder) -> Scores:
        """How far `model` is from the teacher."""
        result = {}
        for name, (toa, wavelength, truth) in self.sets.items():
            logits = answers(model, toa, wavelength)[1]
            answer = logits[:, 1] - logits[:, 0]
            flips = ((truth > self.cut) != (answer > self.cut)).float().mean()
            probability_error = (truth.sigmoid() - answer.sigmoid()).abs().mean()
            doubtful = (truth - answer).abs()[truth.abs() < 4].mean()
            result[name] = (float(flips), float(probability_error), float(doubtful))
        return result
