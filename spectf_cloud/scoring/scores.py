"""`evaluate`: score models against labels, on whole scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.data.spectra import CLOUD, SHADOW, Spectra
from spectf_cloud.errors import InputError
from spectf_cloud.scoring.metrics import (
    BETAS,
    Ranking,
    bootstrap,
    confusion_scores,
    f_name,
    rank,
    reliability,
    scene_confusions,
)

#: Largest number of points in a curve.
MAX_CURVE_POINTS = 400
_SWEEP = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Scorer:
    """A model to score: ``backend`` turns (n, bands) float32 reflectance into (n,) cloud probability."""

    name: str
    backend: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    threshold: float
    path: Path | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class SceneScore:
    """Counts of one scene for one model."""

    fid: str
    spectra: int
    cloudy: int
    false_cloud: int
    false_clear: int
    accuracy: float


@dataclass(frozen=True)
class ModelScores:
    """One model: scores at its threshold with 95 % intervals, its largest F-scores, and its curves.

    ``best`` holds the largest value of each F-score and its threshold. The threshold is chosen on the same spectra, so
    this is an upper bound, not a result.
    """

    name: str
    threshold: float
    path: str | None
    sha256: str | None
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    best: dict[str, tuple[float, float]]
    roc: dict[str, list[float]]
    precision_recall: dict[str, list[float]]
    reliability: dict[str, list[float]]
    sweep: dict[str, list[float]]
    scenes: list[SceneScore]

    def worst_scenes(self, count: int = 10) -> list[SceneScore]:
        """Return the scenes with the lowest accuracy."""
        return sorted(self.scenes, key=lambda scene: (scene.accuracy, -scene.spectra))[:count]


@dataclass(frozen=True)
class Report:
    """Models compared on the same spectra."""

    datasets: list[str]
    spectra: int
    cloudy: int
    shadow: int
    scenes: int
    models: list[ModelScores]
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def evaluate(
    spectra: Spectra,
    rows: NDArray[np.int64],
    scorers: Sequence[Scorer],
    *,
    block: int = 16384,
    draws: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score models on these rows, reading ``block`` spectra at a time.

    ``draws`` bootstrap samples of whole scenes give the intervals. Raises `InputError` without rows.
    """
    if not len(rows):
        raise InputError("there are no spectra to evaluate on")
    probability = _stream(spectra, rows, scorers, block, progress)
    labels = spectra.labels[rows]
    return Report(
        datasets=[file.source.name for file in spectra.files],
        spectra=len(rows),
        cloudy=int((labels == CLOUD).sum()),
        shadow=int((labels == SHADOW).sum()),
        scenes=len(np.unique(spectra.scene[rows])),
        models=[
            _judge(scorer, spectra, rows, column, draws) for scorer, column in zip(scorers, probability, strict=True)
        ],
    )


def _stream(
    spectra: Spectra,
    rows: NDArray[np.int64],
    scorers: Sequence[Scorer],
    block: int,
    progress: Callable[[int, int], None] | None,
) -> list[NDArray[np.float32]]:
    columns = [np.empty(len(rows), np.float32) for _ in scorers]
    start = 0
    for toa in spectra.blocks(rows, block):
        for scorer, column in zip(scorers, columns, strict=True):
            column[start : start + len(toa)] = scorer.backend(toa)
        start += len(toa)
        if progress:
            progress(start, len(rows))
    return columns


def _judge(
    scorer: Scorer, spectra: Spectra, rows: NDArray[np.int64], probability: NDArray[np.float32], draws: int
) -> ModelScores:
    cloud, scene = spectra.cloud[rows], spectra.scene[rows]
    ranking, calibration = rank(cloud, probability), reliability(cloud, probability)
    scores = ranking.confusion(scorer.threshold).scores()
    scores |= {"auc": ranking.auc(), "ap": ranking.average_precision(), "ece": calibration.ece}
    shadow = spectra.labels[rows] == SHADOW
    if shadow.any():
        scores["fpr_shadow"] = float((probability[shadow] > scorer.threshold).mean())
    fpr, tpr = ranking.roc()
    precision, recall = ranking.precision_recall()
    return ModelScores(
        name=scorer.name,
        threshold=scorer.threshold,
        path=str(scorer.path) if scorer.path else None,
        sha256=scorer.sha256,
        scores=scores,
        intervals=bootstrap(cloud, probability, scene, scorer.threshold, draws),
        best={f_name(beta): ranking.best_f(beta) for beta in BETAS},
        roc=_thinned({"fpr": fpr, "tpr": tpr}),
        precision_recall=_thinned({"recall": recall, "precision": precision}),
        reliability={
            "count": calibration.count.astype(float).tolist(),
            "probability": calibration.probability.tolist(),
            "cloud_fraction": calibration.cloud_fraction.tolist(),
        },
        sweep=_sweep(ranking),
        scenes=_scenes(spectra, cloud, probability, scene, scorer.threshold),
    )


def _sweep(ranking: Ranking) -> dict[str, list[float]]:
    confusions = [ranking.confusion(float(threshold)) for threshold in _SWEEP]
    counts = np.array([[c.true_cloud, c.false_cloud, c.true_clear, c.false_clear] for c in confusions])
    scores = confusion_scores(counts)
    shown = ("accuracy", "precision", "recall", "f1", "f0.5", "f0.25", "f0.1")
    return {"threshold": _SWEEP.tolist()} | {name: scores[name].tolist() for name in shown}


def _scenes(
    spectra: Spectra,
    cloud: NDArray[np.uint8],
    probability: NDArray[np.float32],
    scene: NDArray[np.int32],
    threshold: float,
) -> list[SceneScore]:
    counts = scene_confusions(cloud, probability, scene, len(spectra.fids), threshold)
    accuracy = confusion_scores(counts)["accuracy"]
    return [
        SceneScore(fid, int(c.sum()), int(c[0] + c[3]), int(c[1]), int(c[3]), float(share))
        for fid, c, share in zip(spectra.fids, counts, accuracy, strict=True)
        if c.sum()
    ]


def _thinned(curve: dict[str, NDArray[np.float64]]) -> dict[str, list[float]]:
    """Return at most `MAX_CURVE_POINTS` points, evenly along the curve's length, so that corners stay."""
    columns = np.stack(list(curve.values()))
    if columns.shape[1] > MAX_CURVE_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(columns)).sum(0))])
        wanted = np.linspace(0, length[-1], MAX_CURVE_POINTS)
        keep = np.unique(np.minimum(np.searchsorted(length, wanted), columns.shape[1] - 1))
        columns = columns[:, keep]
    return {name: [round(float(value), 6) for value in column] for name, column in zip(curve, columns, strict=True)}
