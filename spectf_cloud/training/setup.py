"""The network and optimiser that a run starts with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectf_cloud.errors import MissingExtraError, UsageError
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import read_state_dict
from spectf_cloud.models.winners import logits
from spectf_cloud.training.config import WARMUP_STEPS, TrainConfig
from spectf_cloud.weights import find_weights


def network(config: TrainConfig, wavelength_nm: NDArray[np.float64]) -> SpecTfEncoder:
    """Fresh from the seed, or from ``init``, with parts frozen as asked. Raises `UsageError`."""
    torch.manual_seed(config.seed)
    model = SpecTfEncoder(wavelength_nm, **asdict(config.architecture))
    if config.init is not None:
        found = find_weights(config.init)
        try:
            model.load_state_dict(read_state_dict(found))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UsageError(f"--init {config.init} does not fit the --arch options ({reason})") from error
    for prefix in config.freeze:
        frozen = [parameter for name, parameter in model.named_parameters() if name.startswith(prefix)]
        if not frozen:
            names = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
            raise UsageError(f"--freeze {prefix}: no parameter's name begins so; parts are {', '.join(names)}")
        for parameter in frozen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError("--freeze leaves nothing to train")
    return model


def optimiser(config: TrainConfig, model: nn.Module) -> Any:
    """schedulefree AdamW over what is not frozen."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return schedule_free(trained, config.lr, WARMUP_STEPS)


def schedule_free(parameters: Iterable[nn.Parameter], lr: float, warmup_steps: int) -> Any:
    """schedulefree's AdamW. Raises `MissingExtraError`."""
    try:
        from schedulefree import AdamWScheduleFree
    except ImportError:
        raise MissingExtraError("training needs schedulefree: pip install 'spectf-cloud[train]'") from None
    return AdamWScheduleFree(parameters, lr=lr, warmup_steps=warmup_steps)


def compiled_forward(model: SpecTfEncoder, device: torch.device) -> Callable[[SpecTfEncoder, Tensor, Tensor], Tensor]:
    """The forward through torch.compile, tried at once: what it needs (a compiler) may not be there."""
    compiled = torch.compile(logits)
    try:
        compiled(model, torch.zeros(2, len(model.wavelength), device=device), model.wavelength)
    except Exception as error:  # torch.compile raises whatever its compiler stack meets
        raise MissingExtraError(
            f"torch.compile does not work here ({type(error).__name__}); leave out --compile"
        ) from error
    return compiled
