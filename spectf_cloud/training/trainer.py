"""The training loop. A `Task` says what is learnt, and from what."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.training.checkpoint import CHECKPOINT, Best, Checkpoint
from spectf_cloud.training.config import LoopOptions
from spectf_cloud.training.distributed import ALONE, World
from spectf_cloud.training.results import save_curves, save_metrics_csv, save_state
from spectf_cloud.training.trackers import Trackers, open_trackers

_AHEAD = 4

Progress = Callable[[int, int], None]
OnEpoch = Callable[[dict[str, float]], None]
Report = TypeVar("Report")
Report_co = TypeVar("Report_co", covariant=True)


class Task(Protocol[Report_co]):
    """What a network learns, from which items, and what a run writes.

    Attributes
    ----------
    unit
        Name of the items in the plural: ``spectra``.
    rows
        (n,) int64 numbers of the items to train on.
    micro_batch
        Items whose activations are in memory at once; a batch sums the gradients of its parts.
    chooses, larger_is_better
        The metric that chooses the best epoch, and its direction.
    identity, notes
        What must stay the same to resume a run, and what else its checkpoint keeps.
    """

    unit: str
    rows: NDArray[np.int64]
    micro_batch: int
    chooses: str
    larger_is_better: bool
    identity: dict[str, Any]
    notes: dict[str, Any]

    def network(self) -> nn.Module:
        """Build the network with its initial weights, after the run has set its seed."""

    def seed(self, epoch: int, rank: int) -> int:
        """Return the seed of an epoch's random draws (dropout, augmentation) in one process."""

    def read(self, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Read these items: tensors on the CPU whose first axis counts them. Called in a thread."""

    def loss(self, model: Any, *batch: Tensor) -> Tensor:
        """Return the loss of a batch from `read`, on the device, summed over its items."""

    def metrics(self, model: Any) -> dict[str, float]:
        """Return the scores of the validation items, if any. The model is in evaluation mode."""

    def finish(self, model: Any, best: Best) -> Report_co:
        """Write the outputs. The model has the weights of the best epoch, without validation the last."""


class Trainer(Generic[Report]):
    """A task's network and its optimiser, epoch by epoch."""

    def __init__(self, task: Task[Report], options: LoopOptions, device: torch.device, here: World = ALONE) -> None:
        self.task, self.options, self.device, self.world = task, options, device, here
        torch.manual_seed(options.seed)
        self.model = task.network().to(device)
        self.optimiser = _optimiser(options, self.model)

    def run(self, progress: Progress | None = None, on_epoch: OnEpoch | None = None) -> Report:
        """Train all epochs, from a checkpoint if resumed; finish with the best one."""
        state = self._start()
        trackers = open_trackers(self.options, state.identity) if self.world.leads else Trackers([])
        while state.epoch < self.options.epochs and not self._is_over(state):
            row = self._advance(state, progress)
            if self.world.leads and self.options.keep_state:
                self._write(state)
            trackers.log(state.epoch, row)
            if on_epoch:
                on_epoch(row)
        trackers.finish()
        best = state.best or Best(state.epoch, {}, state.weights)
        self.model.load_state_dict(best.weights)
        self.model.eval()
        return self.task.finish(self.model, best)

    def set_mode(self, training: bool) -> None:
        """Switch network and optimiser to training or evaluation: schedule-free weights differ between the two."""
        self.model.train(training)
        getattr(self.optimiser, "train" if training else "eval", lambda: None)()

    def step(self, batch: tuple[Tensor, ...], whole: int) -> float:
        """Take one step on this process's share of a batch of ``whole`` items; return the sum of its losses."""
        self.optimiser.zero_grad()
        loss_sum, size = 0.0, self.task.micro_batch
        for start in range(0, len(batch[0]), size):
            part = [values[start : start + size].to(self.device, non_blocking=True) for values in batch]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.amp):
                loss = self.task.loss(self.model, *part)
            (loss / whole).backward()  # type: ignore[no-untyped-call]
            loss_sum += float(loss.detach())
        self.world.sum_gradients(self.model.parameters())
        if self.options.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimiser.step()
        return loss_sum

    def _advance(self, state: Checkpoint, progress: Progress | None) -> dict[str, float]:
        """Train and validate one epoch; return its numbers."""
        began = time.monotonic()
        loss = self._epoch(state.epoch, progress)
        row = {"epoch": float(state.epoch + 1), "train_loss": loss, "lr": self.options.lr}
        row[f"{self.task.unit}_per_s"] = len(self.task.rows) / (time.monotonic() - began)
        self.set_mode(training=False)
        scores = {name: float(value) for name, value in self.task.metrics(self.model).items()}
        state.epoch += 1
        state.weights, state.optimiser = _on_cpu(self.model), self.optimiser.state_dict()
        state.history.append(row | scores)
        if scores and self._is_better(scores, state.best):
            state.best = Best(state.epoch, scores, state.weights)
        return row | scores

    def _epoch(self, number: int, progress: Progress | None) -> float:
        """Train once on every item; return the mean loss."""
        torch.manual_seed(self.task.seed(number, self.world.rank))
        self.set_mode(training=True)
        order = epoch_order(self.task.rows, self.options.seed, number)
        loss_sum = torch.zeros((), dtype=torch.float64)
        done, total = number * len(order), self.options.epochs * len(order)
        for batch, whole in batches(self.task.read, order, self.options.batch, self.world):
            loss_sum += self.step(batch, whole)
            done += whole
            if progress:
                progress(done, total)
        return float(self.world.sum(loss_sum)) / len(order)

    def _is_better(self, scores: dict[str, float], best: Best | None) -> bool:
        if best is None:
            return True
        now, before = (found[self.task.chooses] for found in (scores, best.scores))
        sign = 1 if self.task.larger_is_better else -1
        return not math.isnan(now) and not sign * now <= sign * before  # anything is better than NaN

    def _is_over(self, state: Checkpoint) -> bool:
        patience = self.options.early_stop
        return bool(patience and state.best and state.epoch - state.best.epoch >= patience)

    def _start(self) -> Checkpoint:
        path = self.options.outdir / CHECKPOINT
        if not (self.options.resume and path.is_file()):
            return Checkpoint(self.task.identity, 0, _on_cpu(self.model), {}, notes=self.task.notes)
        state = Checkpoint.load(path, self.task.identity)
        self.model.load_state_dict(state.weights)
        self.optimiser.load_state_dict(state.optimiser)
        state.notes = self.task.notes
        return state

    def _write(self, state: Checkpoint) -> None:
        outdir = self.options.outdir
        state.save(outdir / CHECKPOINT)
        save_metrics_csv(outdir / "metrics.csv", state.history)
        save_curves(outdir / "curves.png", state.history)
        if self.options.save_every_epoch:
            save_state(outdir / f"weights_epoch_{state.epoch:03d}.pt", state.weights)


