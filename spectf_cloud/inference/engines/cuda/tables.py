"""Tables of the CUDA kernel: all that depends on weights and band centres, computed in float64 and rounded once.

The algebra is that of the CPU kernel (`native/reduction.py`) without its curves: the device computes tanh and
LayerNorm itself, so any embedding is served and no direction is dropped. 16 slots of a tensor-core operand carry 8
numbers almost in float32; docs/how-it-works/gpu.md explains it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectf_cloud.inference.engines.native.reduction import (
    DIM,
    DOMAIN,
    HEAD_DIM,
    HEADS,
    TokenCurve,
    order_bands,
    reduce_logits,
    reduce_values,
)
from spectf_cloud.inference.engines.native.tables import MAX_LOG2, UnsupportedModelError, check_supported
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.numpy_spectf import LAYER_NORM_EPS

FloatArray = NDArray[np.float64]

#: Slots of a head in an operand: K of the smallest tensor-core product. Slots 2 j and 2 j + 1 belong to column j:
#: twice the query; the rounded key or value and what rounding left. The very last is 1 in queries, the mask in keys
#: and 1 in values.
SLOTS = 2 * HEAD_DIM
#: Bands that ask, or are asked, together: the rows of Hopper's warp-group product.
TILE = 64
#: Logit, in powers of two, of a place without a band.
MASKED = -30000.0
# float16 ends at 65504.
_MAX_OPERAND = 8192.0
_STUDIED = 128


@dataclass(frozen=True, eq=False)
class CudaTables:
    """What the kernel reads; float32 (int32 `order`), on the CPU as built, on the device after `to`.

    Attributes
    ----------
    from_toa, from_band
        (64,), (bands, 64): 2 log2(e) times the embedding, so that tanh is 1 − 2 / (1 + 2^x).
    order
        (bands,) bands in the order in which they ask, see `order_bands`.
    query, query_shift
        (8, 64, 16), (8, 16): head, feature, slot; from a normalised token, and what is added. Carry log2(e) / √8.
    key, value, key_shift, value_shift
        (64, 64), (64,): feature, 8 columns a head.
    out, out_shift
        (8, 16, 64), (64,): from a head's mixed slots to the layer's output; centred, so that LayerNorm has no mean
        to take.
    hidden, hidden_shift
        (64, 64), (64,): first feed-forward layer, input first, on the output divided by its norm.
    mixing, difference, offset
        Second feed-forward layer (64, 64), input first; head's cloud minus clear weights (64,); what biases add up to.
    first_eps, second_eps
        Of the LayerNorms.
    """

    from_toa: Tensor
    from_band: Tensor
    order: Tensor
    query: Tensor
    query_shift: Tensor
    key: Tensor
    key_shift: Tensor
    value: Tensor
    value_shift: Tensor
    out: Tensor
    out_shift: Tensor
    hidden: Tensor
    hidden_shift: Tensor
    mixing: Tensor
    difference: Tensor
    offset: float
    first_eps: float
    second_eps: float

    @property
    def bands(self) -> int:
        """Return the number of bands."""
        return len(self.from_band)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> CudaTables:
        """Return the tables on a device, or in float64 for the reference."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return CudaTables(**{name: _moved(value, device, dtype) for name, value in values.items()})  # type: ignore[arg-type]


