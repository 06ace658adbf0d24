"""The tail's part of the CPU kernel's tables: from attention outputs to the logit difference.

See docs/how-it-works/inference.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.inference.engines.native.reduction import DIM, HEADS, VALUE_RANK, TokenCurve
from spectf_cloud.models.numpy_spectf import gelu

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

#: Directions of the values that the coarse pass uses.
COARSE_VALUE_RANK = 6
#: Directions of the attention layer's output that the coarse pass uses.
COARSE_TAIL = 32


def tail_tables(
    weights: dict[str, FloatArray], curve: TokenCurve, from_value: FloatArray, value_mean: FloatArray, mixed: FloatArray
) -> dict[str, Float32Array | float]:
    """Return the tables from attention outputs to the logit difference, see `Tables`, by typical outputs ``mixed``."""
    out_weight = weights["layers.0.attention.attention.out_proj.weight"]
    value_constant = curve.constant[2 * DIM :] + value_mean.reshape(-1)
    constant = out_weight @ value_constant + weights["layers.0.attention.attention.out_proj.bias"]
    constant = constant - constant.mean()
    first = weights["layers.0.ff.linear1.weight"] * weights["layers.0.norm2.weight"]
    whole = _with_constant(from_value, constant, VALUE_RANK)
    bias = weights["layers.0.ff.linear1.weight"] @ weights["layers.0.norm2.bias"] + weights["layers.0.ff.linear1.bias"]
    difference = weights["head.weight"][1] - weights["head.weight"][0]
    offset = difference @ weights["layers.0.ff.linear2.bias"] + weights["head.bias"][1] - weights["head.bias"][0]
    return {
        "root": np.asarray(np.linalg.qr(whole, mode="r"), np.float32),
        "hidden": (first @ whole).astype(np.float32),
        "hidden_bias": bias.astype(np.float32),
        "mixing": weights["layers.0.ff.linear2.weight"].astype(np.float32),
        "difference": difference.astype(np.float32),
        "offset": float(offset),
        **_coarse_tail(_with_constant(from_value, constant, COARSE_VALUE_RANK), first, mixed),
    }


def _with_constant(from_value: FloatArray, constant: FloatArray, rank: int) -> FloatArray:
    """Return (64, heads · rank + 1): from attention outputs and a 1 to the centred output of the attention layer."""
    columns = from_value[:, :, :rank].transpose(1, 0, 2).reshape(DIM, HEADS * rank)
    return np.column_stack([columns, constant])


def _coarse_tail(whole: FloatArray, first: FloatArray, mixed: FloatArray) -> dict[str, Float32Array | float]:
    """Return the layer's output on its COARSE_TAIL leading directions, and the mean square on the others."""
    inputs = np.column_stack([mixed[:, :, :COARSE_VALUE_RANK].reshape(len(mixed), -1), np.ones(len(mixed))])
    outputs = inputs @ whole.T
    squares, directions = np.linalg.eigh(outputs.T @ outputs / len(outputs))
    kept = directions[:, ::-1][:, :COARSE_TAIL]
    return {
        "coarse_project": (kept.T @ whole).astype(np.float32),
        "coarse_hidden": (first @ kept).astype(np.float32),
        "coarse_rest": float(np.clip(squares[:-COARSE_TAIL], 0, None).sum()),
    }


def features_before_pooling(mixed: FloatArray, tail: dict[str, Float32Array | float], eps: float) -> FloatArray:
    """Return features (samples, 64) before pooling, of attention outputs (samples, heads, VALUE_RANK)."""
    inputs = np.column_stack([mixed.reshape(len(mixed), -1), np.ones(len(mixed))])
    norm = np.square(inputs @ np.asarray(tail["root"], np.float64).T).sum(axis=1) / DIM + eps
    hidden = inputs @ np.asarray(tail["hidden"], np.float64).T / np.sqrt(norm)[:, None] + tail["hidden_bias"]
    return gelu(hidden) @ np.asarray(tail["mixing"], np.float64).T
