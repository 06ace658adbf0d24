"""The options of a training run of a comparison model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ComparisonConfig:
    """A training run of a comparison model; values that are None come from the architecture's YAML.

    The other fields are as in `TrainConfig`.
    """

    kind: Literal["resnet", "xgboost"]
    datasets: tuple[Path, ...]
    train_csv: Path
    test_csv: Path
    arch_yaml: Path | None = None
    outdir: Path = Path("outdir")
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    seed: int = 42
    device: str = "-1"
    val_fraction: float = 0.1
    irradiance: str | None = None
    trust_input: bool = False
    overwrite: bool = False
    wandb_project: str = ""
    wandb_entity: str = ""
    wandb_name: str = ""

    @property
    def path(self) -> Path:
        """The model's file in ``outdir``."""
        return self.outdir / ("resnet.pt" if self.kind == "resnet" else "xgboost.json")
