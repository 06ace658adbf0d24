"""All options of masking a scene, shared by the command line, its forms, archives and the core."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spectf_cloud.errors import UsageError
from spectf_cloud.files.releases import BUILTIN

#: How far a backend may stray from the float32 reference; see docs/how-it-works/inference.md.
Fidelity = Literal["exact", "faithful", "fast"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class MaskOptions:
    """Options of masking a scene. A new option is a field here and a row of `cli.deploy_options.MASKING`.

    Attributes
    ----------
    weights
        A path, ``builtin``, or a release such as ``official:v0.1.0``.
    irradiance
        ``published``, ``astm-g173``, or an (n, 2) .npy of nm and uW cm-2 nm-1; by default the weights' own.
    arch_spec, keep_bands
        See `read_arch_spec`.
    threshold
        Cloud where the probability is above it; by default the weights' own.
    device, fidelity, engine
        As for `pick_backend`; ``engine`` goes with device ``tensorrt``.
    memory_limit
        Bound for the resident memory of the process: bytes, or a text for `parse_bytes`.
    trust_input
        Mask even a scene that `check_plausible` refuses.
    threads
        CPU threads; by default PyTorch's setting.
    """

    weights: str | Path = BUILTIN
    irradiance: str | Path | None = None
    arch_spec: Path | None = None
    threshold: float | None = None
    device: str | int = "cpu"
    engine: Path | None = None
    fidelity: Fidelity = "faithful"
    keep_bands: bool = False
    memory_limit: str | int | None = None
    trust_input: bool = False
    threads: int | None = None

    @property
    def memory_limit_bytes(self) -> int | None:
        """Return the bound for resident memory, bytes. Raises `UsageError` for an invalid text."""
        return parse_bytes(self.memory_limit) if isinstance(self.memory_limit, str) else self.memory_limit


def parse_bytes(text: str) -> int:
    """Return ``1.5GB``, ``800 MiB`` or plain bytes as a number of bytes. Raises `UsageError`.

    >>> parse_bytes("1.5GB"), parse_bytes("800 MiB")
    (1500000000, 838860800)
    """
    compact = text.strip().lower().replace(" ", "")
    number = compact.rstrip("bikmg")
    try:
        value = int(float(number) * _UNITS[compact[len(number) :]])
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"memory limit {text!r} is not understood; write for example 1.5GB or 800MB") from None
    if value <= 0:
        raise UsageError(f"memory limit {text!r} must be above zero")
    return value
