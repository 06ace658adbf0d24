"""A loaded network, kept from one scene to the next: masking many scenes loads it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.weights import PUBLISHED_THRESHOLD, Checkpoint

if TYPE_CHECKING:
    from spectf_cloud.architecture import Architecture
    from spectf_cloud.inference.backend import SceneBackend


@dataclass(frozen=True, eq=False)
class BackendRequest:
    """What decides on a backend: weights, architecture if given, band centres (bands,) nm, and the options.

    The threshold and the threads of the options are set.
    """

    weights: Checkpoint
    architecture: Architecture | None
    wavelength_nm: NDArray[np.float64]
    options: MaskOptions

    def same(self, other: BackendRequest) -> bool:
        """Return whether one backend serves both."""
        mine, others = ((each.weights, each.architecture, each.options) for each in (self, other))
        return mine == others and np.array_equal(self.wavelength_nm, other.wavelength_nm)


BackendSource = Callable[[BackendRequest], "SceneBackend"]


def fresh_backend(request: BackendRequest) -> SceneBackend:
    """Load the weights and pick the backend. Raises `WeightsError`, `UsageError`, `MissingExtraError`."""
    from spectf_cloud.inference.predict import pick_backend
    from spectf_cloud.models.load import load_network  # PyTorch comes with these, where it is installed

    options = request.options
    return pick_backend(
        load_network(request.weights, request.wavelength_nm, request.architecture),
        device=options.device,
        fidelity=options.fidelity,
        threshold=PUBLISHED_THRESHOLD if options.threshold is None else options.threshold,
        threads=options.threads,
        engine=options.engine,
    )


class KeptBackend:
    """The backend of the last scene, for the next one that asks for the same."""

    def __init__(self) -> None:
        self._kept: tuple[BackendRequest, SceneBackend] | None = None

    def __call__(self, request: BackendRequest) -> SceneBackend:
        """Return the kept backend if it serves the request, else a `fresh_backend`."""
        kept = self._kept
        if kept is None or not kept[0].same(request):
            kept = self._kept = None  # free its memory first
            kept = self._kept = request, fresh_backend(request)
        return kept[1]
