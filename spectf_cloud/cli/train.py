"""``spectf-cloud train``: from labelled spectra to weights with a card."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.data_options import TrustInput
from spectf_cloud.cli.inputs import check_training_inputs
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose

_ENV = "SPECTF_TRAIN_"
_DATA, _NETWORK, _TRACKING, _SPEED = "Data", "Network", "Tracking", "Speed"


class AggChoice(StrEnum):
    """Poolings as the command line offers them."""

    mean = "mean"
    max = "max"
    flat = "flat"


def train(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_ENV}DATASET")],
    train_csv: Annotated[
        Path, typer.Option(help="Scenes to train on, one FID a line.", envvar=f"{_ENV}TRAIN_CSV", rich_help_panel=_DATA)
    ],
    test_csv: Annotated[
        Path, typer.Option(help="Scenes to test on, once.", envvar=f"{_ENV}TEST_CSV", rich_help_panel=_DATA)
    ],
    outdir: Annotated[Path, typer.Option(help="Folder for all outputs.", envvar=f"{_ENV}OUTDIR")] = Path("outdir"),
    wandb_entity: Annotated[
        str, typer.Option(help="W&B entity.", envvar=f"{_ENV}WANDB_ENTITY", rich_help_panel=_TRACKING)
    ] = "",
    wandb_project: Annotated[
        str, typer.Option(help="W&B project; none: no W&B.", envvar=f"{_ENV}WANDB_PROJECT", rich_help_panel=_TRACKING)
    ] = "",
    wandb_name: Annotated[
        str, typer.Option(help="W&B name of the run.", envvar=f"{_ENV}WANDB_NAME", rich_help_panel=_TRACKING)
    ] = "",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs.", envvar=f"{_ENV}EPOCHS")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Spectra per step.", envvar=f"{_ENV}BATCH")] = 256,
    lr: Annotated[float, typer.Option(help="Learning rate.", envvar=f"{_ENV}LR")] = 1e-4,
    gpu: Annotated[int, typer.Option(help="GPU number; -1 is the CPU.", envvar=f"{_ENV}GPU")] = -1,
    arch_ff: Annotated[
        int, typer.Option(min=1, help="Feed-forward width.", envvar=f"{_ENV}ARCH_FF", rich_help_panel=_NETWORK)
    ] = 64,
    arch_heads: Annotated[
        int, typer.Option(min=1, help="Attention heads.", envvar=f"{_ENV}ARCH_HEADS", rich_help_panel=_NETWORK)
    ] = 8,
    arch_dropout: Annotated[
        float, typer.Option(min=0.0, help="Dropout.", envvar=f"{_ENV}ARCH_DROPOUT", rich_help_panel=_NETWORK)
    ] = 0.1,
    arch_agg: Annotated[
        AggChoice, typer.Option(help="Pooling over bands.", envvar=f"{_ENV}ARCH_AGG", rich_help_panel=_NETWORK)
    ] = AggChoice.max,
    arch_proj_dim: Annotated[
        int, typer.Option(min=1, help="Token width.", envvar=f"{_ENV}ARCH_PROJ_DIM", rich_help_panel=_NETWORK)
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same run.", envvar=f"{_ENV}SEED")] = 42,
    save_every_epoch: Annotated[
        bool, typer.Option("--save-every-epoch", help="Keep each epoch's weights.", envvar=f"{_ENV}SAVE_EVERY_EPOCH")
    ] = False,
    val_fraction: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.9,
            help="Training scenes kept to choose epoch and threshold.",
            envvar=f"{_ENV}VAL_FRACTION",
            rich_help_panel=_DATA,
        ),
    ] = 0.1,
    min_gap: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="Refuse train and test scenes closer in time along an orbit.",
            envvar=f"{_ENV}MIN_GAP",
            rich_help_panel=_DATA,
        ),
    ] = 0.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --outdir.")] = False,
    early_stop: Annotated[
        int, typer.Option(min=0, metavar="EPOCHS", help="Stop after so many without gain.", envvar=f"{_ENV}EARLY_STOP")
    ] = 0,
    init: Annotated[
        str | None, typer.Option(help="Weights to start from.", envvar=f"{_ENV}INIT", rich_help_panel=_NETWORK)
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Part to leave as it is: spectral_embed, layers, head.", rich_help_panel=_NETWORK),
    ] = None,
    irradiance: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|builtin|official",
            help="Solar irradiance the data were made with; default: as they say.",
            envvar=f"{_ENV}IRRADIANCE",
            rich_help_panel=_DATA,
        ),
    ] = None,
    trust_input: TrustInput = False,
    bands_per_step: Annotated[
        int,
        typer.Option(
            min=0,
            help="Random bands each spectrum shows per step; 0: all.",
            envvar=f"{_ENV}BANDS_PER_STEP",
            rich_help_panel=_SPEED,
        ),
    ] = 0,
    amp: Annotated[
        bool, typer.Option("--amp", help="bfloat16 autocast.", envvar=f"{_ENV}AMP", rich_help_panel=_SPEED)
    ] = False,
    compile: Annotated[
        bool, typer.Option("--compile", help="torch.compile.", envvar=f"{_ENV}COMPILE", rich_help_panel=_SPEED)
    ] = False,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Train SpecTf on labelled spectra.

    Writes weights.pt with its card weights.yml, metrics.csv, curves.png and checkpoint.pt. Distributed:
    torchrun --nproc-per-node N -m spectf_cloud train …
    """
    check_training_inputs(dataset, irradiance, train_csv, test_csv)

    from spectf_cloud.architecture import Architecture
    from spectf_cloud.training.config import TrainConfig

    job = TrainConfig(
        datasets=tuple(dataset),
        train_csv=train_csv,
        test_csv=test_csv,
        outdir=outdir,
        epochs=epochs,
        batch=batch,
        lr=lr,
        seed=seed,
        device=str(gpu),
        architecture=Architecture(
            num_heads=arch_heads, dim_proj=arch_proj_dim, dim_ff=arch_ff, dropout=arch_dropout, agg=arch_agg.value
        ),
        val_fraction=val_fraction,
        min_gap_s=min_gap,
        early_stop=early_stop,
        bands_per_step=bands_per_step,
        amp=amp,
        compile=compile,
        init=init,
        freeze=tuple(freeze or ()),
        irradiance=irradiance,
        trust_input=trust_input,
        save_every_epoch=save_every_epoch,
        resume=resume,
        overwrite=overwrite,
        wandb_project=wandb_project,
        wandb_entity=wandb_entity,
        wandb_name=wandb_name,
    )

    # Only now, as they import PyTorch.
    from spectf_cloud.training.distributed import rank_of_this_process
    from spectf_cloud.training.run import train as train_core

    follows = rank_of_this_process() > 0
    reporter = Reporter(json and not follows, quiet or follows, verbose)
    with reporter.progress("training", "spectra") as progress:
        report = train_core(job, progress=progress, on_epoch=lambda row: _say_epoch(reporter, row))
    test = report.test
    reporter.done(
        asdict(report),
        f"{report.weights}: epoch {report.epoch}, threshold {report.threshold:.3f}; test accuracy "
        f"{test['accuracy']:.4f}, F1 {test['f1']:.4f}, AUC {test['auc']:.4f}",
    )


def _say_epoch(reporter: Reporter, row: dict[str, float]) -> None:
    if reporter.json:
        reporter.event("epoch", **row)
    elif not reporter.quiet:
        words = f"epoch {row['epoch']:.0f}: loss {row['train_loss']:.4f}"
        if "val_loss" in row:
            words += f", validation {row['val_loss']:.4f}, AUC {row['val_auc']:.4f}, F1 {row['val_f1']:.4f}"
        print(words)
