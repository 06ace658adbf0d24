"""Batches sliced from the memory map, read ahead while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.training.distributed import World

_AHEAD = 4


def epoch_order(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The rows in the order of one epoch: it depends on the seed and the epoch alone, so a run can be resumed."""
    return rows[np.random.default_rng([seed, epoch]).permutation(len(rows))]


def batches(
    spectra: Spectra, order: NDArray[np.int64], batch: int, world: World
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """This process's share of each batch: toa (k, bands) float32, cloud (k,) int64, size of the whole batch.

    One thread reads the next few batches from the memory map meanwhile.
    """
    cloud = spectra.cloud

    def read(start: int) -> tuple[Tensor, Tensor, int]:
        whole = order[start : start + batch]
        mine = whole[world.rank :: world.size]
        return torch.from_numpy(spectra.take(mine)), torch.from_numpy(cloud[mine].astype(np.int64)), len(whole)

    waiting: deque[Future[tuple[Tensor, Tensor, int]]] = deque()
    with ThreadPoolExecutor(1, "batches") as reader:
        for start in range(0, len(order), batch):
            waiting.append(reader.submit(read, start))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def draw_bands(toa: Tensor, wavelength: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each spectrum ``count`` of its bands at random: values and wavelengths, each (b, count)."""
    if count == 0 or count >= toa.shape[1]:
        return toa, wavelength
    chosen = torch.rand(toa.shape, device=toa.device).topk(count, dim=1).indices
    return toa.gather(1, chosen), wavelength[chosen]
