"""The network's forward pass for training with max pooling: gradients for the winning tokens only.

Max pooling passes each pooled feature's gradient to one token. So a first pass without a graph finds the winner
of each feature, and a second builds the graph for those queries alone, over all keys. Value and gradients are the
same, at a fraction of the cost, since a pixel has more bands than features. Dropout stays exact because its masks are
drawn once and used in both passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spectf_cloud.model import EncoderLayer, SpecTfEncoder


@dataclass(frozen=True)
class Masks:
    """What dropout keeps, as bool, and the factor that compensates for the rest.

    ``attention`` (b, heads, s, s); ``attended``, ``transformed`` (b, s, d); ``hidden`` (b, s, dim_ff).
    """

    attention: Tensor
    attended: Tensor
    hidden: Tensor
    transformed: Tensor
    factor: float

    @classmethod
    def draw(cls, model: SpecTfEncoder, batch: int, bands: int) -> Masks | None:
        """Draw masks from the global generator; None where nothing is dropped.

        A random byte decides, so the probability is rounded to 1/256; the factor matches it exactly.
        """
        config = model.config
        dropped = round(config.dropout * 256)
        if dropped == 0 or not model.training:
            return None
        device = model.wavelength.device

        def kept(*shape: int) -> Tensor:
            return _random_bytes_from(dropped, shape, device)

        return cls(
            kept(batch, config.num_heads, bands, bands),
            kept(batch, bands, config.dim_proj),
            kept(batch, bands, config.dim_ff),
            kept(batch, bands, config.dim_proj),
            256 / (256 - dropped),
        )

    def of_queries(self, index: Tensor) -> Masks:
        """Return the masks of the queries ``index`` (b, q) only."""
        batch, heads, bands, _ = self.attention.shape
        rows = (
            torch.arange(batch * heads, device=index.device).view(batch, heads, 1) * bands + index[:, None]
        ).flatten()
        attention = self.attention.view(-1, bands).index_select(0, rows).view(batch, heads, -1, bands)
        return Masks(
            attention,
            _pick(self.attended, index),
            _pick(self.hidden, index),
            _pick(self.transformed, index),
            self.factor,
        )


def logits(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor) -> Tensor:
    """Return logits (b, dim_output) of toa (b, s) at the normalised wavelength (s,) or (b, s).

    Value and gradients equal those of the whole network; winners are used where that is faster.
    """
    tokens = embed(model, toa, wavelength)
    config = model.config
    if config.agg == "max" and config.num_layers == 1 and toa.shape[1] > config.dim_proj:
        pooled = pooled_by_winners(model, tokens, Masks.draw(model, *toa.shape))
    else:
        for layer in model.layers:
            tokens = layer(tokens)
        pooled = (
            tokens.amax(1) if config.agg == "max" else tokens.mean(1) if config.agg == "mean" else tokens.flatten(1)
        )
    result: Tensor = model.head(pooled)
    return result


def pooled_by_winners(model: SpecTfEncoder, tokens: Tensor, masks: Masks | None) -> Tensor:
    """Return max-pooled features (b, d) of embedded tokens (b, s, d)."""
    layer = _only_layer(model)
    normed = layer.norm1(tokens)
    key, value = _keys_values(layer, normed)
    with torch.no_grad():
        hidden = hidden_of(layer, tokens, normed, key, value, masks)
        winner = _output(layer, *hidden, masks).argmax(1)
    if masks is not None:
        masks = masks.of_queries(winner)
    tokens, normed = _pick(tokens, winner), _pick(normed, winner)
    hidden_units, skipped = hidden_of(layer, tokens, normed, key, value, masks)
    # Query k answers for feature k alone: a row-wise product in place of the second linear map.
    feature = (hidden_units * layer.ff.linear2.weight).sum(-1) + layer.ff.linear2.bias
    if masks is not None:
        feature = feature * _diagonal(masks.transformed) * masks.factor
    return feature if skipped is None else feature + _diagonal(skipped)


def embed(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor) -> Tensor:
    """Return tokens (b, s, d) of toa (b, s) at the normalised wavelength (s,) or (b, s)."""
    if wavelength.ndim == 1:
        embedded: Tensor = model.spectral_embed(toa, wavelength)
        return embedded
    linear = model.spectral_embed.linear
    pre = torch.addcmul(linear.bias, toa.unsqueeze(-1), linear.weight[:, 0])
    return torch.tanh(torch.addcmul(pre, wavelength.unsqueeze(-1), linear.weight[:, 1]))


def hidden_of(
    layer: EncoderLayer, tokens: Tensor, normed: Tensor, key: Tensor, value: Tensor, masks: Masks | None
) -> tuple[Tensor, Tensor | None]:
    """Return the units before the last linear map (b, q, dim_ff) and the residual (b, q, d) of queries (b, q, d)."""
    mha = layer.attention.attention
    batch, queries, dim = normed.shape
    query = F.linear(normed, mha.in_proj_weight[:dim], mha.in_proj_bias[:dim])
    query = query.view(batch, queries, mha.num_heads, -1).transpose(1, 2)
    if masks is None:
        mixed = F.scaled_dot_product_attention(query, key, value)
    elif not torch.is_grad_enabled() and query.device.type == "cpu" and query.dtype == torch.float32:
        mixed = _mixed_in_cache(query, key, value, masks)
    else:
        weights = torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(2, 3), -1)
        # A float mask: multiplication by another type is several times slower.
        mixed = (weights * masks.attention.to(weights.dtype)) @ (value * masks.factor)
    attended = mha.out_proj(mixed.transpose(1, 2).reshape(batch, queries, dim))
    if masks is not None:
        attended = attended * masks.attended * masks.factor
    if layer.use_residual:
        attended = tokens + attended
    hidden = F.gelu(layer.ff.linear1(layer.norm2(attended)))
    if masks is not None:
        hidden = hidden * masks.hidden * masks.factor
    return hidden, attended if layer.use_residual else None


def _mixed_in_cache(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
    """Return attention under dropout without a graph, by spectrum: all weights stay in the core's cache."""
    batch, heads, queries, width = query.shape
    weights, scratch = (torch.empty(heads, queries, key.shape[2]) for _ in range(2))
    mixed = torch.empty(batch, heads, queries, width)
    scaled = query * width**-0.5
    for row in range(batch):
        torch.bmm(scaled[row], key[row].transpose(1, 2), out=scratch)
        torch.softmax(scratch, -1, out=weights)
        weights.mul_(scratch.copy_(masks.attention[row]))
        torch.bmm(weights, value[row] * masks.factor, out=mixed[row])
    return mixed


