"""``spectf-cloud train-comparison``: train the ResNet and the boosted trees that SpecTf is compared with."""

from __future__ import annotations

from dataclasses import asdict, replace

import typer

from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.cli.spectra_options import TrustInput, check_training_inputs
from spectf_cloud.cli.train import TRAINING
from spectf_cloud.training.comparison_config import ComparisonConfig

app = typer.Typer(no_args_is_help=True, help="Train models to compare SpecTf with.")

_RESNET = {
    **{name: replace(TRAINING[name], panel=None) for name in ("datasets", "train_csv", "test_csv")},
    "arch_yaml": Shown("Architecture; default: the built-in one."),
    **{name: replace(TRAINING[name], panel=None) for name in ("outdir", "wandb_entity", "wandb_project", "wandb_name")},
    **{name: replace(TRAINING[name], help="Default: as in the YAML.") for name in ("epochs", "batch", "lr")},
    "device": TRAINING["device"],
    "seed": TRAINING["seed"],
    "val_fraction": Shown(
        "Share of the training scenes kept to choose the threshold (and epoch).", min=0.0, max=0.9, env=False
    ),
    "irradiance": Shown(
        "Solar irradiance the data were made with, for the card; default: as the data say.",
        metavar="published|astm-g173|FILE",
        env=False,
    ),
    "trust_input": TrustInput,
    "overwrite": Overwrite,
}
_XGBOOST = {name: row for name, row in _RESNET.items() if name not in ("epochs", "batch", "lr", "device")}


@app.command()
@takes(_RESNET, "RESNET_TRAIN_", kind="resnet")
def resnet(config: ComparisonConfig, reporter: Reporter) -> None:
    """Train the ResNet over the spectrum. Writes resnet.pt and its card."""
    _run(config, reporter, "spectra")


@app.command()
@takes(_XGBOOST, "XGBOOST_TRAIN_", kind="xgboost")
def xgboost(config: ComparisonConfig, reporter: Reporter) -> None:
    """Train the boosted trees. Writes xgboost.json and its card."""
    _run(config, reporter, "trees")


def _run(config: ComparisonConfig, reporter: Reporter, unit: str) -> None:
    check_training_inputs(config.datasets, config.irradiance, config.train_csv, config.test_csv, config.arch_yaml)
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
