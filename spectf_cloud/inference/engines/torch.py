"""The float32 PyTorch backend: the reference network in cache-sized batches, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.inference.backend import Feed
from spectf_cloud.inference.batches import in_batches
from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]

# 16 pixels of 268 tokens keep their activations in a core's cache; measured best of 4 to 128.
_CPU_BATCH = 16
_DEVICE_BATCH = 4096


class TorchBackend:
    """Cloud probabilities by the reference network itself.

    On a CPU, every batch has the same shape and runs on one thread, several batches in parallel: then neither the
    number of threads nor the other pixels of the batch change a bit of a pixel's result.
    """

    name = "torch-float32"
    fidelity = "exact"
    feed: Feed = "arrays"

    def __init__(
        self, model: SpecTfEncoder, device: torch.device, threads: int | None = None, batch: int = _CPU_BATCH
    ) -> None:
        self.model = model.to(device)
        self.device = device
        self.threads = threads or torch.get_num_threads()
        self.batch = batch

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return cloud probability (n,) float32 of finite toa (n, bands) float32."""
        if self.device.type != "cpu":
            parts = [self._probability(toa[i : i + _DEVICE_BATCH]) for i in range(0, len(toa), _DEVICE_BATCH)]
            return np.concatenate(parts) if parts else np.empty(0, np.float32)
        with _one_thread_each():
            return in_batches(toa, self.batch, self.threads, self._probability, lambda: torch.set_num_threads(1))

    @torch.inference_mode()
    def _probability(self, toa: Float32Array) -> Float32Array:
        pixels = torch.from_numpy(np.ascontiguousarray(toa)).to(self.device)
        probability: Float32Array = torch.softmax(self.model(pixels.unsqueeze(-1)), dim=-1)[:, 1].cpu().numpy()
        return probability


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Run PyTorch operations on the calling thread; restore the setting at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
