"""A ResNet over the spectrum: 1-D convolutions in residual blocks; a band is known by its position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spectf_cloud.errors import ModelError


@dataclass(frozen=True)
class ResNetConfig:
    """Shape of the network: stages by their channels, residual blocks in each, kernel size in bands."""

    channels: tuple[int, ...] = (16, 32, 64)
    blocks: int = 2
    kernel: int = 5
    dropout: float = 0.2

    def __post_init__(self) -> None:
        sizes = (*self.channels, self.blocks)
        if not self.channels or any(not isinstance(size, int) or size < 1 for size in sizes):
            raise ModelError("a ResNet needs channels and blocks of at least 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ModelError(f"the kernel must be odd, not {self.kernel}")
        if not 0.0 <= self.dropout < 1.0:
            raise ModelError(f"dropout must be in [0, 1), not {self.dropout!r}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ResNetConfig:
        """Build from YAML; unknown keys raise `ModelError`."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ModelError(f"unknown architecture keys {', '.join(unknown)}; known keys: {known}")
        given = dict(values)
        if "channels" in given:
            given["channels"] = tuple(given["channels"])
        return cls(**given)


class ResidualBlock(nn.Module):
    """Norm → ReLU → convolution, twice with dropout between, added to the input."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dropout: float, stride: int) -> None:
        super().__init__()
        # GroupNorm of one group keeps no running statistics, which a schedule-free optimiser would spoil.
        self.norm1 = nn.GroupNorm(1, inputs)
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm2 = nn.GroupNorm(1, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, 1, kernel // 2, bias=False)
        same = inputs == outputs and stride == 1
        self.skip: nn.Module = nn.Identity() if same else nn.Conv1d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, outputs, s / stride) of x (b, inputs, s)."""
        inner = self.conv1(torch.relu(self.norm1(x)))
        inner = self.conv2(self.dropout(torch.relu(self.norm2(inner))))
        result: Tensor = self.skip(x) + inner
        return result


class ResNet(nn.Module):
    """Stem that halves the bands, stages of residual blocks, mean over bands, linear head."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels[0]
        self.stem = nn.Conv1d(1, width, config.kernel, 2, config.kernel // 2)
        blocks = []
        for stage, channels in enumerate(config.channels):
            for number in range(config.blocks):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.append(ResidualBlock(width, channels, config.kernel, config.dropout, stride))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.GroupNorm(1, width)
        self.head = nn.Linear(width, 2)

    def forward(self, toa: Tensor) -> Tensor:
        """Return logits (b, 2) of reflectance toa (b, s)."""
        hidden = torch.relu(self.norm(self.blocks(self.stem(toa.unsqueeze(1)))))
        logits: Tensor = self.head(hidden.mean(2))
        return logits