def _output(layer: EncoderLayer, hidden: Tensor, skipped: Tensor | None, masks: Masks | None) -> Tensor:
    output: Tensor = layer.ff.linear2(hidden)
    if masks is not None:
        output = output * masks.transformed * masks.factor
    return output if skipped is None else output + skipped


def _keys_values(layer: EncoderLayer, normed: Tensor) -> tuple[Tensor, Tensor]:
    mha = layer.attention.attention
    batch, bands, dim = normed.shape
    packed = F.linear(normed, mha.in_proj_weight[dim:], mha.in_proj_bias[dim:])
    key, value = packed.view(batch, bands, 2, mha.num_heads, -1).permute(2, 0, 3, 1, 4)
    return key, value


def _only_layer(model: SpecTfEncoder) -> EncoderLayer:
    layer = model.layers[0]
    assert isinstance(layer, EncoderLayer)
    return layer


def _pick(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index.unsqueeze(-1).expand(-1, -1, values.shape[2]))


def _diagonal(values: Tensor) -> Tensor:
    return values.diagonal(dim1=1, dim2=2)


def _random_bytes_from(least: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw uniform random bytes, eight at a time, and return as bool which are at least ``least``."""
    count = math.prod(shape)
    words = (count + 7) // 8
    if device.type == "cpu":  # numpy draws and compares bytes several times faster
        seed = int(torch.randint(2**62, ()))
        drawn = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**64, words, dtype=np.uint64)
        return torch.from_numpy(drawn.view(np.uint8)[:count] >= least).view(shape)
    drawn_there = torch.empty(words, dtype=torch.int64, device=device).random_(-(2**63), None)
    return (drawn_there.view(torch.uint8)[:count] >= least).view(shape)
