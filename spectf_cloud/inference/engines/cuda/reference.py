"""The CUDA kernel's stages in plain PyTorch, one by one: the kernel is tested against them.

With ``rounded``, operands are rounded where the kernel rounds them, so that its fidelity can be measured on many
spectra without a GPU. Without it, on float64 tables, the stages are the exact algebra.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spectf_cloud.inference.engines.cuda.tables import CudaTables
from spectf_cloud.inference.engines.native.reduction import HEAD_DIM, HEADS


def tokens(tables: CudaTables, toa: Tensor) -> Tensor:
    """Return normalised tokens (n, bands, 64) of toa (n, bands)."""
    made = 1 - 2 / (1 + torch.exp2(toa[..., None] * tables.from_toa + tables.from_band))
    made = made - made.mean(-1, keepdim=True)
    return made * torch.rsqrt(made.square().mean(-1, keepdim=True) + tables.first_eps)


def product(left: Tensor, right: Tensor, terms: int, rounded: bool) -> Tensor:
    """Return left @ right of float16 halves: 1 term multiplies the rounded numbers, 3 leave out rest times rest."""
    if not rounded:
        return left @ right
    (left_high, left_rest), (right_high, right_rest) = (halves(x, torch.float16) for x in (left, right))
    made = left_high @ right_high
    return made if terms == 1 else made + left_rest @ right_high + left_high @ right_rest


def queries(tables: CudaTables, toa: Tensor, rounded: bool = False) -> Tensor:
    """Return operands (n, 8, bands, 16): every column twice, 1 last."""
    made = product(tokens(tables, toa)[:, None], tables.query, 3, rounded) + tables.query_shift[:, None]
    return halves(made, torch.float16)[0] if rounded else made


def keys(tables: CudaTables, toa: Tensor, rounded: bool = False) -> Tensor:
    """Return operands (n, 8, bands, 16): every column and its rest, 0 last (nothing is masked)."""
    made = product(tokens(tables, toa), tables.key, 3, rounded) + tables.key_shift
    return _with_rest(made, torch.float16, 0.0, rounded)


def values(tables: CudaTables, toa: Tensor, rounded: bool = False) -> Tensor:
    """Return operands (n, 8, bands, 16): every column and its rest, 1 last."""
    made = product(tokens(tables, toa), tables.value, 3, rounded) + tables.value_shift
    return _with_rest(made, torch.bfloat16, 1.0, rounded)


def _with_rest(made: Tensor, dtype: torch.dtype, last: float, rounded: bool) -> Tensor:
    high, rest = halves(made, dtype) if rounded else (made, torch.zeros_like(made))
    pairs = torch.stack([high, rest], dim=-1)
    operand = pairs.view(*made.shape[:2], HEADS, 2 * HEAD_DIM).transpose(1, 2).contiguous()
    operand[..., -1] = last
    return operand


def attention(query: Tensor, key: Tensor, value: Tensor, rounded: bool = False) -> Tensor:
    """Return mixed values (n, 8, bands, 16), divided by the sum of weights in their last slot."""
    weight = torch.exp2(query @ key.transpose(-1, -2))
    mixed = (halves(weight, torch.bfloat16)[0] if rounded else weight) @ value
    return mixed / mixed[..., -1:]


def features(tables: CudaTables, mixed: Tensor, rounded: bool = False) -> Tensor:
    """Return features before pooling (n, bands, 64) of mixed values."""
    layer = product(mixed, tables.out, 1, rounded).sum(dim=1) + tables.out_shift
    layer = layer * torch.rsqrt(layer.square().mean(-1, keepdim=True) + tables.second_eps)
    hidden = torch.nn.functional.gelu(product(layer, tables.hidden, 1, rounded) + tables.hidden_shift)
    return product(hidden, tables.mixing, 1, rounded)


def logits(tables: CudaTables, toa: Tensor, rounded: bool = False) -> Tensor:
    """Return the logit of cloud (n,) of toa (n, bands) in the tables' dtype; every band asks."""
    query, key, value = (part(tables, toa, rounded) for part in (queries, keys, values))
    mixed = attention(query, key, value, rounded)
    return features(tables, mixed, rounded).amax(dim=1) @ tables.difference + tables.offset


def halves(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return x rounded to a 16-bit type, and the rest rounded to it."""
    high = x.to(dtype).to(x.dtype)
    return high, (x - high).to(dtype).to(x.dtype)
