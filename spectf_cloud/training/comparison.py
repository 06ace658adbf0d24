"""`train_comparison`: train a ResNet or boosted trees on labelled spectra, with scenes split as for SpecTf."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectf_cloud.data.spectra import Spectra, open_spectra
from spectf_cloud.data.spectra_irradiance import irradiance_of_run
from spectf_cloud.data.split import Scenes, split_scenes
from spectf_cloud.errors import OutputError, UsageError
from spectf_cloud.files.atomic import make_folder
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.backend import Backend, resolve_device
from spectf_cloud.inference.comparison import ResNetBackend, read_architecture
from spectf_cloud.models.resnet import ResNet, ResNetConfig
from spectf_cloud.readers.irradiance import card_entry
from spectf_cloud.training.checkpoint import Best
from spectf_cloud.training.comparison_config import ComparisonConfig
from spectf_cloud.training.config import LoopOptions
from spectf_cloud.training.results import save_state
from spectf_cloud.training.spectra_task import SpectraTask, scores_on_test, validation_scores
from spectf_cloud.training.trainer import OnEpoch, Progress, Trainer
from spectf_cloud.training.trees import train_trees
from spectf_cloud.weights import write_card

#: The threshold without validation scenes.
_THRESHOLD = 0.5


@dataclass(frozen=True)
class ComparisonReport:
    """Result of a run."""

    model: Path
    threshold: float
    test: dict[str, float]
    seconds: float


class ResNetTask(SpectraTask):
    """A ResNet learns cloud from labelled spectra; `finish` returns it with the threshold of the best epoch."""

    def __init__(
        self,
        config: ComparisonConfig,
        described: dict[str, Any],
        spectra: Spectra,
        scenes: Scenes,
        device: torch.device,
    ) -> None:
        super().__init__(spectra, scenes, config.seed, device)
        self.config = config
        self.architecture = ResNetConfig.from_mapping(described["architecture"])
        self.settings = _settings(config, described.get("training") or {})
        self.micro_batch = self.settings["batch"]
        self.identity = {"architecture": asdict(self.architecture), "training": self.settings}

    def seed(self, epoch: int, rank: int) -> int:
        """Return a seed that differs between epochs."""
        return self.config.seed + epoch

    def network(self) -> ResNet:
        """Build an untrained ResNet."""
        return ResNet(self.architecture)

    def loss(self, model: Any, *batch: Tensor) -> Tensor:
        """Return the summed cross-entropy for toa (k, bands) and cloud (k,)."""
        toa, cloud = batch
        return nn.functional.cross_entropy(model(toa).float(), cloud, reduction="sum")

    def backend(self, model: Any) -> ResNetBackend:
        """Return the network in the form that `predict` needs."""
        return ResNetBackend(model, self.device)

    def finish(self, model: Any, best: Best) -> tuple[ResNetBackend, float]:
        """Write ``resnet.pt``."""
        save_state(self.config.path, best.weights)
        return self.backend(model), best.scores.get("val_threshold", _THRESHOLD)


def train_comparison(
    config: ComparisonConfig, *, progress: Progress | None = None, on_epoch: OnEpoch | None = None
) -> ComparisonReport:
    """Train a ResNet or boosted trees; write the model and its card. Raises the errors of SpecTf's `train`."""
    start = time.monotonic()
    described = read_architecture(config.arch_yaml or resource(f"comparison_models/{config.kind}.yml"), config.kind)
    path = config.path
    make_folder(config.outdir)
    if path.exists() and not config.overwrite:
        raise OutputError(f"{path} exists already; add --overwrite to replace it")
    spectra = open_spectra(config.datasets, trust=config.trust_input)
    lists = config.train_csv, config.test_csv
    split = split_scenes(spectra, *lists, config.val_fraction, config.seed, trust=config.trust_input)
    irradiance = irradiance_of_run(config.irradiance, spectra.files)
    backend: Backend
    if config.kind == "resnet":
        task = ResNetTask(config, described, spectra, split, resolve_device(config.device))
        shared = {name: value for name, value in vars(config).items() if name in LoopOptions.__dataclass_fields__}
        options = LoopOptions(**shared | task.settings, keep_state=False)
        backend, threshold = Trainer(task, options, task.device).run(progress, on_epoch)
        fields = dict(task.identity)
    else:
        backend = train_trees(spectra, spectra.rows_of(split.train), described["architecture"], config.seed, progress)
        backend.save(path)
        threshold = validation_scores(backend, spectra, split).get("val_threshold", _THRESHOLD)
        fields = {"architecture": described["architecture"]}
    scores = scores_on_test(backend, spectra, split, threshold)
    fields["irradiance"] = card_entry(irradiance, config.irradiance, config.outdir)
    fields |= {"test": scores, "seed": config.seed, "scenes": asdict(split)}
    fields["data"] = [{"file": f.source.name, "spectra": len(f.toa), "sha256": f.sha256} for f in spectra.files]
    name = f"{config.kind}:{config.outdir.resolve().name}"
    write_card(path, name=name, threshold=threshold, kind=config.kind, bands_nm=spectra.wavelength_nm, **fields)
    return ComparisonReport(path, threshold, scores, time.monotonic() - start)


def _settings(config: ComparisonConfig, described: dict[str, Any]) -> dict[str, Any]:
    """Return epochs, batch and learning rate from the options, else from the YAML."""
    settings = {}
    for name, kind in (("epochs", int), ("batch", int), ("lr", float)):
        value = getattr(config, name)
        value = described.get(name) if value is None else value
        if value is None:
            raise UsageError(f"give --{name}, or 'training: {name}' in the architecture's YAML")
        settings[name] = kind(value)
    return settings
