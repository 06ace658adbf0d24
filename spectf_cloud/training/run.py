"""`train`: train SpecTf on labelled spectra and write weights with a card."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectf_cloud.data.spectra import Spectra, open_spectra
from spectf_cloud.data.spectra_irradiance import irradiance_of_run
from spectf_cloud.data.split import Scenes, split_scenes
from spectf_cloud.errors import MissingExtraError, OutputError, UsageError
from spectf_cloud.files.atomic import make_folder
from spectf_cloud.inference.backend import resolve_device
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import read_state_dict
from spectf_cloud.models.winners import logits
from spectf_cloud.readers.irradiance import card_entry
from spectf_cloud.training.checkpoint import CHECKPOINT, Best, Checkpoint
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.distributed import ALONE, World, device_of_this_process, world
from spectf_cloud.training.results import save_weights
from spectf_cloud.training.spectra_task import SpectraTask, scores_on_test
from spectf_cloud.training.trainer import OnEpoch, Progress, Trainer
from spectf_cloud.weights import PUBLISHED_THRESHOLD, find_weights

# Activations of this many spectra fit in a core's cache; measured best.
_MICRO_BATCH_CPU = 32
_MICRO_BATCH_CPU_DROPOUT = 8
_MICRO_BATCH_DEVICE = 1024

Forward = Callable[[SpecTfEncoder, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TrainReport:
    """Result of a run; ``seconds`` is 0 until the run is over."""

    weights: Path
    epoch: int
    threshold: float
    test: dict[str, float]
    spectra: int
    seconds: float = 0.0


class SpecTfTask(SpectraTask):
    """The published network learns to find cloud in labelled spectra."""

    def __init__(
        self,
        config: TrainConfig,
        spectra: Spectra,
        scenes: Scenes,
        device: torch.device,
        here: World = ALONE,
        irradiance: dict[str, str] | None = None,
    ) -> None:
        if config.bands_per_step > spectra.bands:
            raise UsageError(f"--bands-per-step {config.bands_per_step} but the spectra have {spectra.bands} bands")
        super().__init__(spectra, scenes, config.seed, device, here)
        self.config = config
        self.forward: Forward = logits
        self.notes = {"irradiance": irradiance or {}}
        self.identity = config.identity()
        self.identity["spectra"] = [file.sha256 for file in spectra.files]
        self.identity["scenes"] = [len(self.rows), len(spectra.rows_of(scenes.validation))]
        on_cpu = _MICRO_BATCH_CPU_DROPOUT if config.architecture.dropout else _MICRO_BATCH_CPU
        self.micro_batch = on_cpu if device.type == "cpu" else _MICRO_BATCH_DEVICE

    def network(self) -> SpecTfEncoder:
        """Build the network, from ``init`` if given, and freeze parts as asked. Raises `UsageError`."""
        model = self._initial().to(self.device)
        if self.config.compile:
            self.forward = _compiled(model, self.device)
        return model

    def loss(self, model: Any, *batch: Tensor) -> Tensor:
        """Return the summed cross-entropy for toa (k, bands) and cloud (k,)."""
        toa, cloud = batch
        shown, wavelength = draw_bands(toa, model.wavelength, self.config.bands_per_step)
        return nn.functional.cross_entropy(self.forward(model, shown, wavelength).float(), cloud, reduction="sum")

    def backend(self, model: Any) -> TorchBackend:
        """Return the float32 reference."""
        return TorchBackend(model, self.device)

    def finish(self, model: Any, best: Best) -> TrainReport:
        """Score the test scenes; write ``weights.pt`` and its card."""
        threshold = best.scores.get("val_threshold", PUBLISHED_THRESHOLD)
        test = scores_on_test(self.backend(model), self.spectra, self.scenes, threshold, self.world)
        path = self.config.outdir / "weights.pt"
        if self.world.leads:
            save_weights(path, self.config, self.spectra, self.scenes, best, test, self.notes["irradiance"])
        self.world.wait()
        return TrainReport(path, best.epoch, threshold, test, len(self.spectra))

    def _initial(self) -> SpecTfEncoder:
        config = self.config
        model = SpecTfEncoder(self.spectra.wavelength_nm, **asdict(config.architecture))
        if config.init is not None:
            found = find_weights(config.init)
            try:
                model.load_state_dict(read_state_dict(found))
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].strip()
                raise UsageError(f"--init {config.init} does not fit the --arch options ({reason})") from error
        for prefix in config.freeze:
            frozen = [parameter for name, parameter in model.named_parameters() if name.startswith(prefix)]
            if not frozen:
                names = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
                raise UsageError(f"--freeze {prefix}: no parameter's name starts with it; parts are {', '.join(names)}")
            for parameter in frozen:
                parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise UsageError("--freeze leaves nothing to train")
        return model


def draw_bands(toa: Tensor, wavelength: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw ``count`` random bands for each spectrum; return values and wavelengths, each (b, count)."""
    if count == 0 or count >= toa.shape[1]:
        return toa, wavelength
    chosen = torch.rand(toa.shape, device=toa.device).topk(count, dim=1).indices
    return toa.gather(1, chosen), wavelength[chosen]


