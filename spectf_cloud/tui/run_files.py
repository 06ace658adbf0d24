"""What a training run or an evaluation left in its folder, for the Train page."""

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
    """A folder's ``metrics.csv``, one row an epoch, and its ``report.json``, one entry a model; either may be empty."""

    folder: Path
    epochs: list[Row]
    models: list[dict[str, Any]]


def read_run(folder: Path) -> PastRun:
    """Raises `InputError` where the folder holds neither, or what cannot be read."""
    metrics, report = folder / "metrics.csv", folder / "report.json"
    if not metrics.is_file() and not report.is_file():
        raise InputError(f"{folder} holds neither metrics.csv of a training run nor report.json of an evaluation")
    epochs = read_metrics(metrics) if metrics.is_file() else []
    return PastRun(folder, epochs, _read_report(report) if report.is_file() else [])


def read_metrics(path: Path) -> list[Row]:
    """One row per epoch. Raises `InputError`."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [{name: float(value) for name, value in row.items() if name} for row in csv.DictReader(stream)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not the metrics of a training run ({error})") from error
    if any("epoch" not in row or "train_loss" not in row for row in rows):
        raise InputError(f"{path}: not the metrics of a training run (no epoch or train_loss)")
    return rows


def joined(before: list[Row], after: list[Row]) -> list[Row]:
    """Epochs of a run and of its resumption; where both tell of one, the later word counts."""
    by_epoch = {row["epoch"]: row for row in [*before, *after]}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def column(rows: list[Row], name: str) -> list[float]:
    """One number of every epoch; NaN where it is missing."""
    return [row.get(name, math.nan) for row in rows]


def _read_report(path: Path) -> list[dict[str, Any]]:
    """Models as the ``done`` event of an evaluation tells of them."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [{"name": m["name"], "threshold": m["threshold"], **m["scores"]} for m in content["models"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the report of an evaluation ({error})") from error