def build_cuda_tables(model: SpecTfEncoder, typical_toa: FloatArray) -> CudaTables:
    """Build the tables of a network on the CPU and its bands.

    ``typical_toa`` (n, bands) are reflectances of typical spectra: they decide which directions are kept most
    accurately and in which order bands ask. Raises `UnsupportedModelError` for another shape, or for logits or
    operands beyond what the kernel's numbers hold.
    """
    check_supported(model)
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    curve = TokenCurve.of(model, weights)
    q, k, v = curve.heads(curve.features(typical_toa))
    to_query, to_key, key_mean = reduce_logits(q, k, HEAD_DIM)
    out_weight = weights["layers.0.attention.attention.out_proj.weight"]
    centred_out = (out_weight - out_weight.mean(axis=0)).reshape(DIM, HEADS, HEAD_DIM).transpose(1, 0, 2)
    to_value, from_value, value_mean = reduce_values(v, centred_out)
    value_size = _check_reach(curve, to_query, to_key, to_value, key_mean, value_mean)
    to_value, from_value = to_value / value_size[:, :, None], from_value * value_size[:, None, :]

    query, key, value = (
        to @ part.reshape(HEADS, HEAD_DIM, DIM)
        for to, part in zip((to_query, to_key, to_value), np.split(curve.numerator, 3), strict=True)
    )
    query_shift = np.einsum("hrd,hd->hr", to_query, curve.constant[:DIM].reshape(HEADS, HEAD_DIM))
    # Constants of keys cancel in the softmax; those of values, weights adding up to one, move behind the mean.
    constant = out_weight @ (curve.constant[2 * DIM :] + value_mean.reshape(-1))
    constant += weights["layers.0.attention.attention.out_proj.bias"]
    first, second = (weights[f"layers.0.ff.linear{i}.weight"] for i in (1, 2))
    difference = weights["head.weight"][1] - weights["head.weight"][0]
    offset = difference @ weights["layers.0.ff.linear2.bias"] + weights["head.bias"][1] - weights["head.bias"][0]
    exponent = 2 / math.log(2)
    return CudaTables(
        from_toa=_float32(curve.from_toa * exponent),
        from_band=_float32(curve.from_band * exponent),
        order=_asking_order(model, typical_toa[:_STUDIED], difference),
        query=_float32(_slots(query).transpose(0, 2, 1)),
        query_shift=_float32(_slots(query_shift, last=1.0)),
        key=_float32(key.reshape(DIM, DIM).T),
        key_shift=_float32(-np.einsum("hrd,hd->hr", to_key, key_mean).ravel()),
        value=_float32(value.reshape(DIM, DIM).T),
        value_shift=_float32(-np.einsum("hrd,hd->hr", to_value, value_mean).ravel()),
        out=_float32(_slots(from_value.transpose(0, 2, 1))),
        out_shift=_float32(constant - constant.mean()),
        hidden=_float32((first * weights["layers.0.norm2.weight"]).T),
        hidden_shift=_float32(first @ weights["layers.0.norm2.bias"] + weights["layers.0.ff.linear1.bias"]),
        mixing=_float32(second.T),
        difference=_float32(difference),
        offset=float(offset),
        first_eps=LAYER_NORM_EPS,
        second_eps=LAYER_NORM_EPS,
    )


def _check_reach(
    curve: TokenCurve,
    to_query: FloatArray,
    to_key: FloatArray,
    to_value: FloatArray,
    key_mean: FloatArray,
    value_mean: FloatArray,
) -> FloatArray:
    """Return the largest |value| (heads, 8) over a grid of the domain, all bands.

    Raises `UnsupportedModelError` where 2^logit or an operand would overflow: no maximum is ever subtracted.
    """
    grid = np.linspace(*DOMAIN, 37)
    q, k, v = curve.heads(curve.features(np.repeat(grid[:, None], len(curve.from_band), axis=1)))
    q = np.einsum("nhd,hrd->hnr", q, to_query)
    k = np.einsum("nhd,hrd->hnr", k - key_mean, to_key)
    v = np.einsum("nhd,hrd->hnr", v - value_mean, to_value)
    # The extreme pairs are on the hulls, which random directions find.
    directions = np.random.default_rng(0).standard_normal((HEAD_DIM, 400))
    hulls = [np.take_along_axis(x, (x @ directions).argmax(axis=1)[:, :, None], axis=1) for x in (q, k)]
    log2 = np.abs(hulls[0] @ hulls[1].transpose(0, 2, 1)).max()
    if not log2 < MAX_LOG2:
        raise UnsupportedModelError(f"attention weights reach 2^{log2:.0f}, the kernel holds 2^{MAX_LOG2:.0f}")
    largest = max(np.abs(q).max(), np.abs(k).max())
    if not largest < _MAX_OPERAND:
        raise UnsupportedModelError(f"queries or keys reach {largest:.0f}, the kernel holds {_MAX_OPERAND:.0f}")
    size: FloatArray = np.abs(v).max(axis=1)
    return np.maximum(size, 1e-30)


def _asking_order(model: SpecTfEncoder, toa: FloatArray, difference: FloatArray) -> Tensor:
    """Return (bands,) int32 by `order_bands`, from the network's features before pooling."""
    with torch.inference_mode():
        tokens = model.spectral_embed(torch.from_numpy(toa.astype(np.float32)), model.wavelength)
        features = model.layers[0](tokens).numpy()
    order, _ = order_bands(features, difference)
    return torch.from_numpy(order[: len(model.wavelength)].copy())


def _slots(columns: FloatArray, last: float = 0.0) -> FloatArray:
    """Return (heads, 16, ...) of (heads, 8, ...): every column twice, but ``last`` in the last slot."""
    made = np.repeat(columns, 2, axis=1)
    made[:, -1] = last
    return made


def _float32(values: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _moved(value: Tensor | float, device: torch.device | str, dtype: torch.dtype) -> Tensor | float:
    if not isinstance(value, Tensor):
        return value
    return value.to(device, dtype if value.is_floating_point() else value.dtype)