def _compiled(model: SpecTfEncoder, device: torch.device) -> Forward:
    """Return the forward through torch.compile, tried at once, as its compiler may be missing."""
    compiled = torch.compile(logits)
    try:
        compiled(model, torch.zeros(2, len(model.wavelength), device=device), model.wavelength)
    except Exception as error:  # its compiler stack may raise anything
        raise MissingExtraError(
            f"torch.compile does not work here ({type(error).__name__}); leave out --compile"
        ) from error
    return compiled


def train(config: TrainConfig, *, progress: Progress | None = None, on_epoch: OnEpoch | None = None) -> TrainReport:
    """Train SpecTf and write weights, card, metrics and curves to ``config.outdir``.

    Under torchrun, each process takes its share of every batch and the first one writes. ``progress`` is called with
    (done, total) spectra, ``on_epoch`` with the numbers of each epoch.

    Raises
    ------
    InputError
        Unusable data, or scenes in two lists.
    OutputError
        An output folder that already holds a run, or cannot be written.
    MissingExtraError
        schedulefree, wandb or a device is missing.
    """
    start = time.monotonic()
    device = resolve_device(device_of_this_process(config.device))
    with world(device.type == "cuda") as here:
        if here.leads:
            _prepare_outdir(config)
        here.wait()
        spectra = _open_in_turn(config, here)
        lists, gap = (config.train_csv, config.test_csv), config.min_gap_s
        scenes = split_scenes(spectra, *lists, config.val_fraction, config.seed, gap, trust=config.trust_input)
        irradiance = _irradiance(config, spectra)
        here.wait()  # until all have read an earlier checkpoint
        task = SpecTfTask(config, spectra, scenes, device, here, irradiance)
        report = Trainer(task, config, device, here).run(progress, on_epoch)
        return replace(report, seconds=time.monotonic() - start)


def _prepare_outdir(config: TrainConfig) -> None:
    make_folder(config.outdir)
    earlier = [name for name in (CHECKPOINT, "weights.pt") if (config.outdir / name).exists()]
    if not earlier or config.resume:
        return
    if not config.overwrite:
        raise OutputError(
            f"{config.outdir / earlier[0]} is from an earlier run; add --resume to continue it, --overwrite to "
            "replace it, or choose another --outdir"
        )
    for name in earlier:
        (config.outdir / name).unlink()


def _irradiance(config: TrainConfig, spectra: Spectra) -> dict[str, str]:
    """Return the card's entry on irradiance: from the options, the data or an earlier part of the run."""
    path = config.outdir / CHECKPOINT
    if config.resume and config.irradiance is None and path.is_file():
        kept: dict[str, str] = Checkpoint.read(path).notes.get("irradiance", {})
        if "sha256" in kept:
            return kept
    start = find_weights(config.init) if config.init is not None else None
    return card_entry(irradiance_of_run(config.irradiance, spectra.files, start), config.irradiance, config.outdir)


def _open_in_turn(config: TrainConfig, here: World) -> Spectra:
    """Open the spectra: the first process writes the cache, then the others find it."""
    if here.leads:
        spectra = open_spectra(config.datasets, trust=config.trust_input)
    here.wait()
    return spectra if here.leads else open_spectra(config.datasets, trust=config.trust_input)
