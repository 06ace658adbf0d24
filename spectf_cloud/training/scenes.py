"""The scenes of a run: which train, which validate, which test."""

from __future__ import annotations

from dataclasses import dataclass

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.data.spectra_check import doubts_of_labels, settle
from spectf_cloud.data.split import check_leakage, draw_scenes, read_fids
from spectf_cloud.training.config import TrainConfig


@dataclass(frozen=True)
class Scenes:
    """Names of the scenes on each side."""

    train: list[str]
    validation: list[str]
    test: list[str]


def split_scenes(config: TrainConfig, spectra: Spectra) -> Scenes:
    """Training, validation and test scenes, none in two of them. Raises `InputError`."""
    trained = read_fids(config.train_csv, spectra.fids)
    test = read_fids(config.test_csv, spectra.fids)
    check_leakage(trained, test, f"{config.train_csv} and {config.test_csv}", config.min_gap_s)
    rest, validation = draw_scenes(trained, config.val_fraction, config.seed)
    _check_labels(config, spectra, {"training": rest, "validation": validation, "test": test})
    return Scenes(rest, validation, test)


def _check_labels(config: TrainConfig, spectra: Spectra, sides: dict[str, list[str]]) -> None:
    """Refuse to train on one kind of label, warn of sides that cannot be scored for want of the other."""
    for side, fids in sides.items():
        labels, listed = spectra.labels[spectra.rows_of(fids)], config.test_csv if side == "test" else config.train_csv
        settle(doubts_of_labels(f"{listed}: the {side} scenes", labels, side == "training"), trust=config.trust_input)
