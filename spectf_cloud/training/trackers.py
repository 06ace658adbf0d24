"""Trackers of each epoch's numbers, besides the CSV. One that fails is dropped; the run continues."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.training.config import LoopOptions

logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """A store of numbers by epoch."""

    def log(self, epoch: int, values: Mapping[str, float]) -> None: ...

    def finish(self) -> None: ...


class Trackers:
    """All trackers of a run. None of them can end it: one that fails is dropped."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self._trackers = trackers

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Send the numbers of one epoch to each."""
        self._each("log", epoch, values)

    def finish(self) -> None:
        """Close each."""
        self._each("finish")

    def _each(self, method: str, *arguments: object) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:  # a tracker's network, disk or service may raise anything
                logger.warning("%s failed and is not used any more: %s", type(tracker).__name__, error)
                self._trackers.remove(tracker)


class WandbTracker:
    """Weights & Biases; WANDB_MODE=offline keeps everything on this machine."""

    def __init__(self, options: LoopOptions, settings: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=options.wandb_project,
            entity=options.wandb_entity or None,
            name=options.wandb_name or None,
            dir=str(options.outdir),
            config=dict(settings),
        )

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log one step per epoch."""
        self._run.log(dict(values), step=epoch)

    def finish(self) -> None:
        """Flush and close."""
        self._run.finish()


class TensorBoardTracker:
    """Event files in ``outdir/tensorboard``."""

    def __init__(self, options: LoopOptions) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(options.outdir / "tensorboard"))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write one scalar per number."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def finish(self) -> None:
        """Flush and close."""
        self._writer.close()


def open_trackers(options: LoopOptions, settings: Mapping[str, Any]) -> Trackers:
    """Open wandb if a project is named, and TensorBoard if it is installed.

    Raises `MissingExtraError` if wandb is asked for and not installed; later failures only warn.
    """
    if options.wandb_project and find_spec("wandb") is None:
        raise MissingExtraError("--wandb-project needs wandb: pip install 'spectf-cloud[train]'")
    trackers: list[Tracker] = []
    try:
        if find_spec("tensorboard") is not None:
            trackers.append(TensorBoardTracker(options))
        if options.wandb_project:
            trackers.append(WandbTracker(options, settings))
    except Exception as error:  # no account, network or disk: training matters more
        logger.warning("tracking could not start: %s", error)
    return Trackers(trackers)
