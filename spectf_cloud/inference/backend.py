"""What every engine offers, and the devices they compute on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.files.extras import has_torch
from spectf_cloud.inference.device_names import is_tensorrt, plain_name

if TYPE_CHECKING:
    import torch

Float32Array = NDArray[np.float32]

#: The form in which a backend takes a scene's lines: arrays of reflectance, or tensors on its device (`DeviceBackend`).
Feed = Literal["arrays", "tensors"]


class Backend(Protocol):
    """Something that turns finite reflectance (n, bands) float32 into probability (n,) float32."""

    name: str
    fidelity: str

    def __call__(self, toa: Float32Array) -> Float32Array: ...


class SceneBackend(Backend, Protocol):
    """A backend that scenes are streamed through, in the form `feed`."""

    feed: Feed


def cpu_threads() -> int:
    """Return PyTorch's number of threads; without PyTorch OMP_NUM_THREADS, else the cores this process may use."""
    if has_torch():
        import torch

        return torch.get_num_threads()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(asked) if asked.isdecimal() and int(asked) else cores


def is_cpu(device: str | int) -> bool:
    """Return whether a device means the CPU; imports PyTorch only if needed. Raises as `resolve_device`."""
    if is_tensorrt(device):
        return False
    name = plain_name(device)
    return name == "cpu" or (name == "auto" and not has_torch()) or resolve_device(device).type == "cpu"


def resolve_device(device: str | int) -> torch.device:
    """Return −1 or ``cpu``, a GPU number, ``cuda[:n]``, ``mps`` or ``auto`` as a torch device that exists.

    Raises `UsageError` for another name, `MissingExtraError` without the device or PyTorch.
    """
    name = plain_name(device)
    if not has_torch():
        raise MissingExtraError("a GPU needs PyTorch: pip install torch; or use --device cpu")
    import torch

    if name == "auto":
        name = "0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise MissingExtraError("this machine has no Apple GPU (mps); use --device cpu or --device auto")
        return torch.device("mps")
    if int(name) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise MissingExtraError(f"GPU {name} does not exist (PyTorch sees {found}); use --device cpu or --device auto")
    return torch.device("cuda", int(name))
