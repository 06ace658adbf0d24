"""Tables of the CPU kernel: all that depends on the weights and the band centres, and not on pixels.

docs/how-it-works/inference.md explains the algebra. In short, a band's token depends on one number, the reflectance, so
queries, keys and values are curves, and each is fitted by a polynomial. Logits and values are reduced to the few
directions that matter. The tables are computed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from spectf_cloud.architecture import Architecture
from spectf_cloud.inference.engines.native.reduction import (
    DIM,
    DOMAIN,
    HEAD_DIM,
    HEADS,
    LANES,
    LOGIT_RANK,
    TokenCurve,
    attend,
    find_reach,
    order_bands,
    reduce_logits,
    reduce_values,
)
from spectf_cloud.inference.engines.native.tail_tables import COARSE_VALUE_RANK, features_before_pooling, tail_tables
from spectf_cloud.models.numpy_spectf import LAYER_NORM_EPS, NumpySpecTf

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]

#: Directions of the logits that the coarse pass uses.
COARSE_LOGIT_RANK = 4
#: Number of typical spectra whose attention is computed to choose directions and orders.
_STUDIED = 128
DEGREE, COARSE_DEGREE = 10, 7
#: Largest |log2| of an unnormalised attention weight that float32 can still sum.
MAX_LOG2 = 120.0


class UnsupportedModelError(Exception):
    """The kernel cannot serve this network; the message says why. Caught by `pick_backend`."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What the kernel reads; bands are padded to a multiple of 16 with copies of the last.

    Attributes
    ----------
    curves
        (heads, q + k + v columns, degree + 1, padded bands): numerators of queries, keys and values as
        monomials of (reflectance − mid) / half, highest power first. Queries carry log2 e / √8.
        The queries' bands are in the order of `order`.
    coarse_curves
        The same with the coarse pass's fewer columns and lower degree.
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
    coarse_curves: Float32Array
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
        """Return the number of bands rounded up to whole vectors."""
        return int(self.curves.shape[-1])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return every field as an array, for `numpy.savez`."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> Tables:
        """Build the tables from the result of `to_arrays`."""
        values: dict[str, Any] = {k: v.item() if v.ndim == 0 else np.ascontiguousarray(v) for k, v in arrays.items()}
        return cls(**values)


def check_supported(model: SpecTfEncoder | NumpySpecTf) -> None:
    """Raise `UnsupportedModelError` unless the network has the published shape; dropout may differ."""
    config, published = model.config, Architecture()
    for name in ("dim_output", "num_heads", "dim_proj", "dim_ff", "agg", "use_residual", "num_layers"):
        if getattr(config, name) != getattr(published, name):
            wanted = getattr(published, name)
            raise UnsupportedModelError(f"{name} is {getattr(config, name)}, the kernel is for {wanted}")
    if not 2 <= len(model.wavelength) <= 512:
        raise UnsupportedModelError(f"{len(model.wavelength)} bands, the kernel takes 2 to 512")


