"""Which backends this machine has, and why others are missing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.files.cache import cache_folder
from spectf_cloud.inference.engines.device import kernel_missing
from spectf_cloud.inference.engines.native.build import BuildError, cpu_features, find_or_compile, levels
from spectf_cloud.inference.engines.native.kernel import usable_levels
from spectf_cloud.inference.engines.onnx.runtimes import RUNTIMES, lacking, runtimes
from spectf_cloud.inference.engines.tensorrt.library import import_tensorrt


@dataclass(frozen=True)
class Availability:
    """A backend by name; ``reason`` says what it is for, or why it is not available."""

    name: str
    available: bool
    reason: str


def backends() -> list[Availability]:
    """Return all backends, those of the CPU fastest first. Compiles the kernels that are not compiled yet.

    Raises `UsageError` for an unknown SPECTF_SIMD, SPECTF_RUNTIME or SPECTF_CUDA.
    """
    found, allowed, features = [], usable_levels(), cpu_features()
    for level in levels():
        name = f"native-{level.name}"
        if level not in allowed:
            missing = ", ".join(sorted(level.needs - features))
            reason = f"this CPU lacks {missing}" if missing else "left out by SPECTF_SIMD"
            found.append(Availability(name, False, reason))
            continue
        try:
            find_or_compile(level, cache_folder() / "kernels")
        except BuildError as error:
            found.append(Availability(name, False, str(error)))
        else:
            found.append(Availability(name, True, "CPU, faithful or fast; networks of the published shape"))
    for runtime in RUNTIMES:
        absent = lacking(runtime)
        if absent is None and runtime not in runtimes():
            absent = "left out by SPECTF_RUNTIME"
        found.append(Availability(f"{runtime}-float32", absent is None, absent or "CPU, faithful; any network"))
    found.append(Availability("torch-float32", True, "any device, exact; any network"))
    for device, there, missing in (
        ("cuda", torch.cuda.is_available(), "PyTorch sees no NVIDIA GPU"),
        ("mps", torch.backends.mps.is_available(), "no Apple GPU"),
    ):
        found.append(Availability(f"torch-float32 on {device}", there, "exact" if there else missing))
    without = kernel_missing(torch.device("cuda")) if torch.cuda.is_available() else "PyTorch sees no NVIDIA GPU"
    purpose = "GPU, faithful or fast; networks of the published shape"
    found.append(Availability("cuda-triton", without is None, without or purpose))
    found.append(_tensorrt())
    return found


def _tensorrt() -> Availability:
    try:
        import_tensorrt()
    except MissingExtraError as error:
        return Availability("tensorrt", False, str(error))
    there = torch.cuda.is_available()
    return Availability("tensorrt", there, "GPU; deploy-trt, any network" if there else "PyTorch sees no NVIDIA GPU")
