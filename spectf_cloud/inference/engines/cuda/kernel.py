"""The CUDA kernel (Triton): from reflectance to logit; a program takes one pixel at a time through every stage.

docs/how-it-works/gpu.md explains the stages; `reference.py` has them in plain PyTorch. Rules that the interpreter does
not check: tiles are powers of two, and at least 16 where a product sums over them; operands of a product have one type;
pixel offsets are 64 bits wide; keys and values are read only after a barrier.
"""

from __future__ import annotations

import os

import triton
import triton.language as tl

from spectf_cloud.inference.engines.cuda.tables import MASKED, SLOTS, TILE
from spectf_cloud.inference.engines.native.reduction import DIM, DOMAIN, HEAD_DIM, HEADS

_DIM: tl.constexpr = tl.constexpr(DIM)
_HEADS: tl.constexpr = tl.constexpr(HEADS)
_SLOTS: tl.constexpr = tl.constexpr(SLOTS)
_TILE: tl.constexpr = tl.constexpr(TILE)
# Heads whose keys are made together: more would not fit the registers.
_GROUP: tl.constexpr = tl.constexpr(4)
_GROUP_COLUMNS: tl.constexpr = tl.constexpr(4 * HEAD_DIM)
_GROUP_SLOTS: tl.constexpr = tl.constexpr(4 * SLOTS)
_MASKED: tl.constexpr = tl.constexpr(MASKED)
_LEAST: tl.constexpr = tl.constexpr(DOMAIN[0])
_MOST: tl.constexpr = tl.constexpr(DOMAIN[1])
# The interpreter multiplies bfloat16 as if they were integers.
_INTERPRETED: tl.constexpr = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")
# 2^f on ±1/2, relative error 7.5e-5: far below that of a bfloat16 weight.
_EXP2_0: tl.constexpr = tl.constexpr(0.99992807)
_EXP2_1: tl.constexpr = tl.constexpr(0.69326099)
_EXP2_2: tl.constexpr = tl.constexpr(0.24261112)
_EXP2_3: tl.constexpr = tl.constexpr(0.05517166)


@triton.jit
def _dot3(high, rest, weight, weight_rest):
    """Multiply two float32 given as float16 halves; rest times rest is left out."""
    product = tl.dot(rest, weight)
    product = tl.dot(high, weight_rest, product)
    return tl.dot(high, weight, product)


