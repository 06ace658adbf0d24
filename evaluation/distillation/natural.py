"""Steps that answer a batch at once: Gauss–Newton in the space of its rows, with a memory of the last step.

For m rows J of the Jacobian and the errors e they should undo, the step d is the one that minimises
‖J d − e‖² + damping · ‖d − memory · last step‖². With fewer rows than parameters it costs a system of m unknowns:
d = memory · last + Jᵀ (J Jᵀ + damping)⁻¹ (e − memory · J last). This is a block Kaczmarz method with momentum
(known as SPRING among those who train networks for quantum chemistry).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from evaluation.distillation.rows import Parameters, Rows


class Natural:
    """The last step, and how the next one is made.

    slowness: how fast the embedding and first LayerNorm move against the rest. bound: largest Frobenius norm of the
    embedding's weights; LayerNorm does not see their scale, so without it they grow, and the slopes in reflectance too.
    """

    def __init__(self, parameters: Parameters, slowness: float, bound: float) -> None:
        self.parameters, self.slowness, self.bound = parameters, slowness, bound
        self.last = {name: torch.zeros_like(value) for name, value in parameters.items()}

    def step(self, rows: Rows, error: Tensor, rate: float, damping: float, memory: float) -> None:
        """Move by `rate` times the step; `damping` relative to the mean square of a row."""
        gram = rows.gram(self.slowness).double()
        gram.diagonal().add_(damping * float(gram.diagonal().mean()))
        wanted = (error - memory * rows.times(self.last)).double()
        share = torch.cholesky_solve(wanted[:, None], torch.linalg.cholesky(gram)).squeeze(1).float()
        for name, step in rows.combine(share, self.slowness).items():
            self.last[name].mul_(memory).add_(step)
            self.parameters[name].add_(self.last[name], alpha=rate)
        norm = math.sqrt(float(self.parameters["embed"].square().sum()))
        if norm > self.bound:
            for name in ("embed", "embed_bias"):
                self.parameters[name].mul_(self.bound / norm)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs."""
        return dict(self.last)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.last = {name: value.clone() for name, value in state.items()}
