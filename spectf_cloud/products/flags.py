"""What a mask's values mean, and what every writer of products needs of a mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import UsageError
from spectf_cloud.scene import Scene

FloatArray = NDArray[np.float32]
MaskArray = NDArray[np.uint8]

CLEAR, CLOUD, MASK_NODATA = 0, 1, 255

#: The tag of masks of simulated scenes, in every product, and what it says.
SIMULATED_TAG = "SPECTF_SIMULATED"
SIMULATED = "SIMULATED: the radiance was computed, not measured"


@dataclass(frozen=True, eq=False)
class Preview:
    """Six bands kept aside while a scene was masked, so that a picture needs no second reading.

    wavelength_nm
        (6,) float64, nm, the centres nearest to 640, 550, 460 (true colour), 1380, 1420 and 1890 nm
        (water vapour: only high cloud is bright).
    reflectance
        (lines, samples, 6) float32 TOA reflectance, NaN where there is no data.
    """

    wavelength_nm: NDArray[np.float64]
    reflectance: FloatArray


class Masked(Protocol):
    """A masked scene as the writers see it; `CloudMask` is one, and says what its attributes mean."""

    @property
    def scene(self) -> Scene: ...
    @property
    def probability(self) -> FloatArray: ...
    @property
    def threshold(self) -> float: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def preview(self) -> Preview | None: ...
    @property
    def mask(self) -> MaskArray: ...
    @property
    def cloud_fraction(self) -> float: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def title(self) -> str: ...


def apply_threshold(probability: FloatArray, threshold: float) -> MaskArray:
    """Cloud where ``probability`` (any shape, float32, −9999 or NaN no data) is greater than ``threshold``.

    Returns uint8 of the same shape: 0 clear, 1 cloud, 255 no data.
    """
    mask = (probability > threshold).astype(np.uint8)
    mask[~(probability >= 0)] = MASK_NODATA
    return mask


def cloud_fraction(mask: MaskArray) -> float:
    """Share of 1 among the 0 and 1 of a mask; NaN when all is no data."""
    valid = int(np.count_nonzero(mask != MASK_NODATA))
    return int(np.count_nonzero(mask == CLOUD)) / valid if valid else float("nan")


def check_threshold(threshold: float) -> None:
    """Raises `UsageError` unless 0 <= threshold <= 1."""
    if not 0 <= threshold <= 1:
        raise UsageError(f"the threshold {threshold:g} is not a probability; choose one from 0 to 1")
