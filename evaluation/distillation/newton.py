"""Gauss–Newton steps on the logit difference from more spectra than there are parameters.

Near the end of the training, a step from a few hundred spectra is mostly noise. Here the gradients of tens of thousands
are written out, and the least-squares step is sought by conjugate gradients. `gradients` has autograd of
`pooled.features`, spectrum by spectrum, as its oracle.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from evaluation.distillation import pooled
from spectf_cloud.model import SpecTfEncoder

_CHUNK = 64


class _Difference(nn.Module):
    """Cloud logit minus clear logit of one spectrum, of which the queries that win a feature are known."""

    def __init__(self, model: SpecTfEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, toa: Tensor, wavelength: Tensor, needed: Tensor, place: Tensor) -> Tensor:
        features = pooled.features_at(self.model, toa[None], wavelength[None], needed[None], place[None])
        logits = self.model.head(features)[0]
        difference: Tensor = logits[1] - logits[0]
        return difference


def gradients(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor, rows: Tensor) -> Tensor:
    """toa, wavelength (n, s) → logit differences (n,); their gradients by all parameters go to rows (n, parameters)."""
    network = _Difference(model)
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def one(values: dict[str, Tensor], *tokens: Tensor) -> Tensor:
        difference: Tensor = functional_call(network, values, tokens)
        return difference

    each = vmap(grad_and_value(one), in_dims=(None, 0, 0, 0, 0))
    differences = []
    for *part, out in zip(*(tensor.split(_CHUNK) for tensor in (toa, wavelength, rows)), strict=True):
        with torch.no_grad():
            winners = pooled.winners(model, *part)
        with sdpa_kernel(SDPBackend.MATH):  # the others do not run under vmap
            by_name, difference = each(parameters, *part, *winners)
        torch.cat([by_name[name].flatten(1) for name in parameters], 1, out=out)
        differences.append(difference)
    return torch.cat(differences)


def scale_of(model: SpecTfEncoder, rows: Tensor) -> Tensor:
    """The unit of each parameter (p,): the root mean square of its matrix or vector, or what moves d by 1 if less.

    In these units parameters move by like shares. Without them the steps go to what matters least: after the same
    conjugate gradients they promise a fifth of the gain.
    """
    units = []
    for name, value in model.named_parameters():
        for part in value.detach().chunk(3) if "in_proj" in name else [value.detach()]:
            units.append(part.square().mean().sqrt().expand(part.numel()))
    mean_square = sum(part.square().sum(0) for part in rows.split(1024)) / len(rows)
    return torch.minimum(torch.cat(units), 1 / torch.as_tensor(mean_square).sqrt().clamp(min=1e-9))


def steps(rows: Tensor, error: Tensor, scale: Tensor, damping: float, marks: tuple[int, ...]) -> Iterator[Tensor]:
    """Steps (p,) that should undo the errors (n,), after so many conjugate gradients as `marks` says.

    They go down ‖rows · step − error‖²/n + damping · ‖step / scale‖², damping relative to the mean diagonal. Stopped
    early, conjugate gradients leave the directions alone about which the rows say little.
    """
    n, p = rows.shape
    residual = scale * (rows.T @ error) / n
    damping *= sum(float((part * scale).square().sum()) for part in rows.split(1024)) / n / p
    step, direction = torch.zeros(p), residual.clone()
    size = residual @ residual
    for number in range(1, max(marks) + 1):
        turned = scale * (rows.T @ (rows @ (scale * direction))) / n + damping * direction
        share = size / (direction @ turned)
        step += share * direction
        residual -= share * turned
        size, before = residual @ residual, size
        direction = residual + size / before * direction
        if number in marks:
            yield step * scale
