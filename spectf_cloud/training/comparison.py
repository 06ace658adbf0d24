"""`train_resnet` and `train_xgboost`: comparison models from labelled spectra, scenes split as for SpecTf."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from spectf_cloud.data.spectra import Spectra, open_spectra
from spectf_cloud.data.spectra_irradiance import irradiance_of_run
from spectf_cloud.errors import OutputError, UsageError
from spectf_cloud.files.atomic import make_folder
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.backend import Backend, resolve_device
from spectf_cloud.inference.comparison import ResNetBackend, read_architecture
from spectf_cloud.models.resnet import ResNet, ResNetConfig
from spectf_cloud.readers.irradiance import card_entry
from spectf_cloud.scoring.metrics import rank
from spectf_cloud.training.batches import batches, epoch_order
from spectf_cloud.training.comparison_config import ComparisonConfig
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.distributed import World
from spectf_cloud.training.results import save_state
from spectf_cloud.training.scenes import split_scenes
from spectf_cloud.training.setup import schedule_free
from spectf_cloud.training.trackers import open_trackers
from spectf_cloud.training.trainer import OnEpoch, Progress, cross_entropy, score
from spectf_cloud.training.trees import train_trees
from spectf_cloud.weights import write_card


@dataclass(frozen=True)
class ComparisonReport:
    """What a run produced."""

    model: Path
    threshold: float
    test: dict[str, float]
    seconds: float


def train_comparison(
    config: ComparisonConfig, *, progress: Progress | None = None, on_epoch: OnEpoch | None = None
) -> ComparisonReport:
    """Train a ResNet or boosted trees; writes the model and its card. Errors as `train` of SpecTf."""
    start = time.monotonic()
    described = read_architecture(config.arch_yaml or resource(f"comparison_models/{config.kind}.yml"), config.kind)
    path = config.outdir / ("resnet.pt" if config.kind == "resnet" else "xgboost.json")
    make_folder(config.outdir)
    if path.exists() and not config.overwrite:
        raise OutputError(f"{path} exists already; add --overwrite to replace it")
    spectra = open_spectra(config.datasets, trust=config.trust_input)
    split = split_scenes(
        TrainConfig(
            config.datasets,
            config.train_csv,
            config.test_csv,
            val_fraction=config.val_fraction,
            seed=config.seed,
            trust_input=config.trust_input,
        ),
        spectra,
    )
    irradiance = irradiance_of_run(config.irradiance, spectra.files)
    rows, validation, test = (spectra.rows_of(s) for s in (split.train, split.validation, split.test))
    told: dict[str, Any]
    backend: Backend
    if config.kind == "resnet":
        resnet, told = _train_resnet(config, described, spectra, rows, validation, progress, on_epoch)
        backend = resnet
        save_state(path, {name: value.cpu() for name, value in resnet.model.state_dict().items()})
    else:
        trees = train_trees(spectra, rows, described["architecture"], config.seed, progress)
        trees.save(path)
        backend, told = trees, {"architecture": described["architecture"]}
    threshold = _threshold(backend, spectra, validation)
    scores = score(spectra.cloud[test], _apply(backend, spectra, test), threshold)
    told["irradiance"] = card_entry(irradiance, config.irradiance, config.outdir)
    told |= {"test": scores, "seed": config.seed, "scenes": asdict(split)}
    told["data"] = [{"file": f.source.name, "spectra": len(f.toa), "sha256": f.sha256} for f in spectra.files]
    name = f"{config.kind}:{config.outdir.resolve().name}"
    write_card(path, name=name, threshold=threshold, kind=config.kind, bands_nm=spectra.wavelength_nm, **told)
    return ComparisonReport(path, threshold, scores, time.monotonic() - start)


def _train_resnet(
    config: ComparisonConfig,
    described: dict[str, Any],
    spectra: Spectra,
    rows: NDArray[np.int64],
    validation: NDArray[np.int64],
    progress: Progress | None,
    on_epoch: OnEpoch | None,
) -> tuple[ResNetBackend, dict[str, Any]]:
    """The ResNet of the epoch with the lowest validation loss, the last one without validation."""
    architecture = ResNetConfig.from_mapping(described["architecture"])
    settings = _settings(config, described.get("training") or {})
    device = resolve_device(config.device)
    torch.manual_seed(config.seed)
    model = ResNet(architecture).to(device)
    optimiser = schedule_free(model.parameters(), settings["lr"], 0)
    trackers = open_trackers(config, settings)
    best, best_loss, epochs = model.state_dict(), np.inf, int(settings["epochs"])
    for epoch in range(epochs):
        torch.manual_seed(config.seed + epoch)
        model.train()
        optimiser.train()
        total, done = 0.0, epoch * len(rows)
        for toa, cloud, size in batches(spectra, epoch_order(rows, config.seed, epoch), settings["batch"], World()):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(toa.to(device)), cloud.to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, done = total + float(loss.detach()) * size, done + size
            if progress:
                progress(done, epochs * len(rows))
        row = {"epoch": epoch + 1.0, "train_loss": total / len(rows)}
        optimiser.eval()
        row |= _validation(ResNetBackend(model, device), spectra, validation)
        if row.get("val_loss", -float(epoch)) < best_loss:
            best_loss = row.get("val_loss", -float(epoch))
            best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        trackers.log(epoch + 1, row)
        if on_epoch:
            on_epoch(row)
    trackers.finish()
    model.load_state_dict(best)
    return ResNetBackend(model, device), {"architecture": asdict(architecture), "training": settings}


def _settings(config: ComparisonConfig, told: dict[str, Any]) -> dict[str, Any]:
    """Epochs, batch and learning rate: as asked, else as the YAML says."""
    settings = {}
    for name, kind in (("epochs", int), ("batch", int), ("lr", float)):
        value = getattr(config, name)
        value = told.get(name) if value is None else value
        if value is None:
            raise UsageError(f"neither --{name} nor 'training: {name}' in the architecture's YAML is given")
        settings[name] = kind(value)
        if not settings[name] > 0:
            raise UsageError(f"{name} must be positive, not {value}")
    return settings


def _validation(backend: Backend, spectra: Spectra, rows: NDArray[np.int64]) -> dict[str, float]:
    if not len(rows):
        return {}
    probability, cloud = _apply(backend, spectra, rows), spectra.cloud[rows]
    return {"val_loss": cross_entropy(cloud, probability), "val_auc": rank(cloud, probability).auc()}


def _threshold(backend: Backend, spectra: Spectra, rows: NDArray[np.int64]) -> float:
    """That of the largest F1 on the validation scenes; 0.5 without any."""
    if not len(rows):
        return 0.5
    return rank(spectra.cloud[rows], _apply(backend, spectra, rows)).best_f(1.0)[1]


def _apply(backend: Backend, spectra: Spectra, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate([backend(block) for block in spectra.blocks(rows)])
