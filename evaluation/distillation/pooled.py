"""The network's forward for training: any set of (reflectance, wavelength) tokens per sample, arg-max queries only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spectf_cloud.model import SpecTfEncoder

#: Up to so many tokens, attention by elementwise products is the quicker one.
TINY = 8


def embed(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor) -> Tensor:
    """toa (b, s) reflectance, wavelength (b, s) normalised → normed tokens (b, s, d)."""
    linear = model.spectral_embed.linear
    pre = torch.addcmul(linear.bias, toa.unsqueeze(-1), linear.weight[:, 0])
    pre = torch.addcmul(pre, wavelength.unsqueeze(-1), linear.weight[:, 1])
    tokens: Tensor = model.layers[0].norm1(torch.tanh(pre))
    return tokens


def keys_values(model: SpecTfEncoder, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Normed tokens (b, s, d) → keys and values, each (b, heads, s, d / heads)."""
    mha = model.layers[0].attention.attention
    b, s, d = tokens.shape
    packed = F.linear(tokens, mha.in_proj_weight[d:], mha.in_proj_bias[d:])
    key, value = packed.view(b, s, 2, mha.num_heads, -1).permute(2, 0, 3, 1, 4)
    return key, value


def outputs(model: SpecTfEncoder, queries: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What each query token (b, q, d) becomes before pooling, attending to all keys: (b, q, d)."""
    layer = model.layers[0]
    mha = layer.attention.attention
    b, q, d = queries.shape
    query = F.linear(queries, mha.in_proj_weight[:d], mha.in_proj_bias[:d])
    query = query.view(b, q, mha.num_heads, -1).transpose(1, 2)
    attend = tiny_attention if key.shape[2] <= TINY else F.scaled_dot_product_attention
    mixed = attend(query, key, value)
    joined = mha.out_proj(mixed.transpose(1, 2).reshape(b, q, d))
    result: Tensor = layer.ff(layer.norm2(joined))
    return result


def tiny_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention by elementwise products: quicker than many tiny matrix products."""
    if key.shape[2] == 1:
        return value.expand_as(query)
    scores = (query.unsqueeze(3) * key.unsqueeze(2)).sum(-1) * query.shape[-1] ** -0.5
    return (scores.softmax(-1).unsqueeze(-1) * value.unsqueeze(2)).sum(3)


def features(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor, winners_only: bool = True) -> Tensor:
    """Max-pooled features (b, d).

    Only the arg-max tokens receive gradient, so a first pass without a graph finds them and a second builds the
    graph for those queries over all keys: the same value and gradient at about half the cost.
    """
    tokens = embed(model, toa, wavelength)
    key, value = keys_values(model, tokens)
    if not winners_only or not torch.is_grad_enabled() or tokens.shape[1] <= 64:
        return outputs(model, tokens, key, value).amax(1)
    with torch.no_grad():
        winner = outputs(model, tokens, key, value).argmax(1)
    return _of_winners(model, tokens, key, value, *unique_per_row(winner, tokens.shape[1]))


def winners(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens that win any feature and where in them each feature's winner stands, as `unique_per_row` has them."""
    tokens = embed(model, toa, wavelength)
    winner = outputs(model, tokens, *keys_values(model, tokens)).argmax(1)
    return unique_per_row(winner, tokens.shape[1])


def features_at(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor, needed: Tensor, place: Tensor) -> Tensor:
    """`features` (b, d) where `winners` is known: no index is sought, so that it may run under `torch.func.vmap`."""
    tokens = embed(model, toa, wavelength)
    return _of_winners(model, tokens, *keys_values(model, tokens), needed, place)


def _of_winners(
    model: SpecTfEncoder, tokens: Tensor, key: Tensor, value: Tensor, needed: Tensor, place: Tensor
) -> Tensor:
    queries = tokens.gather(1, needed.unsqueeze(-1).expand(-1, -1, tokens.shape[2]))
    return outputs(model, queries, key, value).gather(1, place.unsqueeze(1)).squeeze(1)


def unique_per_row(winner: Tensor, bands: int) -> tuple[Tensor, Tensor]:
    """winner (b, d) token numbers → (tokens needed (b, q) padded, where in it each winner stands (b, d))."""
    present = torch.zeros(len(winner), bands, dtype=torch.bool).scatter_(1, winner, True)
    rank = present.cumsum(1) - 1
    width = int(rank[:, -1].max()) + 1
    row, column = present.nonzero(as_tuple=True)
    needed = torch.zeros(len(present), width, dtype=torch.int64)
    needed[row, rank[row, column]] = column
    return needed, rank.gather(1, winner)
