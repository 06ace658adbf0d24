"""Rows of the Jacobian of pooled features by the network's parameters, kept as factors.

One row is the gradient of one pooled feature of one token set. For a weight matrix it is an outer product of two
short vectors (for keys and values one per head), so a row of 25,408 numbers is held as some 2,500, and products of
rows, of rows with a vector and of their transpose with a vector never write a row out. `pooled.py` is the oracle: a
test compares all three with autograd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from spectf_cloud.model import SpecTfEncoder

Parameters = dict[str, Tensor]
DIM, HEADS = 64, 8
_EPSILON = 1e-5
#: Sets at a time: few, so that what is made for all their tokens stays in cache.
_CHUNK_TOKENS = 1024


def parameters_of(model: SpecTfEncoder) -> Parameters:
    """Views of every parameter the pooled features depend on; the bias of the keys cancels in softmax."""
    embed, layer = model.spectral_embed.linear, model.layers[0]
    attention, ff = layer.attention.attention, layer.ff
    query, key, value = attention.in_proj_weight.data.split(DIM)
    query_bias, _, value_bias = attention.in_proj_bias.data.split(DIM)
    return {
        "embed": embed.weight.data,
        "embed_bias": embed.bias.data,
        "norm1": layer.norm1.weight.data,
        "norm1_bias": layer.norm1.bias.data,
        "query": query,
        "query_bias": query_bias,
        "key": key,
        "value": value,
        "value_bias": value_bias,
        "out": attention.out_proj.weight.data,
        "out_bias": attention.out_proj.bias.data,
        "norm2": layer.norm2.weight.data,
        "norm2_bias": layer.norm2.bias.data,
        "ff1": ff.linear1.weight.data,
        "ff1_bias": ff.linear1.bias.data,
        "ff2": ff.linear2.weight.data,
        "ff2_bias": ff.linear2.bias.data,
    }


#: The parameters whose part of a row is written out: embedding and first LayerNorm, 320 numbers.
SMALL = ("embed", "embed_bias", "norm1", "norm1_bias")


@dataclass
class Rows:
    """m rows, each times its weight. `d_x` is the gradient by x; `x` what that layer multiplies.

    feature (m,) int64, weight (m,); hidden, d_hidden, normed2, unit2, d_normed2, d_out, joined, d_query, token (m, 64);
    by head (m, 8, 8) `query`, `d_joined` and (m, 8, 64) `key_mean`, `value_mean`: tokens averaged with the weights
    that their keys' and values' gradients have; small (m, 320), the parameters of `SMALL` written out.
    """

    feature: Tensor
    weight: Tensor
    hidden: Tensor
    d_hidden: Tensor
    normed2: Tensor
    unit2: Tensor
    d_normed2: Tensor
    d_out: Tensor
    joined: Tensor
    d_query: Tensor
    token: Tensor
    query: Tensor
    d_joined: Tensor
    key_mean: Tensor
    value_mean: Tensor
    small: Tensor

    @classmethod
    def joined_up(cls, parts: list[Rows]) -> Rows:
        """Rows of several chunks as one."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def gram(self, slowness: float) -> Tensor:
        """Products of all pairs of rows (m, m); `slowness` scales those of `SMALL`."""
        same = (self.feature[:, None] == self.feature) * (self.weight[:, None] * self.weight)
        result = same * (self.hidden @ self.hidden.T + 1)
        result += slowness * (self.small @ self.small.T)
        result += (self.d_hidden @ self.d_hidden.T) * (self.normed2 @ self.normed2.T + 1)
        result += (self.d_out @ self.d_out.T) * (self.joined @ self.joined.T + 1)
        result += (self.d_query @ self.d_query.T) * (self.token @ self.token.T + 1)
        norm2 = torch.cat([self.d_normed2 * self.unit2, self.d_normed2], 1)
        result += norm2 @ norm2.T
        for head in range(HEADS):
            value, mean = self.d_joined[:, head], self.value_mean[:, head]
            result += (value @ value.T) * (mean @ mean.T + 1)
            query, mean = self.query[:, head], self.key_mean[:, head]
            result += (query @ query.T) * (mean @ mean.T)
        return result

    def times(self, step: Parameters) -> Tensor:
        """Each row times a step of all parameters (m,)."""
        by_head = {name: step[name].view(HEADS, DIM // HEADS, DIM) for name in ("key", "value")}
        keys = torch.einsum("hde,mhe->mhd", by_head["key"], self.key_mean)
        values = torch.einsum("hde,mhe->mhd", by_head["value"], self.value_mean)
        values += step["value_bias"].view(HEADS, -1)
        return (
            self.small @ torch.cat([step[name].reshape(-1) for name in SMALL])
            + (self.d_query * F.linear(self.token, step["query"], step["query_bias"])).sum(1)
            + (self.query * keys + self.d_joined * values).sum((1, 2))
            + (self.d_out * F.linear(self.joined, step["out"], step["out_bias"])).sum(1)
            + (self.d_normed2 * (self.unit2 * step["norm2"] + step["norm2_bias"])).sum(1)
            + (self.d_hidden * F.linear(self.normed2, step["ff1"], step["ff1_bias"])).sum(1)
            + self.weight * ((self.hidden * step["ff2"][self.feature]).sum(1) + step["ff2_bias"][self.feature])
        )

    def combine(self, share: Tensor, slowness: float) -> Parameters:
        """The rows added up with these shares (m,): a step of all parameters; `slowness` scales those of `SMALL`."""
        column = share[:, None]
        small = (share @ self.small * slowness).split([2 * DIM, DIM, DIM, DIM])

        def by_head(left: Tensor, right: Tensor) -> Tensor:
            return torch.einsum("mhd,mhe->hde", left * column[..., None], right).reshape(DIM, DIM)

        return {
            "embed": small[0].view(DIM, 2),
            "embed_bias": small[1],
            "norm1": small[2],
            "norm1_bias": small[3],
            "query": (column * self.d_query).T @ self.token,
            "query_bias": share @ self.d_query,
            "key": by_head(self.query, self.key_mean),
            "value": by_head(self.d_joined, self.value_mean),
            "value_bias": share @ self.d_joined.flatten(1),
            "out": (column * self.d_out).T @ self.joined,
            "out_bias": share @ self.d_out,
            "norm2": share @ (self.d_normed2 * self.unit2),
            "norm2_bias": share @ self.d_normed2,
            "ff1": (column * self.d_hidden).T @ self.normed2,
            "ff1_bias": share @ self.d_hidden,
            "ff2": torch.zeros(DIM, DIM).index_add_(0, self.feature, column * self.weight[:, None] * self.hidden),
            "ff2_bias": torch.zeros(DIM).index_add_(0, self.feature, share * self.weight),
        }


@torch.no_grad()
def features_and_rows(
    p: Parameters, toa: Tensor, wavelength: Tensor, feature: Tensor, weight: Tensor
) -> tuple[Tensor, Rows]:
    """Pooled features (b, 64) of token sets toa, wavelength (b, s), and the rows of some of them.

    feature (b, r) int64 says of which, weight (b, r) what each row is multiplied with; m is b · r.
    """
    size = max(1, _CHUNK_TOKENS // toa.shape[1])
    parts = [
        _chunk(p, *chunk)
        for chunk in zip(*(tensor.split(size) for tensor in (toa, wavelength, feature, weight)), strict=True)
    ]
    return torch.cat([part[0] for part in parts]), Rows.joined_up([part[1] for part in parts])


def _unit(values: Tensor) -> tuple[Tensor, Tensor]:
    """LayerNorm without its parameters, and the factor it divided by, inverted."""
    centred = values - values.mean(-1, keepdim=True)
    inverse = (centred.square().mean(-1, keepdim=True) + _EPSILON).rsqrt()
    return centred * inverse, inverse


def _through_unit(gradient: Tensor, unit: Tensor, inverse: Tensor) -> Tensor:
    """The gradient of `_unit`."""
    along = (gradient * unit).mean(-1, keepdim=True)
    return (gradient - gradient.mean(-1, keepdim=True) - unit * along) * inverse


def _chunk(p: Parameters, toa: Tensor, wavelength: Tensor, feature: Tensor, weight: Tensor) -> tuple[Tensor, Rows]:
    b, s, r = *toa.shape, feature.shape[1]
    scale = (DIM // HEADS) ** -0.5

    def split(values: Tensor) -> Tensor:
        return values.view(b, s, HEADS, -1).transpose(1, 2)

    # Forward, all tokens.
    pair = torch.stack([toa, wavelength], -1)
    embedded = torch.tanh(F.linear(pair, p["embed"], p["embed_bias"]))
    unit1, inverse1 = _unit(embedded)
    tokens = torch.addcmul(p["norm1_bias"], unit1, p["norm1"])
    query = split(F.linear(tokens, p["query"], p["query_bias"]))
    key, value = split(F.linear(tokens, p["key"])), split(F.linear(tokens, p["value"], p["value_bias"]))
    joined = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(b, s, DIM)
    out = F.linear(joined, p["out"], p["out_bias"])
    normed2 = torch.addcmul(p["norm2_bias"], _unit(out)[0], p["norm2"])
    last = F.linear(F.gelu(F.linear(normed2, p["ff1"], p["ff1_bias"])), p["ff2"], p["ff2_bias"])
    pooled, winners = last.max(1)
    winner = winners.gather(1, feature)

    def take(values: Tensor) -> Tensor:
        return values.gather(1, winner[..., None].expand(-1, -1, DIM))

    # Backward from the asked features, each through its winning token's query and all keys and values.
    token, joined = take(tokens), take(joined)
    unit2, inverse2 = _unit(take(out))
    normed2 = torch.addcmul(p["norm2_bias"], unit2, p["norm2"])
    pre = F.linear(normed2, p["ff1"], p["ff1_bias"])
    below = 0.5 * (1 + torch.erf(pre / math.sqrt(2)))
    slope = below + pre * torch.exp(-0.5 * pre * pre) / math.sqrt(2 * math.pi)
    d_hidden = p["ff2"][feature] * slope * weight[..., None]
    d_normed2 = d_hidden @ p["ff1"]
    d_out = _through_unit(d_normed2 * p["norm2"], unit2, inverse2)
    d_joined = (d_out @ p["out"]).view(b, r, HEADS, -1).transpose(1, 2)
    asked = query.gather(2, winner[:, None, :, None].expand(-1, HEADS, -1, DIM // HEADS))
    share = torch.softmax(asked @ key.transpose(2, 3) * scale, -1)
    d_share = d_joined @ value.transpose(2, 3)
    d_logit = share * (d_share - (share * d_share).sum(-1, keepdim=True)) * scale
    d_query = (d_logit @ key).transpose(1, 2).reshape(b, r, DIM)

    # On to the tokens (b, r, s, 64): every key and value, and the winning query.
    through_key = torch.einsum("bhrd,hde->bhre", asked, p["key"].view(HEADS, -1, DIM))
    through_value = torch.einsum("bhrd,hde->bhre", d_joined, p["value"].view(HEADS, -1, DIM))
    shares = torch.cat([d_logit, share], 1).permute(0, 2, 3, 1)
    d_tokens = shares @ torch.cat([through_key, through_value], 1).transpose(1, 2)
    d_tokens.scatter_add_(2, winner[..., None, None].expand(-1, -1, 1, DIM), (d_query @ p["query"]).unsqueeze(2))
    d_norm1, d_norm1_bias = torch.einsum("brsd,bsd->brd", d_tokens, unit1), d_tokens.sum(2)
    d_pre = _through_unit(d_tokens.mul_(p["norm1"]), unit1[:, None], inverse1[:, None])
    d_pre *= (1 - embedded * embedded)[:, None]
    d_embed = torch.einsum("brsd,bsc->brdc", d_pre, pair)

    def by_head(values: Tensor) -> Tensor:
        return values.transpose(1, 2).flatten(0, 1)

    flat = [tensor.flatten(0, 1) for tensor in (feature, weight, pre * below, d_hidden, normed2, unit2, d_normed2)]
    small = torch.cat([d_embed.flatten(2), d_pre.sum(2), d_norm1, d_norm1_bias], 2)
    rest = [tensor.flatten(0, 1) for tensor in (d_out, joined, d_query, token)]
    heads = [by_head(tensor) for tensor in (asked, d_joined, d_logit @ tokens[:, None], share @ tokens[:, None])]
    return pooled, Rows(*flat, *rest, *heads, small.flatten(0, 1))
