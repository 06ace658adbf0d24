"""Tables of the CPU kernel: everything that depends on the weights and the band centres, and on no pixel.

The algebra is explained in docs/inference.md. In short, per band a token depends on one number, the reflectance,
so queries, keys and values are curves; each is fitted by a polynomial. Logits and values are reduced to
the few directions that matter. All of it is computed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from spectf_cloud.model import ModelConfig, SpecTfEncoder

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]

#: Reflectance on which the curves are fitted; rows beyond it take the float32 path.
DOMAIN = (-0.05, 1.75)
HEADS, HEAD_DIM, DIM = 8, 8, 64
#: Directions kept of the logits and of the values, and how many of them the coarse pass uses.
LOGIT_RANK, VALUE_RANK = 6, 8
COARSE_LOGIT_RANK, COARSE_VALUE_RANK = 4, 6
#: Directions of the attention layer's output that the coarse pass keeps.
COARSE_TAIL = 32
#: Shares of the bands after which the coarse pass may stop.
STAGE_SHARES = (0.24, 0.47, 1.0)
#: Spectra of the typical ones whose attention is computed to choose directions and orders.
_STUDIED = 128
DEGREE = 10
LANES = 16
#: |log2| of an unnormalised attention weight that float32 sums of them can hold.
MAX_LOG2 = 120.0
_LOG2E = float(np.log2(np.e))


class UnsupportedModelError(Exception):
    """The kernel cannot serve this network; the message says why. Caught by `pick_backend`."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What the kernel reads; lanes are bands, padded to a multiple of 16 with copies of the last.

    Attributes
    ----------
    curves
        (heads, q + k + v columns, degree + 1, padded bands): numerators of queries, keys and values as
        monomials of (reflectance − mid) / half, highest power first. Queries carry log2 e / √8.
        The queries' bands are in the order of `order`.
    order, stages
        (padded bands,) and (3,) int32: bands in the order in which they ask, see `order_bands`; how many have asked
        when the coarse pass may stop.
    variance, query_variance
        (degree + 1, padded bands): variance + eps of the embedding, alike; the second in the order of queries.
    query_constant
        (heads, LOGIT_RANK): what LayerNorm's shift and the bias add to a query.
    key_centre, value_centre
        (heads, rank): subtracted; the first cancels in the softmax, the second is added back in the tail.
    root, hidden, hidden_bias
        Tail, from attention outputs and a trailing 1: upper triangular root whose output has the norm that
        LayerNorm divides by; first feed-forward layer on the same input; its bias.
    coarse_project, coarse_hidden, coarse_rest
        The coarse pass: attention outputs and a 1 to the leading directions of the layer's output; those to the
        first feed-forward layer; mean square of what the other directions hold.
    mixing, difference, offset
        Second feed-forward layer; head's cloud minus clear weights; and what its biases add up to.
    """

    bands: int
    order: Int32Array
    stages: Int32Array
    curves: Float32Array
    variance: Float32Array
    query_variance: Float32Array
    query_constant: Float32Array
    query_scale: Float32Array
    key_centre: Float32Array
    value_centre: Float32Array
    root: Float32Array
    hidden: Float32Array
    coarse_project: Float32Array
    coarse_hidden: Float32Array
    hidden_bias: Float32Array
    mixing: Float32Array
    difference: Float32Array
    offset: float
    coarse_rest: float
    layer_norm_eps: float
    largest_log2: float
    largest_product: float

    @property
    def padded(self) -> int:
        """Bands rounded up to whole vectors."""
        return int(self.curves.shape[-1])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Every field as an array, for `numpy.savez`."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> Tables:
        """The inverse of `to_arrays`."""
        values: dict[str, Any] = {k: v.item() if v.ndim == 0 else np.ascontiguousarray(v) for k, v in arrays.items()}
        return cls(**values)


def check_supported(model: SpecTfEncoder) -> None:
    """Raises `UnsupportedModelError` unless the network has the published shape (dropout aside)."""
    config, published = model.config, ModelConfig()
    for name in ("dim_output", "num_heads", "dim_proj", "dim_ff", "agg", "use_residual", "num_layers"):
        if getattr(config, name) != getattr(published, name):
            wanted = getattr(published, name)
            raise UnsupportedModelError(f"{name} is {getattr(config, name)}, the kernel is for {wanted}")
    if not 2 <= len(model.wavelength) <= 512:
        raise UnsupportedModelError(f"{len(model.wavelength)} bands, the kernel takes 2 to 512")


@dataclass(frozen=True)
class _Curve:
    """Queries, keys and values of one layer as functions of (band, reflectance), in float64."""

    numerator: FloatArray  # (192, 64) acting on tanh features: projection · γ · centring
    constant: FloatArray  # (192,)
    from_toa: FloatArray  # (64,)
    from_band: FloatArray  # (bands, 64)
    eps: float

    @classmethod
    def of(cls, model: SpecTfEncoder, weights: dict[str, FloatArray]) -> _Curve:
        embed = weights["spectral_embed.linear.weight"]
        wavelength = model.wavelength.detach().cpu().double().numpy()
        from_band = np.outer(wavelength, embed[:, 1]) + weights["spectral_embed.linear.bias"]
        projection = weights["layers.0.attention.attention.in_proj_weight"]
        centring = np.eye(DIM) - 1 / DIM
        numerator = projection * weights["layers.0.norm1.weight"] @ centring
        constant = projection @ weights["layers.0.norm1.bias"] + weights["layers.0.attention.attention.in_proj_bias"]
        return cls(numerator, constant, embed[:, 0], from_band, _eps(model, 1))

    def features(self, toa: FloatArray) -> FloatArray:
        """toa (n, bands) → tanh features (n, bands, 64)."""
        return np.tanh(toa[..., None] * self.from_toa + self.from_band)

    def variance(self, features: FloatArray) -> FloatArray:
        """(n, bands): what LayerNorm takes the root of."""
        variance: FloatArray = features.var(axis=-1) + self.eps
        return variance

    def heads(self, features: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Queries (with their constant), keys and values (without), each (samples, heads, 8)."""
        normalised = (features @ self.numerator.T) / np.sqrt(self.variance(features))[..., None]
        q, k, v = np.split(normalised.reshape(-1, 3 * DIM), 3, axis=1)
        q = q + self.constant[:DIM]
        return tuple(part.reshape(-1, HEADS, HEAD_DIM) for part in (q, k, v))  # type: ignore[return-value]


