"""The options of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import UsageError

#: As published: the learning rate rises over this many steps, and gradients are clipped to this norm.
WARMUP_STEPS = 1000
CLIP_NORM = 1.0


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How a network is trained; the defaults are the published ones where those exist.

    Attributes
    ----------
    outdir
        The folder for all outputs of the run.
    epochs, batch, lr, seed
        ``batch`` counts items per step over all processes.
    optimiser, warmup_steps, clip_norm
        AdamW, schedule-free or plain; steps over which the schedule-free rate rises; largest norm of the gradients.
    early_stop
        Stop after this many epochs without improvement; 0: never.
    amp
        bfloat16 autocast.
    keep_state
        Write the checkpoint, the metrics and the curves after each epoch.
    resume, save_every_epoch
        Continue from the checkpoint in ``outdir``; keep the weights of each epoch.
    wandb_project, wandb_entity, wandb_name
        Where to track on Weights & Biases; without a project, nowhere.
    """

    outdir: Path = Path("outdir")
    epochs: int = 50
    batch: int = 256
    lr: float = 1e-4
    seed: int = 42
    optimiser: Literal["schedule-free", "adamw"] = "schedule-free"
    warmup_steps: int = 0
    clip_norm: float | None = None
    early_stop: int = 0
    amp: bool = False
    keep_state: bool = True
    resume: bool = False
    save_every_epoch: bool = False
    wandb_project: str = ""
    wandb_entity: str = ""
    wandb_name: str = ""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("early_stop", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name.replace('_', '-')} must be at least {least}, not {getattr(self, name)}")
        if not self.lr > 0:
            raise UsageError(f"the learning rate must be positive, not {self.lr:g}")


@dataclass(frozen=True)
class TrainConfig(LoopOptions):
    """A training run of SpecTf.

    Attributes
    ----------
    datasets, train_csv, test_csv
        HDF5 files and lists of scenes.
    device
        As the commands take it: a GPU number, −1 for the CPU.
    architecture
        The network; published dropout in training is 0.1.
    val_fraction
        Share of the training scenes kept aside to choose epoch and threshold; 0 trains on all and takes the last.
    min_gap_s
        Also refuse splits with scenes closer in time than this, s.
    bands_per_step
        Each spectrum shows this many random bands per step; 0: all.
    compile
        torch.compile.
    init, freeze
        Weights to start from, and parts to leave unchanged (prefixes of parameter names).
    irradiance
        The solar irradiance that the data were made with, for the card: a file, ``published`` or ``astm-g173``; by
        default as the data say.
    trust_input
        Only warn about implausible data.
    overwrite
        Replace an earlier run in ``outdir``.
    """

    datasets: tuple[Path, ...]
    train_csv: Path
    test_csv: Path
    device: str = "-1"
    architecture: Architecture = field(default_factory=lambda: Architecture(dropout=0.1))
    val_fraction: float = 0.1
    min_gap_s: float = 0.0
    bands_per_step: int = 0
    compile: bool = False
    init: str | None = None
    freeze: tuple[str, ...] = ()
    irradiance: str | None = None
    trust_input: bool = False
    overwrite: bool = False
    warmup_steps: int = field(default=WARMUP_STEPS, kw_only=True)
    clip_norm: float | None = field(default=CLIP_NORM, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bands_per_step < 0:
            raise UsageError(f"bands-per-step must be at least 0, not {self.bands_per_step}")
        if self.bands_per_step and self.architecture.agg == "flat":
            raise UsageError("flat aggregation needs every band in its place; leave out --bands-per-step")
        if self.resume and self.overwrite:
            raise UsageError("--resume continues an earlier run and --overwrite replaces it; give one of them")

    def identity(self) -> dict[str, Any]:
        """Return the options that must stay the same to resume a run."""
        names = ("batch", "lr", "seed", "architecture", "val_fraction", "bands_per_step", "amp", "init", "freeze")
        same = {name: getattr(self, name) for name in names}
        return same | {"architecture": asdict(self.architecture), "init": self.init or "", "freeze": list(self.freeze)}
