"""A tiny granule, a network of a few parameters, and the job that makes every product of them."""

from __future__ import annotations

from pathlib import Path

import torch

from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.mapping.deploy import DeployJob
from spectf_cloud.mapping.outputs import Products
from spectf_cloud.model import ModelConfig
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.weights import OFFICIAL_IRRADIANCE

_SMALL = ModelConfig(num_heads=1, dim_proj=4, dim_ff=4)


def small_weights(folder: Path) -> Path:
    """Write random weights of a tiny network, and their card."""
    torch.manual_seed(0)
    path = folder / "small.pt"
    torch.save(_SMALL.build([400.0, 500.0]).state_dict(), path)
    irradiance = f"irradiance: {{sha256: {OFFICIAL_IRRADIANCE.sha256}}}\n"
    path.with_suffix(".yml").write_text("architecture: {num_heads: 1, dim_proj: 4, dim_ff: 4}\n" + irradiance)
    return path


def small_granule(folder: Path, seed: int = 0, lines: int = 24, samples: int = 16, preset: str = "mixed") -> Path:
    """Simulate a granule; return its radiance file."""
    folder.mkdir(parents=True, exist_ok=True)
    return simulate_granule(folder, SimulationConfig(lines, samples, seed, preset)).files["radiance"]


def whole_job(radiance: Path, out: Path, weights: Path, **options: object) -> DeployJob:
    """Return the job that writes every product of a scene into one folder."""
    return DeployJob(
        out=out / "mask.tif",
        radiance=radiance,
        options=MaskOptions(weights, fidelity="exact", **options),  # type: ignore[arg-type]
        products=Products(True, out / "ortho.tif", out / "mask.nc", out / "look.png"),
        overwrite=True,
    )
