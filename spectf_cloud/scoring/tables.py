"""The tables of a report, for any of its forms."""

from __future__ import annotations

import math

from spectf_cloud.scoring.scores import ModelScores, Report

INTERVALS_NOTE = "Ranges: 95 % bootstrap intervals over whole scenes; spectra of one scene are not independent."
BEST_NOTE = "Chosen on the same spectra: an upper bound for any threshold, not a result to quote."
#: Score → heading, in the order of the tables.
COLUMNS = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "tpr": "TPR (recall)",
    "fpr": "FPR",
    "fpr_shadow": "FPR in shadow",
    "f1": "F1",
    "f0.5": "F0.5",
    "f0.25": "F0.25",
    "f0.1": "F0.1",
    "auc": "AUC",
    "ap": "AP",
    "ece": "ECE",
}
_LOWER_IS_BETTER = {"fpr", "fpr_shadow", "ece"}


def summary(report: Report) -> str:
    clear = report.spectra - report.cloudy - report.shadow
    return (
        f"{report.spectra:,} spectra of {report.scenes:,} scenes from {', '.join(report.datasets)}: {report.cloudy:,} "
        f"cloud, {clear:,} clear, {report.shadow:,} cloud shadow (counted as clear)."
    )


def shown_scores(report: Report) -> list[str]:
    return [name for name in COLUMNS if any(name in model.scores for model in report.models)]


def best_rows(report: Report) -> list[list[str]]:
    names = list(report.models[0].best)
    rows = [["Model", *(COLUMNS[name] for name in names)]]
    return rows + [[m.name, *(f"{m.best[n][0]:.4f} at {m.best[n][1]:.3f}" for n in names)] for m in report.models]


def scene_rows(model: ModelScores, count: int = 10) -> list[list[str]]:
    rows = [["Scene", "Spectra", "Cloudy", "False", "Missed", "Accuracy"]]
    for scene in model.worst_scenes(count):
        counts = (scene.spectra, scene.cloudy, scene.false_cloud, scene.false_clear)
        rows.append([scene.fid, *(f"{value:,}" for value in counts), f"{scene.accuracy:.4f}"])
    return rows


def best_value(report: Report, name: str) -> float:
    """Return the best value of a score over the models; NaN if they do not differ."""
    values = [model.scores[name] for model in report.models if math.isfinite(model.scores.get(name, math.nan))]
    if len(set(values)) < 2:
        return math.nan
    return min(values) if name in _LOWER_IS_BETTER else max(values)


def number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"
