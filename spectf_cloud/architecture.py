"""The shape of a SpecTf network, without the network: options and cards are checked without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from spectf_cloud.errors import ModelError

#: Band centres enter the network as (λ − 1440)/600, nm.
WAVELENGTH_CENTRE_NM = 1440.0
WAVELENGTH_SCALE_NM = 600.0
#: Larger than any sensible network; a mistyped or hostile configuration is refused before it fills the memory.
_MAX_DIMENSION = 4096
_MAX_PARAMETERS = 2**28

Aggregation = Literal["mean", "max", "flat"]


@dataclass(frozen=True)
class Architecture:
    """Shape of a SpecTf network; the defaults are the published architecture (25,538 parameters)."""

    dim_output: int = 2
    num_heads: int = 8
    dim_proj: int = 64
    dim_ff: int = 64
    dropout: float = 0.0
    agg: Aggregation = "max"
    use_residual: bool = False
    num_layers: int = 1

    def __post_init__(self) -> None:
        for name in ("dim_output", "num_heads", "dim_proj", "dim_ff", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_DIMENSION:
                raise ModelError(f"{name} must be a whole number from 1 to {_MAX_DIMENSION}, not {value!r}")
        layer = 4 * self.dim_proj**2 + 2 * self.dim_proj * self.dim_ff
        if self.num_layers * layer > _MAX_PARAMETERS:
            raise ModelError(f"a network of {self.num_layers * layer:,} parameters is too large; make it smaller")
        if self.dim_proj % self.num_heads:
            raise ModelError(f"dim_proj {self.dim_proj} must be a multiple of num_heads {self.num_heads}")
        if not isinstance(self.agg, str) or self.agg not in get_args(Aggregation):
            raise ModelError(f"agg must be one of mean, max, flat, not {self.agg!r}")
        if not isinstance(self.use_residual, bool):
            raise ModelError(f"use_residual must be true or false, not {self.use_residual!r}")
        if (
            isinstance(self.dropout, bool)
            or not isinstance(self.dropout, (int, float))
            or not 0.0 <= self.dropout < 1.0
        ):
            raise ModelError(f"dropout must be in [0, 1), not {self.dropout!r}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from a plain mapping (YAML, JSON); unknown keys raise `ModelError`."""
        known = cls.__dataclass_fields__
        if not isinstance(values, Mapping):
            raise ModelError(f"an architecture is a mapping of {', '.join(known)}, not {values!r}")
        unknown = [str(key) for key in values if key not in known]
        if unknown:
            raise ModelError(f"unknown architecture keys {', '.join(unknown)}; known keys: {', '.join(known)}")
        return cls(**values)


def tensor_shapes(shape: Architecture, bands: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a network for this many bands, by their state-dict names.

    >>> tensor_shapes(Architecture(), bands=268)["spectral_embed.linear.weight"]
    (64, 2)
    """
    dim, hidden = shape.dim_proj, shape.dim_ff
    wide = dim * bands if shape.agg == "flat" else dim
    made = _linear("spectral_embed.linear", 2, dim)
    for layer in (f"layers.{number}" for number in range(shape.num_layers)):
        attention = f"{layer}.attention.attention"
        made |= {f"{attention}.in_proj_weight": (3 * dim, dim), f"{attention}.in_proj_bias": (3 * dim,)}
        made |= _linear(f"{attention}.out_proj", dim, dim)
        made |= _linear(f"{layer}.ff.linear1", dim, hidden) | _linear(f"{layer}.ff.linear2", hidden, dim)
        made |= {f"{layer}.{norm}.{name}": (dim,) for norm in ("norm1", "norm2") for name in ("weight", "bias")}
    return made | _linear("head", wide, shape.dim_output)


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
