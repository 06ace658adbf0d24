"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv:2409.11321).

Matrices are preconditioned on both sides; vectors take plain Adam. The packed attention projection is three
matrices in one tensor, and is treated as three.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

LARGEST = 3.0


class Soap(torch.optim.Optimizer):
    """lr is the size of an Adam step; `every` counts steps between turns of the eigenbasis."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.95, 0.99),
        every: int = 10,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "every": every, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients in place."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["blocks"] = [_new_block(block) for block in _blocks(parameter)]
                state["step"] += 1
                for block, gradient, memory in zip(
                    _blocks(parameter), _blocks(parameter.grad), state["blocks"], strict=True
                ):
                    _update(block, gradient, memory, state["step"], group)


def _blocks(tensor: Tensor) -> list[Tensor]:
    if tensor.ndim == 2 and tensor.shape[0] == 3 * tensor.shape[1]:
        return list(tensor.chunk(3))
    return [tensor]


def _new_block(block: Tensor) -> dict[str, Tensor]:
    memory = {"first": torch.zeros_like(block), "second": torch.zeros_like(block)}
    if block.ndim == 2:
        for side, size in zip(("left", "right"), block.shape, strict=True):
            memory[side] = torch.zeros(size, size)
            memory[side + "_basis"] = torch.eye(size)
    return memory


def _update(block: Tensor, gradient: Tensor, memory: dict[str, Tensor], step: int, group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    memory["first"].lerp_(gradient, 1 - beta1)
    matrix = block.ndim == 2
    if matrix:
        memory["left"].lerp_(gradient @ gradient.T, 1 - beta2)
        memory["right"].lerp_(gradient.T @ gradient, 1 - beta2)
        if step == 1:
            for side in ("left", "right"):
                memory[side + "_basis"] = torch.linalg.eigh(memory[side])[1]
    turned = _turn(gradient, memory) if matrix else gradient
    direction = _turn(memory["first"], memory) if matrix else memory["first"]
    memory["second"].mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
    scale = (memory["second"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
    # Momentum turned into a new basis can meet a second moment that has not seen it: bound such steps.
    direction = (direction / (1 - beta1**step) / scale).clamp_(-LARGEST, LARGEST)
    if matrix:
        direction = memory["left_basis"] @ direction @ memory["right_basis"].T
    block.sub_(direction, alpha=group["lr"])
    if matrix and step % group["every"] == 0:
        for side in ("left", "right"):
            _turn_basis(memory, side)


def _turn(tensor: Tensor, memory: dict[str, Tensor]) -> Tensor:
    return memory["left_basis"].T @ tensor @ memory["right_basis"]


def _turn_basis(memory: dict[str, Tensor], side: str) -> None:
    """One power iteration and a QR; the second moment follows the order of the eigenvalues."""
    basis, preconditioner = memory[side + "_basis"], memory[side]
    order = ((basis.T @ preconditioner) * basis.T).sum(1).argsort(descending=True)
    memory["second"] = memory["second"].index_select(0 if side == "left" else 1, order)
    memory[side + "_basis"] = torch.linalg.qr(preconditioner @ basis[:, order])[0]
