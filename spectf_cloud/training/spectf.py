"""SpecTf as a task of the trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.data.split import Scenes
from spectf_cloud.errors import MissingExtraError, UsageError
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import read_state_dict
from spectf_cloud.models.winners import logits
from spectf_cloud.training.checkpoint import Best
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.distributed import ALONE, World
from spectf_cloud.training.results import save_weights
from spectf_cloud.training.spectra_task import SpectraTask, scores_on_test
from spectf_cloud.weights import PUBLISHED_THRESHOLD, find_weights

# Activations of so many spectra at once stay in a core's cache; measured best.
_MICRO_BATCH_CPU = 32
_MICRO_BATCH_CPU_DROPOUT = 8
_MICRO_BATCH_DEVICE = 1024

Forward = Callable[[SpecTfEncoder, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TrainReport:
    """What a run produced; ``seconds`` is 0 until the run is over."""

    weights: Path
    epoch: int
    threshold: float
    test: dict[str, float]
    spectra: int
    seconds: float = 0.0


class SpecTfTask(SpectraTask):
    """The published network learns cloud from labelled spectra."""

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
        """Build it fresh, or from ``init``, with parts frozen as asked. Raises `UsageError`."""
        model = _initial(self.config, self.spectra.wavelength_nm).to(self.device)
        if self.config.compile:
            self.forward = _compiled(model, self.device)
        return model

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Cross-entropy of toa (k, bands) and cloud (k,), summed."""
        assert isinstance(model, SpecTfEncoder)
        toa, cloud = batch
        shown, wavelength = draw_bands(toa, model.wavelength, self.config.bands_per_step)
        return nn.functional.cross_entropy(self.forward(model, shown, wavelength).float(), cloud, reduction="sum")

    def backend(self, model: nn.Module) -> TorchBackend:
        """Return the float32 reference."""
        assert isinstance(model, SpecTfEncoder)
        return TorchBackend(model, self.device)

    def finish(self, model: nn.Module, best: Best) -> TrainReport:
        """Score the test scenes; write ``weights.pt`` and its card."""
        threshold = best.scores.get("val_threshold", PUBLISHED_THRESHOLD)
        test = scores_on_test(self.backend(model), self.spectra, self.scenes, threshold, self.world)
        path = self.config.outdir / "weights.pt"
        if self.world.leads:
            save_weights(path, self.config, self.spectra, self.scenes, best, test, self.notes["irradiance"])
        self.world.wait()
        return TrainReport(path, best.epoch, threshold, test, len(self.spectra))


def draw_bands(toa: Tensor, wavelength: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw ``count`` bands for each spectrum: values and wavelengths, each (b, count)."""
    if count == 0 or count >= toa.shape[1]:
        return toa, wavelength
    chosen = torch.rand(toa.shape, device=toa.device).topk(count, dim=1).indices
    return toa.gather(1, chosen), wavelength[chosen]


def _initial(config: TrainConfig, wavelength_nm: NDArray[np.float64]) -> SpecTfEncoder:
    model = SpecTfEncoder(wavelength_nm, **asdict(config.architecture))
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
            raise UsageError(f"--freeze {prefix}: no parameter's name begins so; parts are {', '.join(names)}")
        for parameter in frozen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError("--freeze leaves nothing to train")
    return model


def _compiled(model: SpecTfEncoder, device: torch.device) -> Forward:
    """The forward through torch.compile, tried at once: what it needs (a compiler) may not be there."""
    compiled = torch.compile(logits)
    try:
        compiled(model, torch.zeros(2, len(model.wavelength), device=device), model.wavelength)
    except Exception as error:  # torch.compile raises whatever its compiler stack meets
        raise MissingExtraError(
            f"torch.compile does not work here ({type(error).__name__}); leave out --compile"
        ) from error
    return compiled
