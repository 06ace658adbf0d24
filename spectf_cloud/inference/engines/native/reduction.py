"""The algebra behind the tables, in float64: token curves, directions that matter, the order of the bands.

docs/how-it-works/inference.md explains it with figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.models.numpy_spectf import LAYER_NORM_EPS, NumpySpecTf

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

FloatArray = NDArray[np.float64]
Int32Array = NDArray[np.int32]

#: Range of reflectance in which the curves are fitted; float32 computes pixels with values outside.
DOMAIN = (-0.05, 1.75)
HEADS, HEAD_DIM, DIM = 8, 8, 64
#: Number of directions kept of the logits and of the values.
LOGIT_RANK, VALUE_RANK = 6, 8
#: Shares of the bands after which the coarse pass may stop.
STAGE_SHARES = (0.12, 0.24, 0.35, 0.47, 0.71, 1.0)
LANES = 16
_LOG2E = float(np.log2(math.e))


@dataclass(frozen=True)
class TokenCurve:
    """Queries, keys and values of one layer as functions of (band, reflectance), in float64."""

    numerator: FloatArray  # (192, 64) acting on tanh features: projection · γ · centring
    constant: FloatArray  # (192,)
    from_toa: FloatArray  # (64,)
    from_band: FloatArray  # (bands, 64)
    eps: float

    @classmethod
    def of(cls, model: SpecTfEncoder | NumpySpecTf, weights: dict[str, FloatArray]) -> TokenCurve:
        embed = weights["spectral_embed.linear.weight"]
        wavelength = NumpySpecTf.of(model).wavelength.astype(np.float64)
        from_band = np.outer(wavelength, embed[:, 1]) + weights["spectral_embed.linear.bias"]
        projection = weights["layers.0.attention.attention.in_proj_weight"]
        centring = np.eye(DIM) - 1 / DIM
        numerator = projection * weights["layers.0.norm1.weight"] @ centring
        constant = projection @ weights["layers.0.norm1.bias"] + weights["layers.0.attention.attention.in_proj_bias"]
        return cls(numerator, constant, embed[:, 0], from_band, LAYER_NORM_EPS)

    def features(self, toa: FloatArray) -> FloatArray:
        """Return tanh features (n, bands, 64) of toa (n, bands)."""
        return np.tanh(toa[..., None] * self.from_toa + self.from_band)

    def variance(self, features: FloatArray) -> FloatArray:
        """Return (n, bands), the number whose root LayerNorm divides by."""
        variance: FloatArray = features.var(axis=-1) + self.eps
        return variance

    def heads(self, features: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return queries (with their constant), keys and values (without), each (samples, heads, 8)."""
        normalised = (features @ self.numerator.T) / np.sqrt(self.variance(features))[..., None]
        q, k, v = np.split(normalised.reshape(-1, 3 * DIM), 3, axis=1)
        q = q + self.constant[:DIM]
        return tuple(part.reshape(-1, HEADS, HEAD_DIM) for part in (q, k, v))  # type: ignore[return-value]


def reduce_logits(q: FloatArray, k: FloatArray, rank: int = LOGIT_RANK) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a balanced low-rank form of q·k log2(e)/√8.

    q, k (samples, heads, 8) → to_query, to_key (heads, rank, 8), most important direction first, and the mean
    key (heads, 8). With q = Lq a and k − mean = Lk b for white a and b, the singular vectors of Lqᵀ Lk order the
    directions by how much they move logits.
    """
    mean = k.mean(axis=0)
    root_q = cholesky_root(np.einsum("nhi,nhj->hij", q, q) / len(q))
    root_k = cholesky_root(np.einsum("nhi,nhj->hij", k - mean, k - mean) / len(k))
    u, s, vt = np.linalg.svd(root_q.transpose(0, 2, 1) @ root_k)
    half = np.sqrt(s * _LOG2E / np.sqrt(HEAD_DIM))[:, :rank, None]
    to_query = half * (u.transpose(0, 2, 1)[:, :rank] @ np.linalg.inv(root_q))
    to_key = half * (vt[:, :rank] @ np.linalg.inv(root_k))
    return to_query, to_key, mean


def reduce_values(v: FloatArray, centred_out: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return directions of the centred values, ordered by their size after the output projection.

    v (samples, heads, 8), centred_out (heads, 64, 8) → to_value (heads, VALUE_RANK, 8), from_value
    (heads, 64, VALUE_RANK), mean (heads, 8).
    """
    mean = v.mean(axis=0)
    root = cholesky_root(np.einsum("nhi,nhj->hij", v - mean, v - mean) / len(v))
    u, s, vt = np.linalg.svd(centred_out @ root, full_matrices=False)
    to_value = vt[:, :VALUE_RANK] @ np.linalg.inv(root)
    return to_value, (u * s[:, None])[:, :, :VALUE_RANK], mean


