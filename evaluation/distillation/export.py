"""Writes `weights.pt` and its card `weights.yml` from a training run.

    python -m evaluation.distillation.export --run RUN_FOLDER --version 1.0.0

The run may still be going: its best weights so far are taken.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

from evaluation.distillation.log import last_line
from spectf_cloud.model import ModelConfig

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEACHER = "SpecTf cloud v0.1.0 (emit-sds/SpecTf at 2f7f05b, Apache-2.0)"


def export(run: Path, out: Path, irradiance: Path, config: dict[str, Any], version: str) -> dict[str, Any]:
    """Write the best weights of a run as a plain float32 state dict, and the card beside it."""
    progress = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    state = torch.load(run / "best.pt", map_location="cpu", weights_only=True)
    network = ModelConfig().build([1000.0])
    network.load_state_dict(state)
    plain = OrderedDict((name, tensor.detach().clone().contiguous()) for name, tensor in network.state_dict().items())
    temporary = out.with_suffix(".tmp")
    torch.save(plain, temporary)
    temporary.replace(out)
    after = [last_line(run / name) for name in ("polish.csv", "descent.csv")]
    card = {
        "name": "builtin",
        "version": version,
        "sha256": _sha256(out),
        "threshold": config["threshold"],
        "architecture": asdict(ModelConfig()),
        "irradiance": {"file": irradiance.name, "sha256": _sha256(irradiance)},
        "teacher": TEACHER,
        "training": {
            "recipe": "evaluation/distillation",
            "seed": config["seed"],
            "steps": progress["step"],
            "samples": progress["samples"],
            "polishing_steps": int(after[0].get("step", 0)),
            "descending_steps": int(after[1].get("step", 0)),
            "cpu_seconds": round(progress["cpu_s"] + sum(float(line.get("cpu_s", 0)) for line in after)),
        },
        "licence": "Apache-2.0",
    }
    text = "# Written by evaluation/distillation/export.py\n" + yaml.safe_dump(card, sort_keys=False)
    out.with_suffix(".yml").write_text(text)
    return card


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "weights.pt")
    parser.add_argument("--irradiance", type=Path, default=ROOT / "irr_astm_g173.npy")
    parser.add_argument("--config", type=Path, default=HERE / "config.yml")
    parser.add_argument("--version", default="1.0.0")
    options = parser.parse_args()
    config = yaml.safe_load(options.config.read_text())
    print(yaml.safe_dump(export(options.run, options.out, options.irradiance, config, options.version)))


if __name__ == "__main__":
    main()
