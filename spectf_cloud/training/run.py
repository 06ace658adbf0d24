"""`train`: from labelled spectra to weights with a card."""

from __future__ import annotations

import time
from dataclasses import replace

from spectf_cloud.data.spectra import Spectra, open_spectra
from spectf_cloud.data.spectra_irradiance import irradiance_of_run
from spectf_cloud.data.split import split_scenes
from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import make_folder
from spectf_cloud.inference.backend import resolve_device
from spectf_cloud.readers.irradiance import card_entry
from spectf_cloud.training.checkpoint import CHECKPOINT, Checkpoint
from spectf_cloud.training.config import CLIP_NORM, WARMUP_STEPS, TrainConfig
from spectf_cloud.training.distributed import World, device_of_this_process, world
from spectf_cloud.training.spectf import SpecTfTask, TrainReport
from spectf_cloud.training.trainer import LoopOptions, OnEpoch, Progress, Trainer
from spectf_cloud.weights import find_weights


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
        scenes = split_scenes(
            *(spectra, config.train_csv, config.test_csv),
            val_fraction=config.val_fraction,
            seed=config.seed,
            min_gap_s=config.min_gap_s,
            trust=config.trust_input,
        )
        irradiance = _irradiance(config, spectra)
        here.wait()  # until all have looked for an earlier checkpoint
        task = SpecTfTask(config, spectra, scenes, device, here, irradiance)
        options = LoopOptions.of(config, warmup_steps=WARMUP_STEPS, clip_norm=CLIP_NORM)
        report = Trainer(task, options, device, here).run(progress, on_epoch)
        return replace(report, seconds=time.monotonic() - start)


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
    """Return what the card says of the irradiance: from the options, the data or an earlier part of the run."""
    path = config.outdir / CHECKPOINT
    if config.resume and config.irradiance is None and path.is_file():
        kept: dict[str, str] = Checkpoint.read(path).notes.get("irradiance", {})
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