def cholesky_root(covariance: FloatArray) -> FloatArray:
    """Return lower Cholesky factors (heads, n, n) of covariances with 1e-9 of their mean variance on the diagonal."""
    size = covariance.shape[-1]
    ridge = 1e-9 * np.trace(covariance, axis1=1, axis2=2)[:, None, None] / size + 1e-30
    return np.linalg.cholesky(covariance + ridge * np.eye(size))


def order_bands(features: FloatArray, difference: FloatArray) -> tuple[Int32Array, Int32Array]:
    """Return an order of bands in which the first few already give nearly the pooled features of all.

    Next comes the band that brings the maxima of typical spectra nearest to the maxima over all bands (greedy, which
    is near the optimum of this facility-location problem). Padded to whole vectors with the last band.

    Parameters
    ----------
    features
        (spectra, bands, 64) of typical spectra, before pooling.
    difference
        (64,) weight of each pooled feature in the logit.

    Returns
    -------
    order, stages
        See `Tables`.
    """
    bands = features.shape[1]
    padded = bands + -bands % LANES
    stages = [min(LANES * max(1, round(padded * share / LANES)), padded) for share in STAGE_SHARES]
    shortfall = ((features.max(axis=1, keepdims=True) - features) * np.abs(difference)).astype(np.float32)
    shortfall = np.ascontiguousarray(shortfall.transpose(1, 0, 2).reshape(bands, -1))
    order: list[int] = []
    now = shortfall.max(axis=0)
    rest = np.arange(bands)
    while len(order) < min(stages[-2], bands):
        # Squared: one spectrum that is far off counts more than many that are nearly right.
        left = np.minimum(shortfall[rest], now).reshape(len(rest), features.shape[0], -1).sum(axis=2)
        best = int(np.square(left).sum(axis=1).argmin())
        now = np.minimum(now, shortfall[rest[best]])
        order.append(int(rest[best]))
        rest = np.delete(rest, best)
    whole = np.array([*order, *rest], np.int32)
    return np.pad(whole, (0, padded - bands), mode="edge"), np.array(stages, np.int32)


@dataclass(frozen=True)
class Reach:
    """Range of logits on the domain."""

    log2: float  # largest |log2 weight| of any pair of tokens
    product: float  # largest |query| · |key| of one direction; int16 with a product of 2^23 holds 128
    query_scale: FloatArray  # (heads, LOGIT_RANK): to int16; keys take 2^23 / scale
    value: FloatArray  # (heads, VALUE_RANK): largest |value|


def find_reach(
    curve: TokenCurve, rows: FloatArray, constants: FloatArray, key_centre: FloatArray, value_centre: FloatArray
) -> Reach:
    """Return the ranges over a grid of the domain, all bands."""
    toa = np.linspace(*DOMAIN, 37)
    features = curve.features(np.repeat(toa[:, None], len(curve.from_band), axis=1))
    sigma = np.sqrt(curve.variance(features))[..., None]
    directions = np.random.default_rng(0).standard_normal((200, LOGIT_RANK)).T
    log2, q_most, k_most, v_most = 0.0, [], [], []
    for head in range(HEADS):
        made = (features @ rows[head].T / sigma).reshape(-1, rows.shape[1])
        q = made[:, :LOGIT_RANK] + constants[head]
        k = made[:, LOGIT_RANK : 2 * LOGIT_RANK] - key_centre[head]
        q_most.append(np.abs(q).max(axis=0))
        k_most.append(np.abs(k).max(axis=0))
        v_most.append(np.abs(made[:, 2 * LOGIT_RANK :] - value_centre[head]).max(axis=0))
        # The extreme pairs are on the hulls, which random directions find.
        q_hull, k_hull = (x[np.concatenate([(x @ directions).argmax(0), (x @ directions).argmin(0)])] for x in (q, k))
        log2 = max(log2, float(np.abs(q_hull @ k_hull.T).max()))
    q_largest, k_largest = np.array(q_most), np.array(k_most)
    scale = 2**11.5 * np.sqrt(k_largest / q_largest)
    return Reach(log2, float((q_largest * k_largest).max()), scale, np.array(v_most))


def attend(q: FloatArray, k: FloatArray, v: FloatArray, bands: int) -> FloatArray:
    """Return attention outputs of queries, keys and values of whole spectra, all of them (samples, heads, 8)."""
    mixed = np.empty_like(v)
    for start in range(0, len(q), bands):
        spectrum = slice(start, start + bands)
        logits = np.einsum("ihd,jhd->hij", q[spectrum], k[spectrum], optimize=True) / np.sqrt(HEAD_DIM)
        weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        mixed[spectrum] = np.einsum("hij,jhd->ihd", weight, v[spectrum], optimize=True)
    return mixed