@triton.jit
def _tokens(toa, place, inside, from_toa, from_band, eps):
    """Return reflectance (places,) and normalised tokens (places, 64) in float16 halves."""
    feature = tl.arange(0, _DIM)
    rho = tl.load(toa + place, mask=inside, other=0.0)
    exponent = tl.load(from_band + place[:, None] * _DIM + feature[None, :])
    exponent += rho[:, None] * tl.load(from_toa + feature)[None, :]
    made = 1.0 - 2.0 / (1.0 + tl.exp2(exponent))
    made -= (tl.sum(made, 1) / _DIM)[:, None]
    made *= tl.rsqrt(tl.sum(made * made, 1) / _DIM + eps)[:, None]
    high = made.to(tl.float16)
    return rho, high, (made - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _store_columns(to, made, last, inside):
    """Store the columns (places, 32) of 4 heads as slots: each column in the scratch's type, then its rest."""
    column = tl.arange(0, _GROUP_COLUMNS)
    high = made.to(to.dtype.element_ty)
    rest = (made - high.to(tl.float32)).to(to.dtype.element_ty)
    rest = tl.where((column % (_SLOTS // 2) == _SLOTS // 2 - 1)[None, :], last[:, None].to(rest.dtype), rest)
    tl.store(to, tl.reshape(tl.join(high, rest), (_TILE, _GROUP_SLOTS)), mask=inside[:, None])


@triton.jit
def _keys_and_values(
    start, toa, keys, values, bands, from_toa, from_band, eps,
    key, key_rest, key_shift, value, value_rest, value_shift, padded: tl.constexpr,
):  # fmt: skip
    """Write keys and values of a tile of bands to the program's scratch; return 1 if all are in the domain, else 0."""
    place = start + tl.arange(0, _TILE)
    inside = place < bands
    rho, high, rest = _tokens(toa, tl.minimum(place, bands - 1), inside, from_toa, from_band, eps)
    column = tl.arange(0, _GROUP_COLUMNS)
    slot = tl.arange(0, _GROUP_SLOTS)
    masked = tl.where(inside, 0.0, _MASKED)
    one = tl.full((_TILE,), 1.0, tl.float32)
    for group in range(_HEADS // _GROUP):
        shift_at = group * _GROUP_COLUMNS + column
        at = tl.arange(0, _DIM)[:, None] * _DIM + shift_at[None, :]
        head = group * _GROUP + slot // _SLOTS
        to = (head[None, :] * padded + place[:, None]) * _SLOTS + (slot % _SLOTS)[None, :]
        made = _dot3(high, rest, tl.load(key + at), tl.load(key_rest + at)) + tl.load(key_shift + shift_at)[None, :]
        _store_columns(keys + to, made, masked, place < padded)
        made = _dot3(high, rest, tl.load(value + at), tl.load(value_rest + at))
        _store_columns(values + to, made + tl.load(value_shift + shift_at)[None, :], one, place < padded)
    # Written so that NaN is outside.
    return tl.min(((rho >= _LEAST) & (rho <= _MOST)).to(tl.int32), 0)


@triton.jit
def _exp2_by_fma(x):
    """Return 2^x for |x| < 126 without the special-function unit: a sum gives the exponent, a cubic the mantissa."""
    shifted = x + 12582912.0  # 1.5 · 2^23: the last bits of the sum are the nearest integer
    fraction = x - (shifted - 12582912.0)
    power = _EXP2_2 + fraction * _EXP2_3
    power = _EXP2_1 + fraction * power
    power = _EXP2_0 + fraction * power
    bits = power.to(tl.int32, bitcast=True) + (shifted.to(tl.int32, bitcast=True) << 23)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _halve(x):
    """Return the left and right half of the columns, which the same thread holds."""
    return tl.split(tl.permute(tl.reshape(x, (x.shape[0], 2, x.shape[1] // 2)), (0, 2, 1)))


@triton.jit
def _unite(left, right):
    pairs = tl.permute(tl.join(left, right), (0, 2, 1))
    return tl.reshape(pairs, (left.shape[0], 2 * left.shape[1]))


@triton.jit
def _exp2(x, quarters: tl.constexpr):
    """Return 2^x, with this many quarters of the columns on the multiply-add units."""
    if quarters == 0:
        made = tl.exp2(x)
    elif quarters == 4:
        made = _exp2_by_fma(x)
    else:
        left, right = _halve(x)
        if quarters == 1:
            made = _unite(_exp2(left, 2), tl.exp2(right))
        elif quarters == 2:
            made = _unite(_exp2_by_fma(left), tl.exp2(right))
        else:
            made = _unite(_exp2_by_fma(left), _exp2(right, 2))
    return made


@triton.jit
def _attend(mixed, query, keys, values, start, size: tl.constexpr, quarters: tl.constexpr):
    """Add what size keys contribute to each query's values and, in the last slot, to the sum of its weights."""
    place = start + tl.arange(0, size)
    slot = tl.arange(0, _SLOTS)
    logit = tl.dot(query, tl.load(keys + place[None, :] * _SLOTS + slot[:, None]))
    weight = _exp2(logit, quarters).to(tl.bfloat16)
    value = tl.load(values + place[:, None] * _SLOTS + slot[None, :])
    if _INTERPRETED:
        return tl.dot(weight.to(tl.float32), value.to(tl.float32), mixed)
    return tl.dot(weight, value, mixed)


@triton.jit
def _features(
    start, toa, keys, values, bands, order, from_toa, from_band, first_eps, query, query_rest, query_shift,
    out, out_shift, hidden, hidden_shift, mixing, second_eps,
    full: tl.constexpr, tail: tl.constexpr, quarters: tl.constexpr,
):  # fmt: skip
    """Return the maxima (64,) of the last layer's features over the tile of asking bands that begins at ``start``."""
    rank = start + tl.arange(0, _TILE)
    place = tl.load(order + tl.minimum(rank, bands - 1))
    _, high, rest = _tokens(toa, place, rank < bands, from_toa, from_band, first_eps)
    feature = tl.arange(0, _DIM)
    slot = tl.arange(0, _SLOTS)
    layer = tl.zeros((_TILE, _DIM), tl.float32)
    for head in range(_HEADS):
        at = head * (_DIM * _SLOTS) + feature[:, None] * _SLOTS + slot[None, :]
        asking = _dot3(high, rest, tl.load(query + at), tl.load(query_rest + at))
        asking = (asking + tl.load(query_shift + head * _SLOTS + slot)[None, :]).to(tl.float16)
        head_at = head * ((full * _TILE + tail) * _SLOTS)
        mixed = tl.zeros((_TILE, _SLOTS), tl.float32)
        for tile in range(full):
            mixed = _attend(mixed, asking, keys + head_at, values + head_at, tile * _TILE, _TILE, quarters)
        if tail > 0:
            # Masked places are there only, and 2^−30000 is beyond the other way to 2^x.
            mixed = _attend(mixed, asking, keys + head_at, values + head_at, full * _TILE, tail, 0)
        mixed /= tl.sum(tl.where((slot == _SLOTS - 1)[None, :], mixed, 0.0), 1)[:, None]
        to = head * (_SLOTS * _DIM) + slot[:, None] * _DIM + feature[None, :]
        layer = tl.dot(mixed.to(tl.float16), tl.load(out + to), layer)
    layer += tl.load(out_shift + feature)[None, :]
    layer *= tl.rsqrt(tl.sum(layer * layer, 1) / _DIM + second_eps)[:, None]
    square = feature[:, None] * _DIM + feature[None, :]
    made = tl.dot(layer.to(tl.float16), tl.load(hidden + square)) + tl.load(hidden_shift + feature)[None, :]
    made = 0.5 * made * (1.0 + tl.erf(made * 0.7071067811865476))
    made = tl.dot(made.to(tl.float16), tl.load(mixing + square))
    return tl.max(tl.where((rank < bands)[:, None], made, float("-inf")), 0)


# Not compiled again for a number of pixels that is a multiple of 16.
@triton.jit(do_not_specialize=["pixels"])
def logits_kernel(
    toa, logits, scratch_keys, scratch_values, pixels, bands, order, from_toa, from_band,
    query, query_rest, query_shift, key, key_rest, key_shift, value, value_rest, value_shift,
    out, out_shift, hidden, hidden_shift, mixing, difference,
    offset, first_eps, second_eps, early_logit, half_logit, early_tiles, half_tiles,
    full: tl.constexpr, tail: tl.constexpr, quarters: tl.constexpr, early: tl.constexpr,
):  # fmt: skip
    """Compute logits (pixels,) of toa (pixels, bands), NaN where a value is outside the domain; see `CudaKernel`."""
    padded: tl.constexpr = full * _TILE + tail
    program = tl.program_id(0)
    keys = scratch_keys + program.to(tl.int64) * (_HEADS * padded * _SLOTS)
    values = scratch_values + program.to(tl.int64) * (_HEADS * padded * _SLOTS)
    feature = tl.arange(0, _DIM)
    towards_cloud = tl.load(difference + feature)
    for pixel in range(program, pixels, tl.num_programs(0)):
        row = toa + tl.cast(pixel, tl.int64) * bands
        good = 1
        for start in range(0, padded, _TILE):
            good = tl.minimum(good, _keys_and_values(
                start, row, keys, values, bands, from_toa, from_band, first_eps,
                key, key_rest, key_shift, value, value_rest, value_shift, padded))  # fmt: skip
        tl.debug_barrier()  # other warps wrote what this one reads
        most = tl.full((_DIM,), float("-inf"), tl.float32)
        logit = tl.full((), float("nan"), tl.float32)
        asking = good
        asked = 0
        for start in range(0, bands, _TILE):
            if asking > 0:
                most = tl.maximum(most, _features(
                    start, row, keys, values, bands, order, from_toa, from_band, first_eps,
                    query, query_rest, query_shift, out, out_shift, hidden, hidden_shift, mixing, second_eps,
                    full, tail, quarters))  # fmt: skip
                logit = tl.sum(most * towards_cloud) + offset
                asked += 1
                if early:
                    size = tl.abs(logit)
                    safe = ((asked >= early_tiles) & (size > early_logit)) | (
                        (asked >= half_tiles) & (size > half_logit)
                    )
                    asking = tl.where(safe, 0, 1)
        tl.store(logits + pixel, logit)
        tl.debug_barrier()  # the next pixel overwrites keys and values
