"""What the engine runner needs of a GPU: memory, copies and marks on one stream.

All of it is here, and all of it is torch.cuda, so that PyTorch and TensorRT share one CUDA context; the tests put a
CPU in this place.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from spectf_cloud.errors import MissingExtraError


class CudaDevice:
    """One GPU with a stream of its own."""

    def __init__(self, number: int) -> None:
        self.torch_device = torch.device("cuda", number)
        properties = torch.cuda.get_device_properties(self.torch_device)
        self.name: str = properties.name
        self.compute_capability = f"{properties.major}.{properties.minor}"
        self._stream = torch.cuda.Stream(self.torch_device)  # type: ignore[no-untyped-call]

    @property
    def stream_handle(self) -> int:
        """The cudaStream_t."""
        return int(self._stream.cuda_stream)

    def active(self) -> AbstractContextManager[object]:
        """TensorRT works on the current device."""
        return torch.cuda.device(self.torch_device)

    def memory(self, shape: tuple[int, ...]) -> Tensor:
        """float32 memory on the device, belonging to the stream."""
        with torch.cuda.stream(self._stream):
            return torch.empty(shape, dtype=torch.float32, device=self.torch_device)

    def host_memory(self, shape: tuple[int, ...]) -> Tensor:
        """Pinned float32 memory of the host: copies from and to it overlap with work."""
        return torch.empty(shape, dtype=torch.float32, pin_memory=True)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Queue a copy; both must live, unchanged, until a later mark has been waited for."""
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)

    def mark(self) -> torch.cuda.Event:
        """A point in the stream; ``synchronize()`` waits until everything before it is done."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event


def open_device(number: int) -> CudaDevice:
    """The GPU of that number. Raises `MissingExtraError` where it is not there."""
    found = torch.cuda.device_count()
    if number >= found:
        raise MissingExtraError(
            f"TensorRT needs an NVIDIA GPU and number {number} is not there (PyTorch sees {found}); "
            "spectf-cloud deploy-pt masks without one"
        )
    return CudaDevice(number)
