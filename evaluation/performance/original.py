"""The deployment path of the published model, written anew from its description, to measure against.

bfloat16, `nn.MultiheadAttention` and wavelengths as a second input column, traced and passed through
`torch.jit.optimize_for_inference`, batches of 4096.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectf_cloud.model import ModelConfig

from straightforward import Straightforward

BATCH = 4096


class OriginalPath:
    """Cloud probabilities as the published deployment computes them."""

    def __init__(
        self, state: dict[str, Tensor], wavelength_nm: NDArray[np.float64], device: torch.device | str = "cpu"
    ) -> None:
        network = Straightforward(ModelConfig(dropout=0.0), wavelength_nm)
        network.load_state_dict(state, strict=True)
        network = network.eval().requires_grad_(False).to(device, torch.bfloat16)
        self.device = device
        with torch.inference_mode(False), torch.no_grad():
            example = torch.zeros(8, len(wavelength_nm), 1, dtype=torch.bfloat16, device=device)
            self._run = torch.jit.optimize_for_inference(torch.jit.trace(network, example))

    @torch.no_grad()
    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n,) cloud probability of toa (n, bands)."""
        return self.probability(torch.from_numpy(toa).to(self.device)).cpu().numpy()

    @torch.no_grad()
    def probability(self, toa: Tensor) -> Tensor:
        """Return (n,) cloud probability of toa (n, bands), both on the device."""
        batches = toa.unsqueeze(-1).to(torch.bfloat16).split(BATCH)
        return torch.cat([torch.softmax(self._run(batch).float(), dim=-1)[:, 1] for batch in batches])
