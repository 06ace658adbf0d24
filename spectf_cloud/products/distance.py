"""Distance to the nearest cloud, and growing a mask by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import UsageError
from spectf_cloud.products.flags import CLOUD, MASK_NODATA, MaskArray

#: Largest buffer distance of EMIT's layout, pixels.
CUTOFF_PIXELS = 50
BEYOND_CUTOFF = -1.0
# Lines in one step of the second pass: their squares stay in the processor's cache.
_LINES_AT_ONCE = 64


def distance_pixels(cloud: NDArray[np.bool_], cutoff_pixels: int = CUTOFF_PIXELS) -> NDArray[np.float32]:
    """Return the Euclidean distance from each pixel centre to the nearest cloud pixel centre.

    cloud: (lines, samples) bool. Returns (lines, samples) float32 pixels: 0 on cloud, −1 farther than
    ``cutoff_pixels``. The nearest cloud within each column comes first, then over columns the least of
    (column distance² + offset²), which is exact (Felzenszwalb and Huttenlocher, 2012).

    >>> distance_pixels(np.array([[True, False, False, False]]), cutoff_pixels=2)
    array([[ 0.,  1.,  2., -1.]], dtype=float32)
    """
    samples = cloud.shape[1]
    vertical = _distance_along_columns(cloud, cutoff_pixels + 1)
    distance = np.empty(cloud.shape, dtype=np.float32)
    for start in range(0, len(cloud), _LINES_AT_ONCE):
        rows = slice(start, start + _LINES_AT_ONCE)
        column_square = vertical[rows] ** 2
        square = column_square.copy()
        for offset in range(1, min(cutoff_pixels, samples - 1) + 1):
            from_side = column_square + offset * offset
            np.minimum(square[:, offset:], from_side[:, :-offset], out=square[:, offset:])
            np.minimum(square[:, :-offset], from_side[:, offset:], out=square[:, :-offset])
        distance[rows] = np.where(square <= cutoff_pixels**2, np.sqrt(square), BEYOND_CUTOFF)
    return distance


def _distance_along_columns(cloud: NDArray[np.bool_], limit: int) -> NDArray[np.int32]:
    """Return the lines (lines, samples) int32 to the nearest cloud in the same column, at most ``limit``."""
    distance = np.where(cloud, 0, limit).astype(np.int32)
    for line in range(1, len(distance)):
        np.minimum(distance[line], distance[line - 1] + 1, out=distance[line])
    for line in range(len(distance) - 2, -1, -1):
        np.minimum(distance[line], distance[line + 1] + 1, out=distance[line])
    return distance


def dilate(mask: MaskArray, pixels: int) -> MaskArray:
    """Mark as cloud every clear pixel within ``pixels`` of a cloud; no data stays no data.

    mask: (lines, samples) uint8, 0 clear, 1 cloud, 255 no data. Raises `UsageError` for a negative buffer.
    """
    if pixels < 0:
        raise UsageError(f"a buffer of {pixels} pixels is not possible; give 0 or more")
    if pixels == 0:
        return mask.copy()
    reach = min(pixels, sum(mask.shape))  # no two pixels are farther apart
    near = distance_pixels(mask == CLOUD, reach) >= 0
    return np.where(near & (mask != MASK_NODATA), np.uint8(CLOUD), mask)
