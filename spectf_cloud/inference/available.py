"""Which backends this machine has, and why others are missing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spectf_cloud.inference.device_backend import kernel_missing
from spectf_cloud.inference.kernel import cache_dir, usable_levels
from spectf_cloud.inference.native.build import BuildError, cpu_features, find_or_compile, levels


@dataclass(frozen=True)
class Availability:
    """A backend by name; ``reason`` says what it is for, or why it cannot be used."""

    name: str
    available: bool
    reason: str


def backends() -> list[Availability]:
    """All backends, those of the CPU fastest first. Compiles a kernel that was not compiled yet.

    Raises `UsageError` for a SPECTF_SIMD or SPECTF_CUDA that is not known.
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
            find_or_compile(level, cache_dir() / "kernels")
        except BuildError as error:
            found.append(Availability(name, False, str(error)))
        else:
            found.append(Availability(name, True, "CPU, faithful or fast; networks of the published shape"))
    found.append(Availability("torch-float32", True, "any device, exact; any network"))
    for device, there, missing in (
        ("cuda", torch.cuda.is_available(), "PyTorch sees no NVIDIA GPU"),
        ("mps", torch.backends.mps.is_available(), "no Apple GPU"),
    ):
        found.append(Availability(f"torch-float32 on {device}", there, "exact" if there else missing))
    lacking = kernel_missing(torch.device("cuda")) if torch.cuda.is_available() else "PyTorch sees no NVIDIA GPU"
    purpose = "GPU, faithful or fast; networks of the published shape"
    found.append(Availability("cuda-triton", lacking is None, lacking or purpose))
    return found
