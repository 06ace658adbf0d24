"""Scores of a cloud mask against labels, all from one sort of the probabilities.

A spectrum counts as cloud when its probability is above the threshold, as in the mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.errors import UsageError

FloatArray = NDArray[np.float64]
#: Weights of recall in the F-scores reported: below 1, a false cloud costs more than a missed one.
BETAS = (1.0, 0.5, 0.25, 0.1)
_RELIABILITY_BINS = 15
_HISTOGRAM_BINS = 2048


@dataclass(frozen=True, eq=False)
class Ranking:
    """Label counts above every distinct probability, from which all curves follow.

    Attributes
    ----------
    probability
        (m,) float64 distinct probabilities, highest first.
    true_cloud, false_cloud
        (m,) int64 cloudy and clear spectra with at least that probability.
    """

    probability: FloatArray
    true_cloud: NDArray[np.int64]
    false_cloud: NDArray[np.int64]

    @property
    def cloudy(self) -> int:
        """Number of spectra labelled cloud."""
        return int(self.true_cloud[-1])

    @property
    def clear(self) -> int:
        """Number of spectra labelled clear."""
        return int(self.false_cloud[-1])

    def confusion(self, threshold: float) -> Confusion:
        """Return the counts with cloud above ``threshold``."""
        above = int(np.searchsorted(-self.probability, -threshold, side="left"))
        true_cloud, false_cloud = (int(c[above - 1]) if above else 0 for c in (self.true_cloud, self.false_cloud))
        return Confusion(true_cloud, false_cloud, self.clear - false_cloud, self.cloudy - true_cloud)

    def roc(self) -> tuple[FloatArray, FloatArray]:
        """Return false and true positive rates from (0, 0) to (1, 1); NaN if a class is missing."""
        start = np.zeros(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            fpr = np.concatenate([start, self.false_cloud / np.float64(self.clear)])
            tpr = np.concatenate([start, self.true_cloud / np.float64(self.cloudy)])
        return fpr, tpr

    def precision_recall(self) -> tuple[FloatArray, FloatArray]:
        """Return precision and recall at every distinct probability, highest first."""
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = self.true_cloud / np.float64(self.cloudy)
        return self.true_cloud / (self.true_cloud + self.false_cloud), recall

    def auc(self) -> float:
        """Return the area under the ROC curve, ties counted half; NaN with only one class.

        >>> rank([0, 1, 1], [0.2, 0.2, 0.9]).auc()
        0.75
        """
        fpr, tpr = self.roc()
        return float(np.trapezoid(tpr, fpr))

    def average_precision(self) -> float:
        """Return precision averaged over the steps of recall; NaN without cloud."""
        precision, recall = self.precision_recall()
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))

    def best_f(self, beta: float) -> tuple[float, float]:
        """Return the largest F-beta over all thresholds, and a threshold that reaches it."""
        scores = _f_beta(self.true_cloud, self.false_cloud, self.cloudy - self.true_cloud, beta)
        best = int(np.argmax(scores))
        below = self.probability[best + 1] if best + 1 < len(self.probability) else 0.0
        threshold = (self.probability[best] + below) / 2
        # Halfway to the next probability, unless no float is between them.
        return float(scores[best]), float(threshold if threshold < self.probability[best] else below)


@dataclass(frozen=True)
class Confusion:
    """Counts of a mask against labels, and their scores; a score without a denominator is 0."""

    true_cloud: int
    false_cloud: int
    true_clear: int
    false_clear: int

    @property
    def total(self) -> int:
        """Number of spectra."""
        return self.true_cloud + self.false_cloud + self.true_clear + self.false_clear

    def scores(self) -> dict[str, float]:
        """Return accuracy, precision, recall, tpr, fpr, f1, f0.5, f0.25, f0.1.

        >>> Confusion(true_cloud=3, false_cloud=1, true_clear=4, false_clear=0).scores()["precision"]
        0.75
        """
        counts = np.array([[self.true_cloud, self.false_cloud, self.true_clear, self.false_clear]])
        return {name: float(values[0]) for name, values in confusion_scores(counts).items()}


def rank(cloud: ArrayLike, probability: ArrayLike) -> Ranking:
    """Rank ``probability`` (n,), finite, with ``cloud`` (n,), 0 or 1. Raises `UsageError` for anything else."""
    truth, scores = np.asarray(cloud), np.asarray(probability, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape or not len(truth):
        raise UsageError(f"labels {truth.shape} and probabilities {scores.shape} must be two columns of one length")
    if not np.isfinite(scores).all():
        raise UsageError(
            f"{int((~np.isfinite(scores)).sum())} probabilities are NaN or infinite; they cannot be scored"
        )
    if not np.isin(truth, (0, 1)).all():
        raise UsageError("labels to score against must be 0 (clear) or 1 (cloud)")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    true_cloud = np.cumsum(truth[order], dtype=np.int64)[last]
    return Ranking(ordered[last], true_cloud, last + 1 - true_cloud)


def confusion_scores(counts: NDArray[np.int64] | FloatArray) -> dict[str, FloatArray]:
    """Return the scores of many confusions: (k, 4) counts as in `Confusion` → name: (k,)."""
    true_cloud, false_cloud, true_clear, false_clear = np.asarray(counts, dtype=np.float64).T
    recall = _ratio(true_cloud, true_cloud + false_clear)
    scores = {
        "accuracy": _ratio(true_cloud + true_clear, true_cloud + false_cloud + true_clear + false_clear),
        "precision": _ratio(true_cloud, true_cloud + false_cloud),
        "recall": recall,
        "tpr": recall,
        "fpr": _ratio(false_cloud, false_cloud + true_clear),
    }
    return scores | {f_name(beta): _f_beta(true_cloud, false_cloud, false_clear, beta) for beta in BETAS}


def f_name(beta: float) -> str:
    """Return the name of an F-score.

    >>> f_name(1.0), f_name(0.5)
    ('f1', 'f0.5')
    """
    return f"f{beta:g}"


@dataclass(frozen=True, eq=False)
class Reliability:
    """Calibration in bins of equal width: count, mean probability and cloud fraction; NaN in empty bins."""

    count: NDArray[np.int64]
    probability: FloatArray
    cloud_fraction: FloatArray

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance between cloud fraction and probability over spectra."""
        used = self.count > 0
        distance = np.abs(self.cloud_fraction[used] - self.probability[used])
        return float(np.sum(distance * self.count[used]) / self.count.sum())


