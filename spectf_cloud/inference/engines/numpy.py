"""The float32 reference on a CPU: the network in PyTorch or in NumPy, as it was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.inference.backend import Feed, SceneBackend, cpu_threads
from spectf_cloud.inference.batches import in_batches
from spectf_cloud.models.numpy_spectf import NumpySpecTf

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]


class NumpyBackend:
    """Cloud probabilities by the network in NumPy, one pixel at a time, so that activations stay in a core's cache."""

    name = "numpy-float32"
    fidelity = "exact"
    feed: Feed = "arrays"

    def __init__(self, network: NumpySpecTf, threads: int | None = None) -> None:
        self.network, self.threads = network, threads or cpu_threads()

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return cloud probability (n,) float32 of finite toa (n, bands) float32."""
        return in_batches(toa, 1, self.threads, self._probability)

    def _probability(self, toa: Float32Array) -> Float32Array:
        logits = self.network.logits(toa)
        with np.errstate(over="ignore"):  # exp overflows where the probability is 0
            probability: Float32Array = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        return probability


def exact_backend(model: SpecTfEncoder | NumpySpecTf, threads: int | None = None, *, few: bool = False) -> SceneBackend:
    """Return the float32 backend on the CPU for a network in PyTorch or NumPy; ``few``: for few pixels at a time."""
    if isinstance(model, NumpySpecTf):
        return NumpyBackend(model, threads)
    import torch

    from spectf_cloud.inference.engines.torch import TorchBackend

    cpu = torch.device("cpu")
    return TorchBackend(model, cpu, threads, batch=1) if few else TorchBackend(model, cpu, threads)
