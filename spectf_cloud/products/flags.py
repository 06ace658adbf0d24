"""Values of a mask, and what the writers of products need of it."""

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

#: The tag of masks of simulated scenes in every product, and its value.
SIMULATED_TAG = "SPECTF_SIMULATED"
SIMULATED = "SIMULATED: the radiance was computed, not measured"


@dataclass(frozen=True, eq=False)
class Preview:
    """Six bands kept while a scene was masked, so that a picture needs no second reading.

    wavelength_nm
        (6,) float64, nm, the centres nearest to 640, 550, 460 (true colour), 1380, 1420 and 1890 nm
        (water vapour: only high cloud is bright).
    reflectance
        (lines, samples, 6) float32 TOA reflectance, NaN where there is no data.
    """

    wavelength_nm: NDArray[np.float64]
    reflectance: FloatArray


class Masked(Protocol):
    """A masked scene as the writers see it; `CloudMask` is one and documents the attributes."""

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
    """Return 1 cloud where ``probability`` (any shape, float32) is greater than ``threshold``, else 0 clear: uint8.

    255 is no data, where the probability is negative (−9999) or NaN.

    >>> apply_threshold(np.array([0.5, 0.6, -9999], np.float32), 0.5)
    array([  0,   1, 255], dtype=uint8)
    """
    mask = (probability > threshold).astype(np.uint8)
    mask[~(probability >= 0)] = MASK_NODATA
    return mask


def cloud_fraction(mask: MaskArray) -> float:
    """Return the share of 1 among the 0 and 1 of a mask; NaN when all is no data.

    >>> cloud_fraction(np.array([0, 1, 1, 1, 255], np.uint8))
    0.75
    """
    valid = int(np.count_nonzero(mask != MASK_NODATA))
    return int(np.count_nonzero(mask == CLOUD)) / valid if valid else float("nan")


def check_threshold(threshold: float) -> None:
    """Raise `UsageError` unless 0 <= threshold <= 1."""
    if not 0 <= threshold <= 1:
        raise UsageError(f"the threshold {threshold:g} is not a probability; choose one from 0 to 1")