def epoch_order(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows in the order of one epoch; only seed and epoch decide it, so a run can be resumed.

    >>> sorted(epoch_order(np.arange(4), seed=1, epoch=0).tolist())
    [0, 1, 2, 3]
    """
    return rows[np.random.default_rng([seed, epoch]).permutation(len(rows))]


def batches(
    read: Callable[[NDArray[np.int64]], tuple[Tensor, ...]], order: NDArray[np.int64], batch: int, world: World
) -> Iterator[tuple[tuple[Tensor, ...], int]]:
    """Yield the result of ``read`` for this process's share of each batch, and the size of the whole batch.

    One thread reads the next few batches meanwhile.
    """

    def share(start: int) -> tuple[tuple[Tensor, ...], int]:
        whole = order[start : start + batch]
        return read(whole[world.rank :: world.size]), len(whole)

    waiting: deque[Future[tuple[tuple[Tensor, ...], int]]] = deque()
    with ThreadPoolExecutor(1, "batches") as reader:
        for start in range(0, len(order), batch):
            waiting.append(reader.submit(share, start))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _optimiser(options: LoopOptions, model: nn.Module) -> Any:
    """Return the optimiser of the parameters that are not frozen. Raises `MissingExtraError`."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if options.optimiser == "adamw":
        return torch.optim.AdamW(trained, lr=options.lr)
    try:
        from schedulefree import AdamWScheduleFree
    except ImportError:
        raise MissingExtraError("training needs schedulefree: pip install 'spectf-cloud[train]'") from None
    return AdamWScheduleFree(trained, lr=options.lr, warmup_steps=options.warmup_steps)


def _on_cpu(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