def _eps(model: SpecTfEncoder, norm: int) -> float:
    """What the first or second LayerNorm adds to the variance."""
    return float(cast(torch.nn.LayerNorm, getattr(model.layers[0], f"norm{norm}")).eps)


def build_tables(model: SpecTfEncoder, typical_toa: FloatArray) -> Tables:
    """Tables for a network and its bands.

    Parameters
    ----------
    model
        Of the published shape.
    typical_toa
        (n, bands) reflectance of typical spectra: decides which directions are kept, and nothing else.

    Raises
    ------
    UnsupportedModelError
        Another shape, or logits beyond the exponent range of the kernel.
    """
    check_supported(model)
    weights = {name: value.detach().cpu().double().numpy() for name, value in model.state_dict().items()}
    curve = _Curve.of(model, weights)
    n_bands = len(curve.from_band)
    q, k, v = curve.heads(curve.features(typical_toa))
    to_query, to_key, key_mean = reduce_logits(q, k)
    out_weight = weights["layers.0.attention.attention.out_proj.weight"]
    centred_out = (out_weight - out_weight.mean(axis=0)).reshape(DIM, HEADS, HEAD_DIM).transpose(1, 0, 2)
    to_value, from_value, value_mean = reduce_values(v, centred_out)
    rows, constants = _stack_heads(curve, to_query, to_key, to_value)
    key_centre = np.einsum("hrd,hd->hr", to_key, key_mean)
    value_centre = np.einsum("hrd,hd->hr", to_value, value_mean)
    reach = _reach(curve, rows, constants, key_centre, value_centre)
    # Values within ±1: attention outputs, being means of values, are too, and suit fixed-point numbers.
    rows[:, 2 * LOGIT_RANK :] /= reach.value[:, :, None]
    value_centre /= reach.value
    from_value *= reach.value[:, None, :]
    studied = slice(0, _STUDIED * n_bands)
    mixed = _attend(q[studied], k[studied], v[studied] - value_mean, n_bands)
    mixed = np.einsum("nhd,hrd->nhr", mixed, to_value) / reach.value
    tail = _tail(weights, curve, from_value, value_mean, mixed)
    coefficients, variance = _fit(curve, rows)
    features = _features(mixed, tail, _eps(model, 2)).reshape(-1, n_bands, DIM)
    order, stages = order_bands(features, np.asarray(tail["difference"], np.float64))
    coefficients[:, :LOGIT_RANK] = coefficients[:, :LOGIT_RANK, :, order]
    tables = Tables(
        bands=n_bands,
        order=order,
        stages=stages,
        curves=coefficients,
        variance=variance,
        query_variance=np.ascontiguousarray(variance[:, order]),
        query_constant=constants.astype(np.float32),
        query_scale=reach.query_scale.astype(np.float32),
        key_centre=key_centre.astype(np.float32),
        value_centre=value_centre.astype(np.float32),
        largest_log2=reach.log2,
        largest_product=reach.product,
        **tail,  # type: ignore[arg-type]
        layer_norm_eps=_eps(model, 2),
    )
    if not tables.largest_log2 < MAX_LOG2:
        reached = f"2^{tables.largest_log2:.0f}"
        raise UnsupportedModelError(f"attention weights reach {reached}, the kernel holds 2^{MAX_LOG2:.0f}")
    return tables