def reliability(cloud: ArrayLike, probability: ArrayLike, bins: int = _RELIABILITY_BINS) -> Reliability:
    """Return how often it is cloudy at each probability; bins [0, 1/k), …, [1 − 1/k, 1]."""
    truth, scores = np.asarray(cloud, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    which = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, fraction = (np.bincount(which, weights, bins) / count for weights in (scores, truth))
    return Reliability(count, mean, fraction)


def scene_confusions(
    cloud: NDArray[np.uint8], probability: NDArray[np.float32], scene: NDArray[np.int32], scenes: int, threshold: float
) -> NDArray[np.int64]:
    """Return (scenes, 4) counts of each scene, in the order of `Confusion`."""
    above = probability.astype(np.float64) > threshold
    kind = np.where(above, np.where(cloud == 1, 0, 1), np.where(cloud == 1, 3, 2))
    return np.bincount(scene.astype(np.int64) * 4 + kind, minlength=4 * scenes).reshape(scenes, 4)


def bootstrap(
    cloud: NDArray[np.uint8],
    probability: NDArray[np.float32],
    scene: NDArray[np.int32],
    threshold: float,
    draws: int = 500,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return 95 % confidence intervals from whole scenes drawn with replacement, as their spectra are dependent.

    Scores at the threshold are exact in each draw; AUC and AP come from a histogram of the ranks in 2048 bins.
    """
    present, number = np.unique(scene, return_inverse=True)
    scenes = len(present)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=draws).astype(np.float64)
    counts = scene_confusions(cloud, probability, number.astype(np.int32), scenes, threshold)
    sampled = confusion_scores(times @ counts)
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, _HISTOGRAM_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, probability, side="left")
    width = len(edges) + 1
    flat = (number * 2 + cloud) * width + bins
    histogram = np.bincount(flat, minlength=scenes * 2 * width).reshape(scenes, 2, width)[:, :, ::-1]
    clear, cloudy = (np.cumsum(times @ histogram[:, kind].astype(np.float64), axis=1) for kind in (0, 1))
    sampled |= _ranked_scores(clear, cloudy)
    return {name: _interval(values) for name, values in sampled.items()}


def _ranked_scores(clear: FloatArray, cloudy: FloatArray) -> Mapping[str, FloatArray]:
    """Return AUC and AP of (draws, bins) cumulative counts, highest probability first."""
    zero = np.zeros((len(clear), 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        fpr = np.hstack([zero, clear / clear[:, -1:]])
        tpr = np.hstack([zero, cloudy / cloudy[:, -1:]])
        precision = np.where(clear + cloudy > 0, cloudy / (clear + cloudy), 0.0)
    auc = np.sum(np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2, axis=1)
    return {"auc": auc, "ap": np.sum(np.diff(tpr, axis=1) * precision, axis=1)}


def _interval(values: FloatArray) -> tuple[float, float]:
    usable = values[np.isfinite(values)]
    if not len(usable):
        return float("nan"), float("nan")
    low, high = np.quantile(usable, (0.025, 0.975))
    return float(low), float(high)


def _f_beta(
    true_cloud: NDArray[np.int64] | FloatArray,
    false_cloud: NDArray[np.int64] | FloatArray,
    false_clear: NDArray[np.int64] | FloatArray,
    beta: float,
) -> FloatArray:
    hits, misses = true_cloud.astype(np.float64), false_clear.astype(np.float64)
    weight = 1 + beta * beta
    return _ratio(weight * hits, weight * hits + beta * beta * misses + false_cloud)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)
