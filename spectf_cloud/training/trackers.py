"""Where the numbers of each epoch go besides the CSV. A tracker that fails is dropped; the run continues."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.training.config import LoopOptions

logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """Something that keeps numbers by epoch."""

    def log(self, epoch: int, values: Mapping[str, float]) -> None: ...

    def finish(self) -> None: ...


class Trackers:
    """All trackers of a run. None of them can end it: the first failure of one is its last word."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self._trackers = trackers

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Numbers of one epoch, to each."""
        self._each("log", epoch, values)

    def finish(self) -> None:
        """The run is over."""
        self._each("finish")

    def _each(self, method: str, *arguments: object) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:  # a tracker's network, disk or service may raise anything
                logger.warning("%s failed and is left out from here: %s", type(tracker).__name__, error)
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
        """One step per epoch."""
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
        """One scalar per number."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def finish(self) -> None:
        """Flush and close."""
        self._writer.close()


def open_trackers(options: LoopOptions, settings: Mapping[str, Any]) -> Trackers:
    """wandb where a project is named, TensorBoard where it is installed.

    Raises `MissingExtraError` where wandb is asked for and not installed; anything later only warns.
    """
    if options.wandb_project and find_spec("wandb") is None:
        raise MissingExtraError("--wandb-project needs wandb: pip install 'spectf-cloud[train]'")
    trackers: list[Tracker] = []
    try:
        if find_spec("tensorboard") is not None:
            trackers.append(TensorBoardTracker(options))
        if options.wandb_project:
            trackers.append(WandbTracker(options, settings))
    except Exception as error:  # no account, no network, no disk: training matters more
        logger.warning("tracking could not start: %s", error)
    return Trackers(trackers)