def order_bands(features: FloatArray, difference: FloatArray) -> tuple[Int32Array, Int32Array]:
    """In which order bands should ask, so that few of them already give nearly the pooled features of all.

    Greedily, the band that brings the maxima of typical spectra nearest to the maxima over all bands comes next
    (a facility-location problem, for which that is near the best). Padded to whole vectors with the last band.

    Parameters
    ----------
    features
        (spectra, bands, 64) of typical spectra, before pooling.
    difference
        (64,) what each pooled feature adds to the logit.

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
        # Squared: a spectrum far off weighs more than many nearly right.
        left = np.minimum(shortfall[rest], now).reshape(len(rest), features.shape[0], -1).sum(axis=2)
        best = int(np.square(left).sum(axis=1).argmin())
        now = np.minimum(now, shortfall[rest[best]])
        order.append(int(rest[best]))
        rest = np.delete(rest, best)
    whole = np.array([*order, *rest], np.int32)
    return np.pad(whole, (0, padded - bands), mode="edge"), np.array(stages, np.int32)


def reduce_logits(q: FloatArray, k: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Balanced low-rank form of q·k log2(e)/√8.

    q, k (samples, heads, 8) → to_query, to_key (heads, LOGIT_RANK, 8), most important direction first, and the mean
    key (heads, 8). With q = Lq a and k − mean = Lk b for white a and b, the singular vectors of Lqᵀ Lk order the
    directions by how much they move logits.
    """
    mean = k.mean(axis=0)
    root_q = _root(np.einsum("nhi,nhj->hij", q, q) / len(q))
    root_k = _root(np.einsum("nhi,nhj->hij", k - mean, k - mean) / len(k))
    u, s, vt = np.linalg.svd(root_q.transpose(0, 2, 1) @ root_k)
    half = np.sqrt(s * _LOG2E / np.sqrt(HEAD_DIM))[:, :LOGIT_RANK, None]
    to_query = half * (u.transpose(0, 2, 1)[:, :LOGIT_RANK] @ np.linalg.inv(root_q))
    to_key = half * (vt[:, :LOGIT_RANK] @ np.linalg.inv(root_k))
    return to_query, to_key, mean


