"""CSV logs that grow while a run goes on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from evaluation.distillation.validation import Scores

_SCORES = ("source", "mask_differs", "mean_abs_dp", "doubt_error")


def append(log: Path, columns: Sequence[str], values: Sequence[object], scores: Scores) -> None:
    """A line for each source: the values of `columns`, then its scores; with a head where the file is new."""
    with log.open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow((*columns, *_SCORES))
        for name, score in scores.items():
            writer.writerow((*values, name, *(f"{value:.5f}" for value in score)))


def last_line(log: Path) -> dict[str, str]:
    """The last line by column; empty where there is no log."""
    if not log.is_file():
        return {}
    with log.open(newline="") as file:
        *_, last = csv.DictReader(file)
    return last
