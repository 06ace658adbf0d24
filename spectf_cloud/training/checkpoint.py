"""The state of a run at the end of an epoch, on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spectf_cloud.errors import ConfigError, InputError
from spectf_cloud.files.atomic import atomic_output

#: Name of the file in the folder of a run.
CHECKPOINT = "checkpoint.pt"


@dataclass
class Best:
    """The epoch to keep: its weights and its validation scores (empty without validation)."""

    epoch: int
    scores: dict[str, float]
    weights: dict[str, Tensor]


@dataclass
class Checkpoint:
    """Everything the rest of a run depends on. Seed and number of an epoch give its order."""

    identity: dict[str, Any]
    epoch: int
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replace the file in one step: a run killed meanwhile leaves the previous one."""
        with atomic_output(path, overwrite=True) as temporary:
            torch.save(vars(self) | {"best": vars(self.best) if self.best else None}, temporary)

    @classmethod
    def load(cls, path: Path, identity: dict[str, Any]) -> Checkpoint:
        """Read back, for the same run only. Raises `InputError`, and `ConfigError` if the options changed."""
        checkpoint = cls.read(path)
        changed = [key for key in identity if checkpoint.identity.get(key) != identity[key]]
        if changed:
            key = changed[0]
            raise ConfigError(
                f"{path} is from a run with {key} {checkpoint.identity.get(key)!r}, not {identity[key]!r}; "
                "resume with the same options, or choose another --outdir"
            )
        return checkpoint

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read back, from any run. Raises `InputError`."""
        try:
            return _of_content(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load may raise anything for a foreign file
            raise InputError(f"{path} is not a checkpoint of a training run ({type(error).__name__})") from error


def _of_content(content: dict[str, Any]) -> Checkpoint:
    """Return a checkpoint as `Checkpoint.save` writes it, or as written before there were tasks."""
    best = content.pop("best")
    if best and "scores" not in best:
        best["scores"] = {"val_loss": best.pop("loss"), "val_threshold": best.pop("threshold")}
    if "notes" not in content:
        content["notes"] = {"irradiance": content.pop("irradiance", {})}
    return Checkpoint(**content, best=Best(**best) if best else None)
