"""One training run on several processes started by ``torchrun``; with one process, all of this does nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from spectf_cloud.errors import UsageError


@dataclass(frozen=True)
class World:
    """The number of this process, and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients over all processes in one exchange, as the network is small."""
        if self.size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained])
        dist.all_reduce(flat)
        for parameter, part in zip(trained, torch.split(flat, [p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter)

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def gather(self, mine: NDArray[np.float32], total: int) -> NDArray[np.float32]:
        """Put together what each process computed for its rows ``rank::size`` of ``total``."""
        if self.size == 1:
            return mine
        longest = -(-total // self.size)
        padded = torch.zeros(longest)
        padded[: len(mine)] = torch.from_numpy(mine)
        parts = [torch.empty(longest) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        result: NDArray[np.float32] = torch.stack(parts, 1).reshape(-1)[: longest * self.size].numpy()
        keep = np.arange(longest * self.size) < total
        return result[keep]


#: A single process.
ALONE = World()


@contextmanager
def world(on_cuda: bool) -> Iterator[World]:
    """Join the processes that torchrun started (RANK, WORLD_SIZE), or yield this one alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    if "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        raise UsageError("WORLD_SIZE is set but not RANK and MASTER_ADDR; start with torchrun, or unset WORLD_SIZE")
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo")
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def rank_of_this_process() -> int:
    """Return the number that torchrun gave this process; 0 without torchrun."""
    return int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0


def device_of_this_process(device: str) -> str:
    """Return the device to use: under torchrun this process's own GPU, unless the CPU was asked for."""
    local = os.environ.get("LOCAL_RANK")
    if local is None or int(os.environ.get("WORLD_SIZE", "1")) == 1 or device in ("-1", "cpu"):
        return device
    return f"cuda:{local}"
