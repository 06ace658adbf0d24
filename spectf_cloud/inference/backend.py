"""What every engine offers, and the devices they compute on."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.inference.device_names import plain_name

Float32Array = NDArray[np.float32]

#: What a scene's lines reach a backend as: arrays of reflectance, or tensors on its device (`DeviceBackend`).
Feed = Literal["arrays", "tensors"]


class Backend(Protocol):
    """Something that turns finite reflectance (n, bands) float32 into probability (n,) float32."""

    name: str
    fidelity: str

    def __call__(self, toa: Float32Array) -> Float32Array: ...


class SceneBackend(Backend, Protocol):
    """A backend that scenes are streamed through, and how it is fed."""

    feed: Feed


def resolve_device(device: str | int) -> torch.device:
    """−1 or ``cpu``, a GPU number, ``cuda[:n]``, ``mps`` or ``auto`` as a torch device that exists."""
    name = plain_name(device)
    if name == "auto":
        name = "0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise MissingExtraError("no Apple GPU (mps) here; use --device cpu or --device auto")
        return torch.device("mps")
    if int(name) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise MissingExtraError(f"GPU {name} is not there (PyTorch sees {found}); use --device cpu or --device auto")
    return torch.device("cuda", int(name))
