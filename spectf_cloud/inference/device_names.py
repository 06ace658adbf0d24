"""Names of devices, checked without PyTorch."""

from __future__ import annotations

from spectf_cloud.errors import UsageError


def is_tensorrt(device: str | int) -> bool:
    """Return whether a device's name means a GPU through TensorRT rather than PyTorch."""
    return str(device).strip().lower().startswith("tensorrt")


def plain_name(device: str | int) -> str:
    """Return ``auto``, ``cpu``, ``mps`` or a GPU's number. Raises `UsageError` for another name.

    >>> plain_name(-1), plain_name("cuda:1"), plain_name("CUDA")
    ('cpu', '1', '0')
    """
    name = str(device).strip().lower()
    if name in ("-1", "cpu"):
        return "cpu"
    if name in ("auto", "mps"):
        return name
    number = "0" if name == "cuda" else name.removeprefix("cuda:")
    if not number.isdecimal():
        raise UsageError(f"device {device!r} is not known; use -1 or cpu, a GPU number, mps, or auto")
    return number
