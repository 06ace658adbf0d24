"""Fidelity on the real AVIRIS-NG cube with its 400 bands.

Run: python -m evaluation.performance.cube OUT.json NAME=WEIGHTS ...; needs SPECTF_REFERENCE.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.distillation.data import reference_folder
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.predict import pick_backend
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights


def compare(weights: str, wavelength_nm: NDArray[np.float64], toa: NDArray[np.float32]) -> dict[str, dict[str, object]]:
    """The default backend of both tiers against float32."""
    found = find_weights(weights)
    model = load_model(found, wavelength_nm)
    exact = TorchBackend(model, torch.device("cpu"), 1)(toa)
    answers: dict[str, dict[str, object]] = {}
    for fidelity in ("faithful", "fast"):
        backend = pick_backend(model, fidelity=fidelity, threshold=found.threshold, threads=1)  # type: ignore[arg-type]
        made = backend(toa)
        answers[f"{backend.name} {fidelity}"] = {
            "spectra": len(toa),
            "flips": float(((made > found.threshold) != (exact > found.threshold)).mean()),
            "largest": float(np.abs(made - exact).max()),
            "p999": float(np.quantile(np.abs(made - exact), 0.999)),
            "mean": float(np.abs(made - exact).mean()),
        }
    return answers


def main(output: Path, named: dict[str, str]) -> None:
    """The cube with every network."""
    torch.set_num_threads(1)
    cube = np.load(reference_folder() / "golden/avirisng_20170323.npz")
    kept = np.isin(cube["wavelength"], cube["kept_wavelength"])
    spectra = cube["toa"][:, :, kept].reshape(-1, int(kept.sum())).astype(np.float32)
    found = {}
    for name, weights in named.items():
        found[f"{name}, AVIRIS-NG cube, {kept.sum()} bands"] = compare(weights, cube["kept_wavelength"], spectra)
    print(json.dumps(found, indent=1))
    output.write_text(json.dumps({"fidelity": found}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
