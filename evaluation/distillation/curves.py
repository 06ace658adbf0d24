"""Draws `curves.png` from the logs of a run: python -m evaluation.distillation.curves RUN_FOLDER curves.png"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def read(run: Path) -> list[dict[str, str]]:
    """The lines of all logs there are, one part of the training after the other; CPU time counted through."""
    lines: list[dict[str, str]] = []
    for name in filter(lambda name: (run / name).is_file(), ("log.csv", "polish.csv", "descent.csv")):
        before = float(lines[-1]["cpu_s"]) if lines else 0.0
        with (run / name).open(newline="") as file:
            part = [{"stage": name, **line} for line in csv.DictReader(file)]
        lines += [{**line, "cpu_s": str(before + float(line["cpu_s"]))} for line in part]
    return lines


def draw(run: Path, out: Path) -> None:
    """Share of the mask that differs and mean probability error against CPU time, per validation source."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = read(run)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    labels = {"real_statistics": "real EMIT statistics", "clear": "library surfaces, clear sky"}
    labels["simulated_scenes"] = "simulated scenes"
    for axis, column, title in zip(
        axes, ("mask_differs", "mean_abs_dp"), ("share of the mask that differs", "mean |dp|"), strict=True
    ):
        for source, label in labels.items():
            chosen = [line for line in lines if line["source"] == source]
            axis.plot([float(line["cpu_s"]) for line in chosen], [float(line[column]) for line in chosen], label=label)
        starts = {line["stage"]: float(line["cpu_s"]) for line in reversed(lines)}
        for start in list(starts.values())[:-1]:
            axis.axvline(start, color="0.85", zorder=0)
        axis.set(yscale="log", xlabel="CPU time, s", title=title)
        axis.grid(True, which="both", alpha=0.3)
    axes[0].legend()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
