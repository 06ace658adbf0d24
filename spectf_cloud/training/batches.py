"""Batches of a task's items, read ahead while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectf_cloud.training.distributed import World

_AHEAD = 4


def epoch_order(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows in the order of one epoch: seed and epoch alone decide it, so a run can be resumed."""
    return rows[np.random.default_rng([seed, epoch]).permutation(len(rows))]


def batches(
    read: Callable[[NDArray[np.int64]], tuple[Tensor, ...]], order: NDArray[np.int64], batch: int, world: World
) -> Iterator[tuple[tuple[Tensor, ...], int]]:
    """Yield what ``read`` gives for this process's share of each batch, and the size of the whole batch.

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
