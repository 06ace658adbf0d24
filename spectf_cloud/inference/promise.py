"""What each tier of fidelity promises, and the check that every engine passes before it serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.architecture import WAVELENGTH_CENTRE_NM, WAVELENGTH_SCALE_NM
from spectf_cloud.inference.engines.native.kernel import Plan
from spectf_cloud.inference.engines.numpy import exact_backend
from spectf_cloud.models.numpy_spectf import NumpySpecTf

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]

PROBE = Path(__file__).with_name("probe.npz")


@dataclass(frozen=True)
class Tier:
    """The largest distance from float32 that is allowed, and how the kernel keeps it.

    Attributes
    ----------
    plans
        Fastest first. All but the last serve only networks on which their error is within `MARGIN`.
    largest_error
        Largest error of any probability; infinite where only the mask counts.
    flips
        Largest share of pixels on the other side of the threshold.
    recheck
        Pixels whose probability is this close to the threshold go through the fine pass with all bands. Those that are
        then still as close as the second number are computed in float32.
    """

    plans: tuple[Plan, ...]
    largest_error: float
    flips: float
    recheck: tuple[float, float]


_QUICK = Plan(0.13, 4.6, 0.15, 2.5, (21.0, 13.0, 11.0, 10.0, 7.5))
# For networks whose logits depend more on the directions that the coarse pass leaves out.
_CAREFUL = Plan(0.2, 6.5, 2.2, 2.1, (27.0, 27.0, 16.0, 13.0, 9.0))
_ROUGH = Plan(0.35, 1.3, 0.03, 0.0, (14.0, 8.0, 6.0, 4.0, 2.5))
TIERS = {
    "faithful": Tier((_QUICK, _CAREFUL), 0.02, 0.0005, (0.02, 0.01)),
    "fast": Tier((_ROUGH,), np.inf, 0.005, (0.0, 0.0)),
}
# Share of the allowed error that a fast plan may have on the probe: it has hundreds of spectra, a scene a million.
MARGIN = 0.25


class Unavailable(Exception):  # noqa: N818 - an error only for pick_backend
    """A backend cannot serve; the message says why, for the native one level by level."""


@dataclass(frozen=True)
class Probe:
    """Spectra on the bands in use with their float32 probabilities; the first `random` were drawn at random."""

    toa: Float32Array  # (n, bands)
    probability: Float32Array  # (n,)
    random: int


class Checked(Protocol):
    """A backend that promises a tier."""

    tier: Tier
    threshold: float

    def __call__(self, toa: Float32Array) -> Float32Array: ...


def broken_promise(backend: Checked, probe: Probe, share: float = 1.0) -> str | None:
    """Return why the probe's error is beyond the backend's tier, or this share of its largest error; else None."""
    probability = backend(probe.toa)
    error = np.abs(probability - probe.probability)
    largest = float(error.max()) if np.isfinite(error).all() else np.inf
    if largest > share * backend.tier.largest_error or not np.isfinite(largest):
        return f"probabilities differ from float32 by up to {largest:.3f}, {backend.tier.largest_error} is allowed"
    flipped = (probability > backend.threshold) != (probe.probability > backend.threshold)
    flips = float(flipped[: probe.random].mean())
    if flips > backend.tier.flips:
        return f"{flips:.2%} of the mask differs from float32, {backend.tier.flips:.2%} is allowed"
    return None


def make_probe(model: SpecTfEncoder | NumpySpecTf) -> Probe:
    """Return the bundled EMIT spectra on the network's bands (nearest beyond EMIT's range), with float32 results."""
    with np.load(PROBE) as bundled:
        wavelength_nm, spectra, random = bundled["wavelength_nm"], bundled["toa_reflectance"], int(bundled["random"])
    centres = NumpySpecTf.of(model).wavelength.astype(np.float64)
    wanted_nm = centres * WAVELENGTH_SCALE_NM + WAVELENGTH_CENTRE_NM
    toa = np.stack([np.interp(wanted_nm, wavelength_nm, row.astype(np.float64)) for row in spectra]).astype(np.float32)
    return Probe(toa, exact_backend(model)(toa), random)
