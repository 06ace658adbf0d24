"""``spectf-cloud train``: from labelled spectra to weights with a card."""

from __future__ import annotations

from dataclasses import asdict, replace

from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.fields import Shown, Table, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.cli.spectra_options import DATASET, TrustInput, check_training_inputs
from spectf_cloud.training.config import TrainConfig

_DATA, _NETWORK, _TRACKING, _SPEED = "Data", "Network", "Tracking", "Speed"

#: Of `TrainConfig` and its architecture.
TRAINING: Table = {
    "datasets": replace(DATASET, name="dataset"),
    "train_csv": Shown("Scenes to train on, one FID per line.", _DATA),
    "test_csv": Shown("Scenes to test on, once.", _DATA),
    "outdir": Shown("Folder for all outputs."),
    "wandb_entity": Shown("W&B entity.", _TRACKING),
    "wandb_project": Shown("W&B project; without one, W&B is not used.", _TRACKING),
    "wandb_name": Shown("W&B name of the run.", _TRACKING),
    "epochs": Shown("Epochs.", min=1),
    "batch": Shown("Spectra per step.", min=1),
    "lr": Shown("Learning rate."),
    "device": Shown("GPU number; -1 is the CPU.", name="gpu", type=int, default=-1, make=str),
    "dim_ff": Shown("Feed-forward width.", _NETWORK, name="arch_ff", min=1),
    "num_heads": Shown("Attention heads.", _NETWORK, name="arch_heads", min=1),
    "dropout": Shown("Dropout.", _NETWORK, name="arch_dropout", min=0.0),
    "agg": Shown("Pooling over bands.", _NETWORK, name="arch_agg"),
    "dim_proj": Shown("Token width.", _NETWORK, name="arch_proj_dim", min=1),
    "seed": Shown("Same seed, same run.", min=0),
    "save_every_epoch": Shown("Keep each epoch's weights."),
    "val_fraction": Shown("Share of the training scenes kept to choose epoch and threshold.", _DATA, min=0.0, max=0.9),
    "min_gap_s": Shown(
        "Refuse train and test scenes closer in time along an orbit.",
        _DATA,
        name="min_gap",
        metavar="SECONDS",
        min=0.0,
    ),
    "resume": Shown("Continue from the checkpoint in --outdir.", env=False),
    "early_stop": Shown("Stop after this many epochs without improvement.", metavar="EPOCHS", min=0),
    "init": Shown("Weights to start from.", _NETWORK),
    "freeze": Shown("Part to leave unchanged: spectral_embed, layers, head.", _NETWORK, env=False),
    "irradiance": Shown(
        "Solar irradiance the data were made with; default: as the data say.", _DATA, metavar="published|astm-g173|FILE"
    ),
    "trust_input": TrustInput,
    "bands_per_step": Shown("Random bands that each spectrum shows per step; 0: all.", _SPEED, min=0),
    "amp": Shown("bfloat16 autocast.", _SPEED),
    "compile": Shown("torch.compile.", _SPEED),
    "overwrite": Overwrite,
}


@takes(TRAINING, "SPECTF_TRAIN_")
def train(job: TrainConfig, *, config: ConfigFile = None, reporter: Reporter) -> None:
    """Train SpecTf on labelled spectra.

    Writes weights.pt with its card weights.yml, metrics.csv, curves.png and checkpoint.pt. Distributed:
    torchrun --nproc-per-node N -m spectf_cloud train …
    """
    check_training_inputs(job.datasets, job.irradiance, job.train_csv, job.test_csv)

    # Late imports: PyTorch takes seconds.
    from spectf_cloud.training.distributed import rank_of_this_process
    from spectf_cloud.training.run import train as train_core

    follows = rank_of_this_process() > 0
    reporter = replace(reporter, json=reporter.json and not follows, quiet=reporter.quiet or follows)
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
