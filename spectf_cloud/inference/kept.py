"""A loaded network for one scene after the other: masking many scenes loads it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.weights import WeightsFile

if TYPE_CHECKING:
    from spectf_cloud.architecture import Architecture
    from spectf_cloud.inference.backend import Backend, Fidelity


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a backend is chosen by: weights, band centres (bands,) nm, and the options of `pick_backend`."""

    weights: WeightsFile
    wavelength_nm: NDArray[np.float64]
    architecture: Architecture | None
    device: str | int
    fidelity: Fidelity
    threshold: float
    threads: int | None
    engine: Path | None = None

    def same(self, other: Wanted) -> bool:
        """Whether one backend serves both."""
        return np.array_equal(self.wavelength_nm, other.wavelength_nm) and self._rest() == other._rest()

    def _rest(self) -> tuple[object, ...]:
        chosen = (self.weights, self.architecture, self.device, self.fidelity, self.threshold, self.threads)
        return (*chosen, self.engine)


BackendSource = Callable[[Wanted], "Backend"]


def fresh_backend(wanted: Wanted) -> Backend:
    """Load the weights and pick the backend. Raises `WeightsError`, `UsageError`, `MissingExtraError`."""
    from spectf_cloud.inference.predict import pick_backend
    from spectf_cloud.models.load import load_network  # PyTorch comes with these, where it is installed

    model = load_network(wanted.weights, wanted.wavelength_nm, wanted.architecture)
    return pick_backend(
        model,
        device=wanted.device,
        fidelity=wanted.fidelity,
        threshold=wanted.threshold,
        threads=wanted.threads,
        engine=wanted.engine,
    )


class KeptBackend:
    """The backend of the last scene, for the next one that wants the same."""

    def __init__(self) -> None:
        self._kept: tuple[Wanted, Backend] | None = None

    def __call__(self, wanted: Wanted) -> Backend:
        """As `fresh_backend`, loading only what is not there."""
        kept = self._kept
        if kept is None or not kept[0].same(wanted):
            kept = self._kept = None  # gives its memory back first
            kept = self._kept = wanted, fresh_backend(wanted)
        return kept[1]
