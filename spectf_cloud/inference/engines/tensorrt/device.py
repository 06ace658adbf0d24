"""What the engine runner needs of a GPU: memory, copies and marks on one stream.

It uses torch.cuda alone, so that PyTorch and TensorRT share one CUDA context; the tests use a CPU in its place.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from spectf_cloud.errors import MissingExtraError


class CudaDevice:
    """One GPU with its own stream."""

    def __init__(self, number: int) -> None:
        self.torch_device = torch.device("cuda", number)
        properties = torch.cuda.get_device_properties(self.torch_device)
        self.name: str = properties.name
        self.compute_capability = f"{properties.major}.{properties.minor}"
        self._stream = torch.cuda.Stream(self.torch_device)  # type: ignore[no-untyped-call]

    @property
    def stream_handle(self) -> int:
        """Return the cudaStream_t."""
        return int(self._stream.cuda_stream)

    def active(self) -> AbstractContextManager[object]:
        """Make this the current device in a block: TensorRT works on the current device."""
        return torch.cuda.device(self.torch_device)

    def memory(self, shape: tuple[int, ...]) -> Tensor:
        """Allocate float32 memory on the device, for the stream."""
        with torch.cuda.stream(self._stream):
            return torch.empty(shape, dtype=torch.float32, device=self.torch_device)

    def host_memory(self, shape: tuple[int, ...]) -> Tensor:
        """Allocate pinned float32 memory on the host: copies from and to it overlap with work."""
        return torch.empty(shape, dtype=torch.float32, pin_memory=True)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Queue a copy; both tensors must stay unchanged until a later mark has been waited for."""
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)

    def mark(self) -> torch.cuda.Event:
        """Return a mark in the stream; its ``synchronize()`` waits until everything before it is done."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event


def open_device(number: int) -> CudaDevice:
    """Return the GPU of this number. Raises `MissingExtraError` where it does not exist."""
    found = torch.cuda.device_count()
    if number >= found:
        raise MissingExtraError(
            f"TensorRT needs an NVIDIA GPU and number {number} does not exist (PyTorch sees {found}); "
            "spectf-cloud deploy-pt masks without one"
        )
    return CudaDevice(number)