def reduce_values(v: FloatArray, centred_out: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Directions of the centred values by their size after the output projection.

    v (samples, heads, 8), centred_out (heads, 64, 8) → to_value (heads, VALUE_RANK, 8), from_value
    (heads, 64, VALUE_RANK), mean (heads, 8).
    """
    mean = v.mean(axis=0)
    root = _root(np.einsum("nhi,nhj->hij", v - mean, v - mean) / len(v))
    u, s, vt = np.linalg.svd(centred_out @ root, full_matrices=False)
    to_value = vt[:, :VALUE_RANK] @ np.linalg.inv(root)
    return to_value, (u * s[:, None])[:, :, :VALUE_RANK], mean


def _root(covariance: FloatArray) -> FloatArray:
    """Lower Cholesky factors (heads, n, n), of the covariances with a hair of their trace on the diagonal."""
    size = covariance.shape[-1]
    ridge = 1e-9 * np.trace(covariance, axis1=1, axis2=2)[:, None, None] / size + 1e-30
    return np.linalg.cholesky(covariance + ridge * np.eye(size))


def _stack_heads(
    curve: _Curve, to_query: FloatArray, to_key: FloatArray, to_value: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rows (heads, columns, 64) that make a head's columns from tanh features, and the queries' constants."""
    q, k, v = (part.reshape(HEADS, HEAD_DIM, DIM) for part in np.split(curve.numerator, 3))
    constants = np.einsum("hrd,hd->hr", to_query, curve.constant[:DIM].reshape(HEADS, HEAD_DIM))
    return np.concatenate([to_query @ q, to_key @ k, to_value @ v], axis=1), constants


def _fit(curve: _Curve, rows: FloatArray) -> tuple[Float32Array, Float32Array]:
    """Monomial coefficients of numerators and variance on the domain, by Chebyshev least squares."""
    nodes = np.cos(np.pi * (np.arange(4 * DEGREE) + 0.5) / (4 * DEGREE))
    toa = (DOMAIN[0] + DOMAIN[1]) / 2 + (DOMAIN[1] - DOMAIN[0]) / 2 * nodes
    features = curve.features(np.repeat(toa[:, None], len(curve.from_band), axis=1))
    orders = [chebyshev.cheb2poly(np.eye(DEGREE + 1)[i, : i + 1]) for i in range(DEGREE + 1)]
    to_monomials = np.stack([np.pad(order, (0, DEGREE - i)) for i, order in enumerate(orders)]).T
    solve = (to_monomials @ np.linalg.pinv(chebyshev.chebvander(nodes, DEGREE)))[::-1]
    numerators = np.einsum("dn,nbf,hcf->hcdb", solve, features, rows, optimize=True)
    variance = solve @ curve.variance(features)
    return _pad_bands(numerators), _pad_bands(variance)


def _pad_bands(values: FloatArray) -> Float32Array:
    extra = -values.shape[-1] % LANES
    widths = [(0, 0)] * (values.ndim - 1) + [(0, extra)]
    return np.ascontiguousarray(np.pad(values, widths, mode="edge").astype(np.float32))


@dataclass(frozen=True)
class _Reach:
    """How far logits go on the domain."""

    log2: float  # largest |log2 weight| of any pair of tokens
    product: float  # largest |query| · |key| of one direction; int16 with a product of 2^23 holds 128
    query_scale: FloatArray  # (heads, LOGIT_RANK): to int16; keys take 2^23 / scale
    value: FloatArray  # (heads, VALUE_RANK): largest |value|


def _reach(
    curve: _Curve, rows: FloatArray, constants: FloatArray, key_centre: FloatArray, value_centre: FloatArray
) -> _Reach:
    """Ranges over a grid of the domain, all bands."""
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
        # The extreme pairs lie on the hulls, which random directions find.
        q_hull, k_hull = (x[np.concatenate([(x @ directions).argmax(0), (x @ directions).argmin(0)])] for x in (q, k))
        log2 = max(log2, float(np.abs(q_hull @ k_hull.T).max()))
    q_largest, k_largest = np.array(q_most), np.array(k_most)
    scale = 2**11.5 * np.sqrt(k_largest / q_largest)
    return _Reach(log2, float((q_largest * k_largest).max()), scale, np.array(v_most))


def _attend(q: FloatArray, k: FloatArray, v: FloatArray, bands: int) -> FloatArray:
    """Attention outputs (samples, heads, 8) of queries, keys and values of whole spectra, each (samples, heads, 8)."""
    mixed = np.empty_like(v)
    for start in range(0, len(q), bands):
        spectrum = slice(start, start + bands)
        logits = np.einsum("ihd,jhd->hij", q[spectrum], k[spectrum], optimize=True) / np.sqrt(HEAD_DIM)
        weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        mixed[spectrum] = np.einsum("hij,jhd->ihd", weight, v[spectrum], optimize=True)
    return mixed


def _tail(
    weights: dict[str, FloatArray], curve: _Curve, from_value: FloatArray, value_mean: FloatArray, mixed: FloatArray
) -> dict[str, Float32Array | float]:
    """From attention outputs to the logit difference; see `Tables`. `mixed` are typical attention outputs."""
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
    """(64, heads · rank + 1): attention outputs and a 1 to the centred output of the attention layer."""
    columns = from_value[:, :, :rank].transpose(1, 0, 2).reshape(DIM, HEADS * rank)
    return np.column_stack([columns, constant])


def _coarse_tail(whole: FloatArray, first: FloatArray, mixed: FloatArray) -> dict[str, Float32Array | float]:
    """The layer's output on its COARSE_TAIL leading directions over typical spectra; of the others the mean square."""
    inputs = np.column_stack([mixed[:, :, :COARSE_VALUE_RANK].reshape(len(mixed), -1), np.ones(len(mixed))])
    outputs = inputs @ whole.T
    squares, directions = np.linalg.eigh(outputs.T @ outputs / len(outputs))
    kept = directions[:, ::-1][:, :COARSE_TAIL]
    return {
        "coarse_project": (kept.T @ whole).astype(np.float32),
        "coarse_hidden": (first @ kept).astype(np.float32),
        "coarse_rest": float(np.clip(squares[:-COARSE_TAIL], 0, None).sum()),
    }


def _features(mixed: FloatArray, tail: dict[str, Float32Array | float], eps: float) -> FloatArray:
    """Features (samples, 64) before pooling, of attention outputs (samples, heads, VALUE_RANK)."""
    inputs = np.column_stack([mixed.reshape(len(mixed), -1), np.ones(len(mixed))])
    norm = np.square(inputs @ np.asarray(tail["root"], np.float64).T).sum(axis=1) / DIM + eps
    hidden = inputs @ np.asarray(tail["hidden"], np.float64).T / np.sqrt(norm)[:, None] + tail["hidden_bias"]
    return gelu(hidden) @ np.asarray(tail["mixing"], np.float64).T


def gelu(x: FloatArray) -> FloatArray:
    """x Φ(x), by PyTorch: NumPy has no erf."""
    made: FloatArray = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    return made
