"""Backends for tensors on a GPU: the CUDA kernel where it passes its check, else the float32 network."""

from __future__ import annotations

import copy
import logging
import os
from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectf_cloud.errors import UsageError
from spectf_cloud.inference.backend import Feed
from spectf_cloud.inference.engines.native.tables import UnsupportedModelError
from spectf_cloud.inference.promise import TIERS, Unavailable, broken_promise
from spectf_cloud.model import SpecTfEncoder

if TYPE_CHECKING:
    from spectf_cloud.inference.engines.cuda.launch import CudaKernel

Float32Array = NDArray[np.float32]

logger = logging.getLogger(__name__)

#: bfloat16 products, which the kernel's attention weights need.
_MIN_CAPABILITY = (8, 0)
# PyTorch's attention refuses more than 65,535 batch entries times heads.
_MAX_BATCH = 4096
# Activations of one token that PyTorch holds at once, as multiples of the network's width.
_ACTIVATIONS = 12
_PIXELS_PER_COPY = 65536


class DeviceBackend(ABC):
    """Cloud probabilities of reflectance on a device. A pixel's result depends on no other pixel."""

    name: str
    fidelity: str
    feed: Feed = "tensors"
    device: torch.device

    @abstractmethod
    def probability(self, toa: Tensor) -> Tensor:
        """Return (n,) float32 of toa (n, bands) float32, both on the device; NaN where the input is."""

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return (n,) float32 of toa (n, bands) float32, both in main memory."""
        result = np.empty(len(toa), np.float32)
        for start in range(0, len(toa), _PIXELS_PER_COPY):
            piece = torch.from_numpy(np.ascontiguousarray(toa[start : start + _PIXELS_PER_COPY]))
            result[start : start + len(piece)] = self.probability(piece.to(self.device)).cpu().numpy()
        return result


class DeviceTorch(DeviceBackend):
    """The float32 network itself (scaled dot-product attention), in batches of one shape."""

    name = "torch-float32"
    fidelity = "exact"

    def __init__(self, model: SpecTfEncoder, device: torch.device, batch: int | None = None) -> None:
        self.model = model.to(device)
        self.device = device
        self.batch = batch or default_batch(model, device)

    @torch.inference_mode()
    def probability(self, toa: Tensor) -> Tensor:
        result = torch.empty(len(toa), device=toa.device)
        for start in range(0, len(toa), self.batch):
            piece = toa[start : start + self.batch]
            filled = len(piece)
            if filled < self.batch:  # one shape, so that no result depends on the number of pixels
                piece = torch.cat([piece, piece.new_zeros(self.batch - filled, toa.shape[1])])
            made = torch.softmax(self.model(piece.unsqueeze(-1)), dim=-1)[:, 1]
            result[start : start + filled] = made[:filled]
        return result


class DeviceKernel(DeviceBackend):
    """The CUDA kernel; the float32 network computes reflectance outside its domain, and NaN."""

    name = "cuda-triton"

    def __init__(self, kernel: CudaKernel, exact: DeviceTorch, fidelity: str, threshold: float) -> None:
        self.kernel, self.exact = kernel, exact
        self.device = exact.device
        self.fidelity, self.threshold, self.tier = fidelity, threshold, TIERS[fidelity]

    @torch.inference_mode()
    def probability(self, toa: Tensor) -> Tensor:
        made = torch.sigmoid(self.kernel(toa))
        outside = made.isnan().nonzero().squeeze(1)
        if len(outside):
            made[outside] = self.exact.probability(toa[outside])
        return made


def open_device(model: SpecTfEncoder, device: torch.device, fidelity: str, threshold: float) -> DeviceBackend:
    """Return the fastest backend of a GPU that keeps the tier's promise; log why it is not the kernel.

    Raises `UsageError` for an unknown SPECTF_CUDA.
    """
    exact = DeviceTorch(model, device)
    try:
        reason = kernel_missing(device)
        if fidelity == "exact":
            reason = "asked for"
        if reason is not None:
            raise Unavailable(reason)
        return open_kernel(model, exact, fidelity, threshold)
    except Unavailable as why:
        logger.info("float32 PyTorch serves fidelity %s on %s: %s", fidelity, device, why)
        return exact


def open_kernel(model: SpecTfEncoder, exact: DeviceTorch, fidelity: str, threshold: float) -> DeviceKernel:
    """Return the kernel for these weights and bands, checked on probe spectra. Raises `Unavailable`."""
    from spectf_cloud.inference.engines.cuda.cache import load_cuda_tables
    from spectf_cloud.inference.engines.cuda.launch import CudaKernel

    try:
        tables, probe = load_cuda_tables(copy.deepcopy(model).to("cpu"))  # a copy: the network stays on its device
        backend = DeviceKernel(CudaKernel(tables, exact.device), exact, fidelity, threshold)
        reason = broken_promise(backend, probe)
    except UnsupportedModelError as error:
        raise Unavailable(str(error)) from error
    except Exception as error:  # Triton's compiler and the driver may raise anything; PyTorch still serves
        raise Unavailable(f"the kernel does not run here ({type(error).__name__}: {error})") from error
    if reason is not None:
        raise Unavailable(reason)
    return backend


def kernel_missing(device: torch.device) -> str | None:
    """Return why the kernel cannot run on a device; None where it can.

    Raises `UsageError` for a SPECTF_CUDA that is neither ``triton`` nor ``torch``.
    """
    wanted = os.environ.get("SPECTF_CUDA", "triton")
    if wanted not in ("triton", "torch"):
        raise UsageError(f"SPECTF_CUDA is {wanted!r}; use triton or torch")
    if wanted == "torch":
        return "SPECTF_CUDA=torch"
    if device.type != "cuda":
        return f"the kernel is for NVIDIA GPUs, not {device.type}"
    if torch.version.hip is not None:
        return "the kernel is for NVIDIA GPUs, not AMD"
    capability = torch.cuda.get_device_capability(device)
    if capability < _MIN_CAPABILITY:
        return f"the GPU's compute capability {capability[0]}.{capability[1]} is below 8.0"
    if find_spec("triton") is None:
        return "Triton is not installed (pip install triton)"
    return None


def default_batch(model: SpecTfEncoder, device: torch.device) -> int:
    """Return the pixels of one batch: a power of two whose activations take a quarter of the free memory."""
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
    elif device.type == "mps":
        free_bytes = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    else:
        return 16
    bands = len(model.wavelength)
    per_pixel = bands * model.config.dim_proj * 4 * _ACTIVATIONS
    if device.type == "mps":  # its attention holds every weight
        per_pixel += 2 * bands**2 * model.config.num_heads * 4
    fitting = max(1, free_bytes // 4 // per_pixel)
    return int(min(_MAX_BATCH, 1 << (fitting.bit_length() - 1)))
