"""From a weights file to a network ready for inference."""

from __future__ import annotations

import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import WeightsError
from spectf_cloud.files.foreign_weights import foreign_content
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.weights import WeightsFile

if TYPE_CHECKING:
    from torch import Tensor

_MAX_WEIGHTS_BYTES = 2**30


def load_model(
    weights: WeightsFile, wavelength_nm: NDArray[np.float64], architecture: Architecture | None = None
) -> SpecTfEncoder:
    """The network with these weights for these band centres, in float32 and evaluation mode.

    ``architecture`` overrides what the weights' card says; without either the published one applies.
    Raises `WeightsError` where the file is not a plain state dict of that architecture.
    """
    state = read_state_dict(weights)
    model = SpecTfEncoder(wavelength_nm, **asdict(architecture or weights.architecture or Architecture()))
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsError(
            f"{weights.path} does not fit the architecture ({name} is {found.get(name, 'absent')}, "
            f"not {wanted.get(name, 'there')}); give its --arch-spec"
        )
    # As float32, which the network computes in: float64 may hold what that cannot.
    broken = [name for name, value in state.items() if not torch.isfinite(value.float()).all()]
    if broken:
        raise WeightsError(f"{weights.path}: {broken[0]} holds NaN or infinite values; the weights are damaged")
    model.load_state_dict(state, strict=True)
    return model.eval().requires_grad_(False)


def read_state_dict(weights: WeightsFile) -> dict[str, Tensor]:
    """Tensors by name, nothing executed while reading. Raises `WeightsError`."""
    path = weights.path
    state = load_tensors(path)
    foreign = foreign_content(state)
    if foreign:
        raise WeightsError(f"{path} is {foreign}")
    if not isinstance(state, dict) or not all(map(_is_parameter, state, state.values())):
        raise WeightsError(f"{path} is not a state dict: names with plain floating-point tensors are needed")
    return state


def load_tensors(path: Path) -> Any:
    """What ``torch.save`` wrote, as data: nothing is executed, nothing unpacks beyond 1 GiB. Raises `WeightsError`."""
    try:
        if max(path.stat().st_size, _unpacked_bytes(path)) > _MAX_WEIGHTS_BYTES:
            raise WeightsError(f"{path} holds more than 1 GiB, too large for SpecTf weights")
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # torch.load raises whatever its unpickler meets in a foreign file
        raise WeightsError(f"{path} is not a plain PyTorch state dict ({type(error).__name__})") from error


def _unpacked_bytes(path: Path) -> int:
    """What the entries of an archive say they hold; 0 for PyTorch's old format, which is no archive."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _is_parameter(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )
