"""``spectf-cloud train-comparison``: the ResNet and the boosted trees that SpecTf is compared with."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectf_cloud.cli.data_options import Irradiance, TrustInput
from spectf_cloud.cli.inputs import check_training_inputs
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose

if TYPE_CHECKING:
    from spectf_cloud.training.comparison import ComparisonConfig

app = typer.Typer(no_args_is_help=True, help="Train models to compare SpecTf with.")

_RESNET, _XGBOOST = "RESNET_TRAIN_", "XGBOOST_TRAIN_"
Fraction = Annotated[
    float, typer.Option(min=0.0, max=0.9, help="Training scenes kept to choose the threshold (and epoch).")
]


@app.command()
def resnet(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_RESNET}DATASET")],
    train_csv: Annotated[Path, typer.Option(help="Scenes to train on.", envvar=f"{_RESNET}TRAIN_CSV")],
    test_csv: Annotated[Path, typer.Option(help="Scenes to test on, once.", envvar=f"{_RESNET}TEST_CSV")],
    arch_yaml: Annotated[
        Path | None, typer.Option(help="Architecture; default: the built-in one.", envvar=f"{_RESNET}ARCH_YAML")
    ] = None,
    outdir: Annotated[Path, typer.Option(help="Folder for all outputs.", envvar=f"{_RESNET}OUTDIR")] = Path("outdir"),
    wandb_entity: Annotated[str, typer.Option(help="W&B entity.", envvar=f"{_RESNET}WANDB_ENTITY")] = "",
    wandb_project: Annotated[
        str, typer.Option(help="W&B project; none: no W&B.", envvar=f"{_RESNET}WANDB_PROJECT")
    ] = "",
    wandb_name: Annotated[str, typer.Option(help="W&B name of the run.", envvar=f"{_RESNET}WANDB_NAME")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Else as in the YAML.", envvar=f"{_RESNET}EPOCHS")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Else as in the YAML.", envvar=f"{_RESNET}BATCH")] = None,
    lr: Annotated[float | None, typer.Option(help="Else as in the YAML.", envvar=f"{_RESNET}LR")] = None,
    gpu: Annotated[int, typer.Option(help="GPU number; -1 is the CPU.", envvar=f"{_RESNET}GPU")] = -1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same run.", envvar=f"{_RESNET}SEED")] = 42,
    val_fraction: Fraction = 0.1,
    irradiance: Irradiance = None,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Train the ResNet over the spectrum. Writes resnet.pt and its card."""
    reporter = Reporter(json, quiet, verbose)
    check_training_inputs(dataset, irradiance, train_csv, test_csv, arch_yaml)
    from spectf_cloud.training.comparison import ComparisonConfig

    config = ComparisonConfig(
        kind="resnet",
        datasets=tuple(dataset),
        train_csv=train_csv,
        test_csv=test_csv,
        arch_yaml=arch_yaml,
        outdir=outdir,
        epochs=epochs,
        batch=batch,
        lr=lr,
        seed=seed,
        device=str(gpu),
        val_fraction=val_fraction,
        irradiance=irradiance,
        trust_input=trust_input,
        overwrite=overwrite,
        wandb_project=wandb_project,
        wandb_entity=wandb_entity,
        wandb_name=wandb_name,
    )
    _run(config, reporter, "spectra")


@app.command()
def xgboost(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_XGBOOST}DATASET")],
    train_csv: Annotated[Path, typer.Option(help="Scenes to train on.", envvar=f"{_XGBOOST}TRAIN_CSV")],
    test_csv: Annotated[Path, typer.Option(help="Scenes to test on, once.", envvar=f"{_XGBOOST}TEST_CSV")],
    arch_yaml: Annotated[
        Path | None, typer.Option(help="Architecture; default: the built-in one.", envvar=f"{_XGBOOST}ARCH_YAML")
    ] = None,
    outdir: Annotated[Path, typer.Option(help="Folder for all outputs.", envvar=f"{_XGBOOST}OUTDIR")] = Path("outdir"),
    wandb_entity: Annotated[str, typer.Option(help="W&B entity.", envvar=f"{_XGBOOST}WANDB_ENTITY")] = "",
    wandb_project: Annotated[
        str, typer.Option(help="W&B project; none: no W&B.", envvar=f"{_XGBOOST}WANDB_PROJECT")
    ] = "",
    wandb_name: Annotated[str, typer.Option(help="W&B name of the run.", envvar=f"{_XGBOOST}WANDB_NAME")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same run.", envvar=f"{_XGBOOST}SEED")] = 42,
    val_fraction: Fraction = 0.1,
    irradiance: Irradiance = None,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Train the boosted trees. Writes xgboost.json and its card."""
    reporter = Reporter(json, quiet, verbose)
    check_training_inputs(dataset, irradiance, train_csv, test_csv, arch_yaml)
    from spectf_cloud.training.comparison import ComparisonConfig

    config = ComparisonConfig(
        kind="xgboost",
        datasets=tuple(dataset),
        train_csv=train_csv,
        test_csv=test_csv,
        arch_yaml=arch_yaml,
        outdir=outdir,
        seed=seed,
        val_fraction=val_fraction,
        irradiance=irradiance,
        trust_input=trust_input,
        overwrite=overwrite,
        wandb_project=wandb_project,
        wandb_entity=wandb_entity,
        wandb_name=wandb_name,
    )
    _run(config, reporter, "trees")


def _run(config: ComparisonConfig, reporter: Reporter, unit: str) -> None:
    from spectf_cloud.training.comparison import train_comparison

    with reporter.progress("training", unit) as progress:
        report = train_comparison(
            config, progress=progress, on_epoch=lambda row: reporter.event("epoch", **row) if reporter.json else None
        )
    test = report.test
    reporter.done(
        asdict(report),
        f"{report.model}: threshold {report.threshold:.3f}; test accuracy {test['accuracy']:.4f}, F1 {test['f1']:.4f}, "
        f"AUC {test['auc']:.4f}",
    )
