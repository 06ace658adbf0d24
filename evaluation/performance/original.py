"""The deployment path of the published model, written anew from its description, to measure against.

bfloat16, `nn.MultiheadAttention` and wavelengths as a second input column, traced and passed through
`torch.jit.optimize_for_inference`, batches of 4096.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BATCH = 4096


class _Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 64)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(64, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.attention(x, x, x)[0]
        return mixed


class _FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear2(nn.functional.gelu(self.linear1(x)))
        return out


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.ff = _Attention(), _FeedForward()
        self.norm1, self.norm2 = nn.LayerNorm(64), nn.LayerNorm(64)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ff(self.norm2(self.attention(self.norm1(x))))
        return out


class _Network(nn.Module):
    wavelength: Tensor

    def __init__(self, wavelength_nm: NDArray[np.float64]) -> None:
        super().__init__()
        self.spectral_embed, self.layers, self.head = _Embedding(), nn.ModuleList([_Layer()]), nn.Linear(64, 2)
        scaled = (torch.tensor(wavelength_nm, dtype=torch.float32) - 1440) / 600
        self.register_buffer("wavelength", scaled.view(1, -1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spectral_embed(torch.cat([x, self.wavelength.expand(x.shape[0], -1, 1)], dim=2))
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x.amax(dim=1))
        return out


class OriginalPath:
    """Cloud probabilities as the published deployment computes them."""

    def __init__(
        self, state: dict[str, Tensor], wavelength_nm: NDArray[np.float64], device: torch.device | str = "cpu"
    ) -> None:
        network = _Network(wavelength_nm)
        network.load_state_dict(state, strict=True)
        network = network.eval().requires_grad_(False).to(device, torch.bfloat16)
        self.device = device
        with torch.inference_mode(False), torch.no_grad():
            example = torch.zeros(8, len(wavelength_nm), 1, dtype=torch.bfloat16, device=device)
            self._run = torch.jit.optimize_for_inference(torch.jit.trace(network, example))

    @torch.no_grad()
    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """toa (n, bands) → (n,) cloud probability."""
        return self.probability(torch.from_numpy(toa).to(self.device)).cpu().numpy()

    @torch.no_grad()
    def probability(self, toa: Tensor) -> Tensor:
        """toa (n, bands) on the device → (n,) there."""
        batches = toa.unsqueeze(-1).to(torch.bfloat16).split(BATCH)
        return torch.cat([torch.softmax(self._run(batch).float(), dim=-1)[:, 1] for batch in batches])
