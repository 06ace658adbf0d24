"""`train`: from labelled spectra to weights with a card."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from spectf_cloud.data.spectra import Spectra, open_spectra
from spectf_cloud.data.spectra_irradiance import irradiance_of_run
from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import make_folder
from spectf_cloud.inference.backend import resolve_device
from spectf_cloud.readers.irradiance import card_entry
from spectf_cloud.training.checkpoint import CHECKPOINT, Best, Checkpoint
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.distributed import World, device_of_this_process, world
from spectf_cloud.training.results import save_weights
from spectf_cloud.training.scenes import split_scenes
from spectf_cloud.training.trainer import OnEpoch, Progress, Trainer, score
from spectf_cloud.weights import PUBLISHED_THRESHOLD, find_weights


@dataclass(frozen=True)
class TrainReport:
    """What a run produced."""

    weights: Path
    epoch: int
    threshold: float
    test: dict[str, float]
    spectra: int
    seconds: float


def train(config: TrainConfig, *, progress: Progress | None = None, on_epoch: OnEpoch | None = None) -> TrainReport:
    """Train SpecTf and write weights, card, metrics and curves to ``config.outdir``.

    Started by torchrun, each process takes its share of every batch; the first one writes. ``progress`` is
    called with (done, total) spectra, ``on_epoch`` with the numbers of each epoch.

    Raises
    ------
    InputError
        Unusable data, scenes on two sides, weights that do not fit.
    OutputError
        An output folder that holds a run already, or cannot be written.
    MissingExtraError
        schedulefree, wandb or a device that is not there.
    """
    start = time.monotonic()
    device = resolve_device(device_of_this_process(config.device))
    with world(device.type == "cuda") as here:
        if here.leads:
            _prepare_outdir(config)
        here.wait()
        spectra = _open_in_turn(config, here)
        scenes = split_scenes(config, spectra)
        irradiance = _irradiance(config, spectra)
        here.wait()  # until all have looked for an earlier checkpoint
        trainer = Trainer(config, spectra, scenes, device, here, irradiance)
        checkpoint = trainer.run(progress, on_epoch)
        test_rows = spectra.rows_of(scenes.test)
        best = checkpoint.best or Best(checkpoint.epoch, float("nan"), PUBLISHED_THRESHOLD, checkpoint.weights)
        trainer.model.load_state_dict(best.weights)
        probability = trainer.probabilities(test_rows)
        test = score(spectra.cloud[test_rows], probability, best.threshold)
        path = config.outdir / "weights.pt"
        if here.leads:
            save_weights(path, config, spectra, scenes, best, test, irradiance)
        here.wait()
        return TrainReport(path, best.epoch, best.threshold, test, len(spectra), time.monotonic() - start)


def _prepare_outdir(config: TrainConfig) -> None:
    make_folder(config.outdir)
    earlier = [name for name in (CHECKPOINT, "weights.pt") if (config.outdir / name).exists()]
    if not earlier or config.resume:
        return
    if not config.overwrite:
        raise OutputError(
            f"{config.outdir / earlier[0]} is of an earlier run; add --resume to go on, --overwrite, or choose "
            "another --outdir"
        )
    for name in earlier:
        (config.outdir / name).unlink()


def _irradiance(config: TrainConfig, spectra: Spectra) -> dict[str, str]:
    """What the card will say of the irradiance: as options, data or an earlier part of the run say."""
    path = config.outdir / CHECKPOINT
    if config.resume and config.irradiance is None and path.is_file():
        kept = Checkpoint.read(path).irradiance
        if "sha256" in kept:
            return kept
    start = find_weights(config.init) if config.init is not None else None
    return card_entry(irradiance_of_run(config.irradiance, spectra.files, start), config.irradiance, config.outdir)


def _open_in_turn(config: TrainConfig, here: World) -> Spectra:
    """The first process writes the cache, the others then find it."""
    if here.leads:
        spectra = open_spectra(config.datasets, trust=config.trust_input)
    here.wait()
    return spectra if here.leads else open_spectra(config.datasets, trust=config.trust_input)
