"""Every way from reflectance on a device to probability there, by name."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.performance.original import OriginalPath
from spectf_cloud.inference.engines.cuda.launch import CudaKernel, Variant
from spectf_cloud.inference.engines.cuda.tables import CudaTables
from spectf_cloud.inference.engines.device import DeviceTorch
from spectf_cloud.model import SpecTfEncoder

Path_ = Callable[[Tensor], Tensor]

#: Each idea of the kernel on its own; the first is what is used.
ABLATION = {
    "kernel": Variant(),
    "all bands ask": Variant(early=None),
    "all bands, exponentials by MUFU only": Variant(early=None, quarters=0),
    "all bands, half of the exponentials by FMA": Variant(early=None, quarters=2),
    "exponentials by MUFU only": Variant(quarters=0),
    "one program a multiprocessor": Variant(programs=1),
    "two programs, 255 registers": Variant(programs=2, registers=None),
    "three programs, 128 registers": Variant(registers=128),
}


def kernel(tables: CudaTables, device: torch.device, variant: Variant) -> Path_:
    """The kernel alone: no float32 for what is outside its domain."""
    made = CudaKernel(tables, device, variant)
    return lambda toa: torch.sigmoid(made(toa))


def contenders(
    model: SpecTfEncoder,
    tables: CudaTables,
    wavelength_nm: NDArray[np.float64],
    device: torch.device,
    batch: int,
    smoke: bool,
) -> tuple[dict[str, Path_], dict[str, str]]:
    """Paths by name, and the reasons of those that are not there. ``smoke``: torch.compile without its compiler."""
    made: dict[str, Path_] = {}
    missing: dict[str, str] = {}
    made["original: bf16, jit, batch 4096"] = OriginalPath(model.state_dict(), wavelength_nm, device).probability
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        short = str(dtype).removeprefix("torch.")
        network = copy.deepcopy(model).to(device, dtype)
        made[f"torch SDPA {short}"] = _in_batches(network, dtype, batch)
        compiled = torch.compile(network, backend="eager" if smoke else "inductor", dynamic=False)
        if dtype is not torch.float32:
            made[f"torch.compile {short}"] = _in_batches(compiled, dtype, batch)
    made["our kernel"] = kernel(tables, device, Variant())
    try:
        from spectf_cloud.inference.engines.tensorrt.backend import open_tensorrt

        engine = open_tensorrt(model, f"tensorrt:{device.index or 0}", "faithful", 0.51)
    except Exception as error:  # not installed, no GPU, no such module yet: said in the report
        missing["TensorRT"] = f"{type(error).__name__}: {error}"
    else:
        made["TensorRT (with copies)"] = lambda toa: torch.from_numpy(engine(toa.cpu().numpy())).to(device)
    return made, missing


def float32(model: SpecTfEncoder, device: torch.device, batch: int) -> Path_:
    """The network itself, to judge the others by."""
    return DeviceTorch(copy.deepcopy(model), device, batch).probability


def _in_batches(network: Callable[[Tensor], Tensor], dtype: torch.dtype, batch: int) -> Path_:
    """In batches of one shape, the rest filled up, as `DeviceTorch` does it."""

    @torch.inference_mode()
    def run(toa: Tensor) -> Tensor:
        filled = torch.nn.functional.pad(toa, (0, 0, 0, -len(toa) % batch)).to(dtype).unsqueeze(-1)
        made = [torch.softmax(network(piece).float(), dim=-1)[:, 1] for piece in filled.split(batch)]
        return torch.cat(made)[: len(toa)]

    return run
