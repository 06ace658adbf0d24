"""Load a network from a checkpoint for inference; PyTorch is imported only for its own network."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.architecture import Architecture, tensor_shapes
from spectf_cloud.errors import WeightsError
from spectf_cloud.files.extras import has_torch
from spectf_cloud.files.tensors import MAX_WEIGHTS_BYTES, Tensors
from spectf_cloud.models.numpy_spectf import NumpySpecTf
from spectf_cloud.weights import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from spectf_cloud.model import SpecTfEncoder


def load_numpy(
    weights: Checkpoint, wavelength_nm: NDArray[np.float64], architecture: Architecture | None = None
) -> NumpySpecTf:
    """Return the network with these weights for these band centres, in NumPy and float32.

    ``architecture`` overrides what the weights' card says; without either the published one applies.
    Raises `WeightsError` where the file is not a plain state dict of that architecture.
    """
    config = architecture or weights.architecture or Architecture()
    state = weights.tensors()
    wanted = tensor_shapes(config, len(wavelength_nm))
    found = {name: value.shape for name, value in state.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsError(
            f"{weights.path} does not fit the architecture ({name} is {found.get(name, 'absent')}, "
            f"not {wanted.get(name, 'there')}); give its --arch-spec"
        )
    # The network computes in float32, which cannot hold every float64 value.
    with np.errstate(over="ignore"):
        tensors = {name: np.array(state[name], np.float32, order="C") for name in wanted}
    broken = [name for name, value in tensors.items() if not np.isfinite(value).all()]
    if broken:
        raise WeightsError(f"{weights.path}: {broken[0]} holds NaN or infinite values; the weights are damaged")
    return NumpySpecTf.of_bands(config, wavelength_nm, tensors)


def load_model(
    weights: Checkpoint, wavelength_nm: NDArray[np.float64], architecture: Architecture | None = None
) -> SpecTfEncoder:
    """Return the network in PyTorch, in evaluation mode. Raises as `load_numpy`."""
    found = load_numpy(weights, wavelength_nm, architecture)
    from spectf_cloud.model import SpecTfEncoder

    model = SpecTfEncoder(wavelength_nm, **asdict(found.config))
    model.load_state_dict(_as_torch(found.tensors), strict=True)
    return model.eval().requires_grad_(False)


def load_network(
    weights: Checkpoint, wavelength_nm: NDArray[np.float64], architecture: Architecture | None = None
) -> SpecTfEncoder | NumpySpecTf:
    """Return the network in PyTorch where that is installed, else in NumPy. Raises as `load_numpy`."""
    return (load_model if has_torch() else load_numpy)(weights, wavelength_nm, architecture)


def read_state_dict(weights: Checkpoint) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name, in PyTorch; nothing is executed. Raises `WeightsError`."""
    tensors = weights.tensors()
    if sum(value.nbytes for value in tensors.values()) > MAX_WEIGHTS_BYTES:  # views that repeat few numbers
        raise WeightsError(f"{weights.path} holds more than 1 GiB, too large for SpecTf weights")
    return _as_torch(tensors)


def _as_torch(tensors: Tensors) -> dict[str, Tensor]:
    import torch

    return {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
