"""What a training run is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import UsageError

#: Published: the learning rate rises over so many steps, and gradients are clipped to this norm.
WARMUP_STEPS = 1000
CLIP_NORM = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """A training run; the defaults are the published ones where there are such.

    Attributes
    ----------
    datasets, train_csv, test_csv, outdir
        HDF5 files, lists of scenes, and the folder for everything the run writes.
    epochs, batch, lr, seed, device
        ``batch`` counts spectra per step over all processes.
    architecture
        The network; published dropout in training is 0.1.
    val_fraction
        Share of the training scenes kept aside to choose epoch and threshold; 0 trains on all and takes the last.
    min_gap_s
        Also refuse splits with scenes closer in time than this, s.
    early_stop
        Stop after so many epochs without a lower validation loss; 0 never.
    bands_per_step
        Each spectrum shows so many of its bands, drawn anew every step; 0 all.
    amp, compile
        bfloat16 autocast; torch.compile.
    init, freeze
        Weights to start from, and parts to leave as they are (prefixes of parameter names).
    irradiance
        The solar irradiance that the data were made with, for the card: a file, ``builtin`` or ``official``; by default
        what the data say.
    trust_input
        Only warn of data that cannot be right.
    save_every_epoch, resume, overwrite
        Keep weights of each epoch; go on from the checkpoint in ``outdir``; replace an earlier run there.
    wandb_project, wandb_entity, wandb_name
        Where to track on Weights & Biases; nothing without a project.
    """

    datasets: tuple[Path, ...]
    train_csv: Path
    test_csv: Path
    outdir: Path = Path("outdir")
    epochs: int = 50
    batch: int = 256
    lr: float = 1e-4
    seed: int = 42
    device: str = "-1"
    architecture: Architecture = field(default_factory=lambda: Architecture(dropout=0.1))
    val_fraction: float = 0.1
    min_gap_s: float = 0.0
    early_stop: int = 0
    bands_per_step: int = 0
    amp: bool = False
    compile: bool = False
    init: str | None = None
    freeze: tuple[str, ...] = ()
    irradiance: str | None = None
    trust_input: bool = False
    save_every_epoch: bool = False
    resume: bool = False
    overwrite: bool = False
    wandb_project: str = ""
    wandb_entity: str = ""
    wandb_name: str = ""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("early_stop", 0), ("bands_per_step", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name.replace('_', '-')} must be at least {least}, not {getattr(self, name)}")
        if not self.lr > 0:
            raise UsageError(f"the learning rate must be positive, not {self.lr:g}")
        if self.bands_per_step and self.architecture.agg == "flat":
            raise UsageError("flat aggregation needs every band in its place; leave out --bands-per-step")
        if self.resume and self.overwrite:
            raise UsageError("--resume goes on with an earlier run and --overwrite replaces it; give one of them")

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        return {
            "batch": self.batch,
            "lr": self.lr,
            "seed": self.seed,
            "architecture": asdict(self.architecture),
            "val_fraction": self.val_fraction,
            "bands_per_step": self.bands_per_step,
            "amp": self.amp,
            "init": self.init or "",
            "freeze": list(self.freeze),
        }
