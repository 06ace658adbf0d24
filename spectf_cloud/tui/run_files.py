"""Output files of a training run or an evaluation, for the Train page."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectf_cloud.errors import InputError

Row = dict[str, float]


@dataclass(frozen=True)
class PastRun:
    """A folder's ``metrics.csv``, one row per epoch, and ``report.json``, one entry per model; one may be empty."""

    folder: Path
    epochs: list[Row]
    models: list[dict[str, Any]]


def read_run(folder: Path) -> PastRun:
    """Read a run's folder. Raises `InputError` if it holds neither file, or an unreadable one."""
    metrics, report = folder / "metrics.csv", folder / "report.json"
    if not metrics.is_file() and not report.is_file():
        raise InputError(f"{folder} has neither metrics.csv of a training run nor report.json of an evaluation")
    epochs = read_metrics(metrics) if metrics.is_file() else []
    return PastRun(folder, epochs, _read_report(report) if report.is_file() else [])


def read_metrics(path: Path) -> list[Row]:
    """Read one row per epoch. Raises `InputError`."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [{name: float(value) for name, value in row.items() if name} for row in csv.DictReader(stream)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is not the metrics file of a training run ({error})") from error
    if any("epoch" not in row or "train_loss" not in row for row in rows):
        raise InputError(f"{path} is not the metrics file of a training run (no epoch or train_loss)")
    return rows


def joined(before: list[Row], after: list[Row]) -> list[Row]:
    """Join the epochs of a run and its resumption; of two rows for an epoch, the later counts.

    >>> joined([{"epoch": 1.0, "train_loss": 0.5}], [{"epoch": 1.0, "train_loss": 0.4}])
    [{'epoch': 1.0, 'train_loss': 0.4}]
    """
    by_epoch = {row["epoch"]: row for row in [*before, *after]}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def column(rows: list[Row], name: str) -> list[float]:
    """Return one number of every epoch; NaN if it is missing."""
    return [row.get(name, math.nan) for row in rows]


def _read_report(path: Path) -> list[dict[str, Any]]:
    """Return the models as in the ``done`` event of an evaluation."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [{"name": m["name"], "threshold": m["threshold"], **m["scores"]} for m in content["models"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the report of an evaluation ({error})") from error
