"""Linear interpolation in tables whose last axis is the bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
#: Lower node and weight of the upper one, each (n,).
Place = tuple[NDArray[np.intp], Float32Array]


def locate(nodes: FloatArray, values: NDArray[np.floating]) -> Place:
    """Lower node and weight of the upper one, each (n,), for linear interpolation; clamped at the ends."""
    node = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    weight = (values - nodes[node]) / (nodes[node + 1] - nodes[node])
    return node, np.clip(weight, 0.0, 1.0).astype(np.float32)


def along(table: Float32Array, place: Place) -> Float32Array:
    """(n, bands) interpolated along the first axis of a (nodes, bands) table."""
    node, weight = place
    low = table[node]
    return low + weight[:, None] * (table[node + 1] - low)


def along_both(table: Float32Array, first: Place, second: Place) -> Float32Array:
    """(n, bands) interpolated along the first two axes of a (nodes, nodes, bands) table."""
    (i, wi), (j, wj) = first, second
    low = table[i, j] + wi[:, None] * (table[i + 1, j] - table[i, j])
    high = table[i, j + 1] + wi[:, None] * (table[i + 1, j + 1] - table[i, j + 1])
    return low + wj[:, None] * (high - low)
