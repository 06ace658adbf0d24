"""The SpecTf network: a transformer over the bands of one pixel.

This is the readable reference that faster backends are compared with. Its constructor and its state-dict names are
those of the published class, so published weights load with ``strict=True``. It computes in plain float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spectf_cloud.architecture import WAVELENGTH_CENTRE_NM as WAVELENGTH_CENTRE_NM
from spectf_cloud.architecture import WAVELENGTH_SCALE_NM as WAVELENGTH_SCALE_NM
from spectf_cloud.architecture import Aggregation, Architecture
from spectf_cloud.errors import ModelError


def normalise_wavelength(wavelength_nm: Sequence[float] | np.ndarray | Tensor) -> Tensor:
    """Return (λ − 1440)/600, computed in float64 and only then rounded to float32 (s,).

    Casting nanometres to a short type first would merge neighbouring EMIT bands.

    >>> normalise_wavelength([1440.0, 2040.0])
    tensor([0., 1.])
    """
    wavelength = torch.from_numpy(np.array(wavelength_nm, dtype=np.float64))
    return ((wavelength - WAVELENGTH_CENTRE_NM) / WAVELENGTH_SCALE_NM).to(torch.float32)


class SpectralEmbedding(nn.Module):
    """(reflectance, normalised wavelength) → token: Linear(2, dim_proj) and tanh."""

    def __init__(self, dim_proj: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2, dim_proj)

    def forward(self, toa: Tensor, wavelength: Tensor) -> Tensor:
        """Return tokens (b, s, dim_proj) of toa (b, s) at the normalised wavelength (s,)."""
        # Two outer products instead of a stacked (b, s, 2) input: no copy of the pixels.
        from_toa = toa.unsqueeze(-1) * self.linear.weight[:, 0]
        from_wavelength = torch.outer(wavelength, self.linear.weight[:, 1]) + self.linear.bias
        return torch.tanh(from_toa + from_wavelength)


class SelfAttention(nn.Module):
    """Multi-head self-attention over bands; parameters held in `nn.MultiheadAttention` for its names."""

    def __init__(self, dim_proj: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim_proj, num_heads, dropout=dropout, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (b, s, d) of tokens (b, s, d): one packed projection, then scaled dot-product attention."""
        mha = self.attention
        batch, bands, dim = tokens.shape
        packed = F.linear(tokens, mha.in_proj_weight, mha.in_proj_bias)
        heads = packed.view(batch, bands, 3, mha.num_heads, dim // mha.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        dropout = mha.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        joined: Tensor = mha.out_proj(mixed.transpose(1, 2).reshape(batch, bands, dim))
        return joined


class FeedForward(nn.Module):
    """Linear → GELU (erf) → Linear, token by token."""

    def __init__(self, dim_proj: int, dim_ff: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim_proj, dim_ff)
        self.linear2 = nn.Linear(dim_ff, dim_proj)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (b, s, d) of tokens (b, s, d)."""
        hidden: Tensor = self.linear2(self.dropout(F.gelu(self.linear1(tokens))))
        return hidden


class EncoderLayer(nn.Module):
    """LayerNorm → attention → LayerNorm → feed-forward, each optionally with a residual."""

    def __init__(self, dim_proj: int, num_heads: int, dim_ff: int, dropout: float, use_residual: bool) -> None:
        super().__init__()
        self.attention = SelfAttention(dim_proj, num_heads, dropout)
        self.ff = FeedForward(dim_proj, dim_ff, dropout)
        self.norm1 = nn.LayerNorm(dim_proj)
        self.norm2 = nn.LayerNorm(dim_proj)
        self.dropout = nn.Dropout(dropout)
        self.use_residual = use_residual

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (b, s, d) of tokens (b, s, d)."""
        attended = self.dropout(self.attention(self.norm1(tokens)))
        tokens = tokens + attended if self.use_residual else attended
        transformed: Tensor = self.dropout(self.ff(self.norm2(tokens)))
        return tokens + transformed if self.use_residual else transformed


@dataclass(frozen=True)
class ModelConfig(Architecture):
    """An architecture that knows how to become a network."""

    def build(self, wavelength_nm: Sequence[float] | np.ndarray | Tensor) -> SpecTfEncoder:
        """Return a freshly initialised network for these band centres (nm)."""
        return SpecTfEncoder(wavelength_nm, **asdict(self))


class SpecTfEncoder(nn.Module):
    """The published per-pixel spectral transformer.

    Parameters
    ----------
    banddef
        Band centres, nm, (s,), in any order and number. ``agg="flat"`` ties the head to that number.
    dim_output, num_heads, dim_proj, dim_ff, dropout, agg, use_residual, num_layers
        See `ModelConfig`.
    """

    wavelength: Tensor

    def __init__(
        self,
        banddef: Sequence[float] | np.ndarray | Tensor,
        dim_output: int = 2,
        num_heads: int = 8,
        dim_proj: int = 64,
        dim_ff: int = 64,
        dropout: float = 0.0,
        agg: Aggregation = "max",
        use_residual: bool = False,
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        self.config = ModelConfig(dim_output, num_heads, dim_proj, dim_ff, dropout, agg, use_residual, num_layers)
        # Not in the state dict: the same weights serve any band set.
        self.register_buffer("wavelength", normalise_wavelength(banddef), persistent=False)
        self.spectral_embed = SpectralEmbedding(dim_proj)
        self.layers = nn.ModuleList(
            EncoderLayer(dim_proj, num_heads, dim_ff, dropout, use_residual) for _ in range(num_layers)
        )
        head_inputs = dim_proj * len(self.wavelength) if agg == "flat" else dim_proj
        self.head = nn.Linear(head_inputs, dim_output)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (b, dim_output) of TOA reflectance x (b, s, 1); class 1 is cloud."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features (b, dim_proj), or (b, s · dim_proj) for flat, of TOA reflectance x (b, s, 1)."""
        if x.ndim != 3 or x.shape[1:] != (len(self.wavelength), 1):
            raise ModelError(f"model input must be (pixels, {len(self.wavelength)}, 1), not {tuple(x.shape)}")
        tokens: Tensor = self.spectral_embed(x.squeeze(-1), self.wavelength)
        for layer in self.layers:
            tokens = layer(tokens)
        if self.config.agg == "max":
            return tokens.amax(dim=1)
        return tokens.mean(dim=1) if self.config.agg == "mean" else tokens.flatten(1)
