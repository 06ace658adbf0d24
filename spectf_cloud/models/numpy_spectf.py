"""The SpecTf network in NumPy and float32: `spectf_cloud.model.SpecTfEncoder` without PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.architecture import WAVELENGTH_CENTRE_NM, WAVELENGTH_SCALE_NM, Architecture

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]

#: What LayerNorm adds to the variance; PyTorch's default.
LAYER_NORM_EPS = 1e-5
# erf(z) / z is a smooth function of z², here a polynomial to 2e-12; beyond 6 erf is 1.
_ERF_REACH, _ERF_DEGREE = 6.0, 30


def _erf_over_z(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return erf(z) / z at z² = (scaled + 1) · 18."""
    roots = np.sqrt((scaled + 1) * _ERF_REACH**2 / 2)
    return np.array([math.erf(z) / z for z in roots])


_ERF = chebyshev.chebinterpolate(_erf_over_z, _ERF_DEGREE)  # type: ignore[type-var]


def gelu(x: NDArray[Any]) -> NDArray[Any]:
    """Return x Φ(x) in the type of x, with an error function of this module: NumPy has none.

    >>> gelu(np.array([0.0, 10.0]))
    array([ 0., 10.])
    """
    z = np.clip(x / math.sqrt(2), -_ERF_REACH, _ERF_REACH)
    erf = z * chebyshev.chebval(z * z * (2 / _ERF_REACH**2) - 1, _ERF)
    result: NDArray[Any] = (x * (0.5 + 0.5 * erf)).astype(x.dtype)
    return result


@dataclass(frozen=True, eq=False)
class NumpySpecTf:
    """The network: its shape, normalised band centres (bands,) float32, and float32 tensors by state-dict names."""

    config: Architecture
    wavelength: Float32Array
    tensors: dict[str, Float32Array]

    @classmethod
    def of_bands(cls, config: Architecture, wavelength_nm: ArrayLike, tensors: dict[str, Float32Array]) -> NumpySpecTf:
        """Build the network for band centres (bands,), nm."""
        return cls(config, cls.normalised(wavelength_nm), tensors)

    @staticmethod
    def normalised(wavelength_nm: ArrayLike) -> Float32Array:
        """Return (λ − 1440)/600, computed in float64 and only then rounded to float32 (bands,)."""
        centres_nm = np.asarray(wavelength_nm, np.float64)
        return ((centres_nm - WAVELENGTH_CENTRE_NM) / WAVELENGTH_SCALE_NM).astype(np.float32)

    @classmethod
    def of(cls, model: SpecTfEncoder | NumpySpecTf) -> NumpySpecTf:
        """Return a PyTorch network in NumPy, and one in NumPy as it is."""
        if isinstance(model, NumpySpecTf):
            return model
        tensors = {name: value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}
        return cls(model.config, model.wavelength.detach().cpu().numpy(), tensors)

    def logits(self, toa: Float32Array) -> Float32Array:
        """Return logits (n, outputs) float32 of toa (n, bands) float32, each pixel on its own; class 1 is cloud."""
        # Here and in the norms float64 costs little, and later steps would magnify the error of float32.
        embed = self.tensors["spectral_embed.linear.weight"].astype(np.float64)
        from_band = np.outer(self.wavelength, embed[:, 1]) + self.tensors["spectral_embed.linear.bias"]
        tokens = np.tanh(toa[..., None] * embed[:, 0] + from_band).astype(np.float32)  # (n, bands, dim_proj)
        for number in range(self.config.num_layers):
            tokens = self._layer(f"layers.{number}", tokens)
        return self._linear("head", self._pooled(tokens)[:, None])[:, 0]  # one product for each pixel

    def _pooled(self, tokens: Float32Array) -> Float32Array:
        if self.config.agg == "flat":
            return tokens.reshape(len(tokens), -1)
        pooled: Float32Array = tokens.max(axis=1) if self.config.agg == "max" else tokens.mean(axis=1)
        return pooled

    def _layer(self, name: str, tokens: Float32Array) -> Float32Array:
        attended = self._attention(f"{name}.attention.attention", self._normalised(f"{name}.norm1", tokens))
        tokens = tokens + attended if self.config.use_residual else attended
        hidden = gelu(self._linear(f"{name}.ff.linear1", self._normalised(f"{name}.norm2", tokens)))
        transformed = self._linear(f"{name}.ff.linear2", hidden)
        return tokens + transformed if self.config.use_residual else transformed

    def _attention(self, name: str, tokens: Float32Array) -> Float32Array:
        pixels, bands, dim = tokens.shape
        packed = tokens @ self.tensors[f"{name}.in_proj_weight"].T + self.tensors[f"{name}.in_proj_bias"]
        heads = packed.reshape(pixels, bands, 3, self.config.num_heads, -1).transpose(2, 0, 3, 1, 4)
        query, key, value = heads  # (n, heads, bands, width)
        logits = (query * np.float32(query.shape[-1] ** -0.5)) @ key.swapaxes(2, 3)
        weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
        mixed = weight @ value / weight.sum(axis=-1, keepdims=True)
        return self._linear(f"{name}.out_proj", mixed.swapaxes(1, 2).reshape(pixels, bands, dim))

    def _normalised(self, name: str, tokens: Float32Array) -> Float32Array:
        centred = tokens - tokens.mean(axis=-1, keepdims=True, dtype=np.float64)
        normalised = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPS)
        made: Float32Array = (normalised * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]).astype(
            np.float32
        )
        return made

    def _linear(self, name: str, x: Float32Array) -> Float32Array:
        made: Float32Array = x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]
        return made
