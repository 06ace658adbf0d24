"""Recognise, without PyTorch, a file that is given as weights and is something else."""

from __future__ import annotations

import zipfile
from pathlib import Path

from spectf_cloud.files.signature import kind_of
from spectf_cloud.files.tensors import SAFETENSORS

_HEAD_BYTES = 4096

_ENGINE = "a TensorRT engine; give the weights that it was made from, and the engine to deploy-trt --engine"
_SUFFIXES = {
    ".onnx": "an ONNX file; give the weights that it was made from",
    ".engine": _ENGINE,
    ".plan": _ENGINE,
    ".yml": "a YAML file; give the weights.pt that it belongs to",
    ".yaml": "a YAML file; give the weights.pt that it belongs to",
    ".hdr": "an ENVI header, not weights",
    ".csv": "a table of text, not weights",
}
_KINDS = {
    "resnet": "a ResNet to compare with, not SpecTf weights; score it with cloud-eval resnet",
    "xgboost": "boosted trees to compare with, not SpecTf weights; score them with cloud-eval xgboost",
}


def foreign_kind(path: Path, kind: str) -> str | None:
    """Return what the file is and what to do; None where it may be SpecTf weights. ``kind`` is that of its card."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head:
        return "empty; fetch it again"
    if kind != "spectf":
        return _by_content(head, path) or _KINDS.get(kind, f"a network of kind {kind!r}, not SpecTf weights")
    if head.startswith(b"PK"):
        return _archive(path)
    return _by_content(head, path) or _by_signature(path) or _SUFFIXES.get(path.suffix.lower())


def _by_signature(path: Path) -> str | None:
    kind = kind_of(path)
    if kind is None:
        return None
    return f"{kind.name}; unpack it and give the weights.pt in it" if kind.packed else f"{kind.name}, not weights"


def foreign_content(content: object) -> str | None:
    """Return what a file written by ``torch.save`` holds that is not a state dict; None where it may be one."""
    if not isinstance(content, dict):
        return None
    if {"identity", "epoch", "optimiser"} <= set(content):
        return (
            "the checkpoint of a training run; give the weights.pt next to it, which a finished run has "
            "(train --resume)"
        )
    if {"stem.weight", "head.weight"} <= set(content):
        return _KINDS["resnet"]
    nested = [key for key, value in content.items() if isinstance(key, str) and isinstance(value, dict) and value]
    if nested:
        keys = ", ".join(str(key) for key in list(content)[:5])
        return f"a checkpoint of more than weights ({keys}); save its state dict ({nested[0]!r}?) alone with torch.save"
    return None


def _by_content(head: bytes, path: Path) -> str | None:
    if head.startswith(b"ftrt"):
        return _ENGINE
    if head.startswith(b"\x93NUMPY"):
        return "a NumPy array, not weights"
    if head.lstrip()[:1] == b"{":
        return _KINDS["xgboost"] if b"learner" in head else "a JSON file, not weights"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**27:
        named = path.suffix.lower() == SAFETENSORS
        return None if named else "a safetensors file; give it a name that ends with .safetensors"
    if head[:1] == b"\x08" and 0 < head[1] < 32 and head[2:3] == b"\x12":  # version and producer, as protobuf has them
        return _SUFFIXES[".onnx"]
    return None


def _archive(path: Path) -> str | None:
    """Return what a zip archive is; None where ``torch.save`` may have written it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return None  # reading it will report the damage
    if any(name.split("/")[-1] == "constants.pkl" or "/code/" in name for name in names):
        return "a TorchScript program; save its state dict with torch.save"
    if any(name.split("/")[-1] == "data.pkl" for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz), not weights"
    return f"a zip archive ({', '.join(names[:3]) or 'empty'}); unpack it and give the weights.pt in it"
