"""The output files of a training run: weights with their card, metrics, curves."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.extras import have
from spectf_cloud.products.figures import Chart, Line, save_png
from spectf_cloud.training.checkpoint import Best
from spectf_cloud.training.config import CLIP_NORM, WARMUP_STEPS, TrainConfig
from spectf_cloud.weights import write_card

if TYPE_CHECKING:
    from spectf_cloud.data.split import Scenes


def save_state(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a plain state dict, whole or not at all. Raises `OutputError`."""
    with atomic_output(path, overwrite=True) as temporary:
        torch.save(dict(weights), temporary)


def save_weights(
    path: Path,
    config: TrainConfig,
    spectra: Spectra,
    scenes: Scenes,
    best: Best,
    test: Mapping[str, float],
    irradiance: Mapping[str, str],
) -> None:
    """Write ``weights.pt`` and its card ``weights.yml`` with provenance, irradiance and test scores."""
    path.with_suffix(".yml").unlink(missing_ok=True)  # never next to weights that it does not describe
    save_state(path, best.weights)
    write_card(
        path,
        name=f"trained:{config.outdir.resolve().name}",
        threshold=test["threshold"],
        architecture=asdict(replace(config.architecture, dropout=0.0)),
        irradiance=dict(irradiance),
        epoch=best.epoch,
        test=dict(test),
        training=_training_entry(config),
        data=[{"file": file.source.name, "spectra": len(file.toa), "sha256": file.sha256} for file in spectra.files],
        scenes=asdict(scenes),
        software={"spectf-cloud": version("spectf-cloud"), "torch": str(torch.__version__)},
    )


def _training_entry(config: TrainConfig) -> dict[str, Any]:
    entry = config.identity() | {"epochs": config.epochs, "early_stop": config.early_stop}
    entry |= {"optimiser": "schedulefree AdamW", "warmup_steps": WARMUP_STEPS, "clip_norm": CLIP_NORM}
    del entry["architecture"]
    return entry | {"dropout": config.architecture.dropout}


def save_metrics_csv(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write one line per epoch."""
    with atomic_output(path, overwrite=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def save_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Draw loss and validation scores over the epochs as a PNG; without Matplotlib, warn and leave it out."""
    if not have("plots", path.name):
        path.unlink(missing_ok=True)  # one of an earlier run would show other epochs
        return
    epochs = [row["epoch"] for row in history]

    def lines(*names: tuple[str, str]) -> list[Line]:
        return [Line(label, epochs, [row[name] for row in history]) for name, label in names if name in history[0]]

    losses = lines(("train_loss", "training"), ("val_loss", "validation"))
    charts = [Chart("Loss", "epoch", "cross-entropy", losses, whole_x=True)]
    scores = lines(("val_auc", "AUC"), ("val_ap", "AP"), ("val_f1", "best F1"), ("val_accuracy", "accuracy"))
    if scores:
        charts.append(Chart("Validation", "epoch", "score", scores, whole_x=True))
    save_png(path, charts)