def build_tables(model: SpecTfEncoder | NumpySpecTf, typical_toa: FloatArray) -> Tables:
    """Build the tables of a network and its bands.

    Parameters
    ----------
    model
        A network of the published shape.
    typical_toa
        (n, bands) reflectance of typical spectra, which decides which directions are kept.

    Raises
    ------
    UnsupportedModelError
        Another shape, or logits beyond the exponent range of the kernel.
    """
    check_supported(model)
    weights = {name: value.astype(np.float64) for name, value in NumpySpecTf.of(model).tensors.items()}
    curve = TokenCurve.of(model, weights)
    n_bands = len(curve.from_band)
    q, k, v = curve.heads(curve.features(typical_toa))
    to_query, to_key, key_mean = reduce_logits(q, k)
    out_weight = weights["layers.0.attention.attention.out_proj.weight"]
    centred_out = (out_weight - out_weight.mean(axis=0)).reshape(DIM, HEADS, HEAD_DIM).transpose(1, 0, 2)
    to_value, from_value, value_mean = reduce_values(v, centred_out)
    rows, constants = _stack_heads(curve, to_query, to_key, to_value)
    key_centre = np.einsum("hrd,hd->hr", to_key, key_mean)
    value_centre = np.einsum("hrd,hd->hr", to_value, value_mean)
    reach = find_reach(curve, rows, constants, key_centre, value_centre)
    # Values are scaled to ±1, and so are attention outputs, their means: fixed-point numbers can hold them.
    rows[:, 2 * LOGIT_RANK :] /= reach.value[:, :, None]
    value_centre /= reach.value
    from_value *= reach.value[:, None, :]
    studied = slice(0, _STUDIED * n_bands)
    mixed = attend(q[studied], k[studied], v[studied] - value_mean, n_bands)
    mixed = np.einsum("nhd,hrd->nhr", mixed, to_value) / reach.value
    tail = tail_tables(weights, curve, from_value, value_mean, mixed)
    coefficients, variance = _fit(curve, rows, DEGREE)
    coarse, _ = _fit(curve, rows[:, _coarse_columns()], COARSE_DEGREE)
    features = features_before_pooling(mixed, tail, LAYER_NORM_EPS).reshape(-1, n_bands, DIM)
    order, stages = order_bands(features, np.asarray(tail["difference"], np.float64))
    coefficients[:, :LOGIT_RANK] = coefficients[:, :LOGIT_RANK, :, order]
    coarse[:, :COARSE_LOGIT_RANK] = coarse[:, :COARSE_LOGIT_RANK, :, order]
    tables = Tables(
        bands=n_bands,
        order=order,
        stages=stages,
        curves=coefficients,
        coarse_curves=coarse,
        variance=variance,
        query_variance=np.ascontiguousarray(variance[:, order]),
        query_constant=constants.astype(np.float32),
        query_scale=reach.query_scale.astype(np.float32),
        key_centre=key_centre.astype(np.float32),
        value_centre=value_centre.astype(np.float32),
        largest_log2=reach.log2,
        largest_product=reach.product,
        **tail,  # type: ignore[arg-type]
        layer_norm_eps=LAYER_NORM_EPS,
    )
    if not tables.largest_log2 < MAX_LOG2:
        reached = f"2^{tables.largest_log2:.0f}"
        raise UnsupportedModelError(f"attention weights reach {reached}, the kernel holds 2^{MAX_LOG2:.0f}")
    return tables


def _stack_heads(
    curve: TokenCurve, to_query: FloatArray, to_key: FloatArray, to_value: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the rows (heads, columns, 64) from tanh features to a head's columns, and the queries' constants."""
    q, k, v = (part.reshape(HEADS, HEAD_DIM, DIM) for part in np.split(curve.numerator, 3))
    constants = np.einsum("hrd,hd->hr", to_query, curve.constant[:DIM].reshape(HEADS, HEAD_DIM))
    return np.concatenate([to_query @ q, to_key @ k, to_value @ v], axis=1), constants


def _fit(curve: TokenCurve, rows: FloatArray, degree: int) -> tuple[Float32Array, Float32Array]:
    """Fit monomial coefficients of numerators and variance on the domain, by Chebyshev least squares."""
    nodes = np.cos(np.pi * (np.arange(4 * degree) + 0.5) / (4 * degree))
    toa = (DOMAIN[0] + DOMAIN[1]) / 2 + (DOMAIN[1] - DOMAIN[0]) / 2 * nodes
    features = curve.features(np.repeat(toa[:, None], len(curve.from_band), axis=1))
    orders = [chebyshev.cheb2poly(np.eye(degree + 1)[i, : i + 1]) for i in range(degree + 1)]
    to_monomials = np.stack([np.pad(order, (0, degree - i)) for i, order in enumerate(orders)]).T
    solve = (to_monomials @ np.linalg.pinv(chebyshev.chebvander(nodes, degree)))[::-1]
    numerators = np.einsum("dn,nbf,hcf->hcdb", solve, features, rows, optimize=True)
    variance = solve @ curve.variance(features)
    return _pad_bands(numerators), _pad_bands(variance)


def _coarse_columns() -> list[int]:
    return [
        *range(COARSE_LOGIT_RANK),
        *range(LOGIT_RANK, LOGIT_RANK + COARSE_LOGIT_RANK),
        *range(2 * LOGIT_RANK, 2 * LOGIT_RANK + COARSE_VALUE_RANK),
    ]


def _pad_bands(values: FloatArray) -> Float32Array:
    extra = -values.shape[-1] % LANES
    widths = [(0, 0)] * (values.ndim - 1) + [(0, extra)]
    return np.ascontiguousarray(np.pad(values, widths, mode="edge").astype(np.float32))
