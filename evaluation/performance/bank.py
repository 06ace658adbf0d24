"""Make the spectra on which speed and fidelity are measured, with their float32 probabilities.

Half are draws from the mean and covariance of real EMIT radiance (needs SPECTF_REFERENCE), half pixels of simulated
scenes of nine kinds with sensor noise. None of it is in the package's own probe set.
Run: python -m evaluation.performance.bank BANK.npz NAME=WEIGHTS ...; an existing file gains the missing answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.distillation.data import Sources, reference_folder
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.models.load import load_model
from spectf_cloud.sensor import PUBLISHED_DROP_NM, Sensor
from spectf_cloud.simulation import noise
from spectf_cloud.simulation.granule import SimulationConfig, simulate_scene
from spectf_cloud.weights import find_weights

Spectra = NDArray[np.float32]

SCENES = (
    *("mixed", "mixed", "broken", "scattered", "cirrus", "clear"),
    *("overcast", "ocean", "snow", "desert", "mixed", "mixed"),
)
PER_SCENE, REAL_SEED, PIXEL_SEED = 8500, 123, 5


def simulated() -> tuple[Spectra, NDArray[np.str_]]:
    """(102000, 268) reflectance with noise, and the kind of scene of each."""
    rng = np.random.default_rng(PIXEL_SEED)
    kept = np.flatnonzero(Sensor.emit().kept(PUBLISHED_DROP_NM))
    parts = []
    for seed, kind in enumerate(SCENES, start=1):
        scene = simulate_scene(SimulationConfig(lines=128, samples=256, seed=seed, preset=kind))
        pixels = rng.choice(np.flatnonzero(scene.geometry.valid.ravel()), PER_SCENE, replace=False)
        radiance = scene.radiance(pixels)
        sigma = noise.noise_sigma(radiance, scene.sensor.wavelength_nm)
        relative = sigma * rng.standard_normal(radiance.shape, dtype=np.float32) / np.maximum(radiance, 1e-9)
        parts.append((scene.reflectance(pixels) * (1 + relative))[:, kept].astype(np.float32))
    return np.concatenate(parts), np.repeat(np.array(SCENES), PER_SCENE)


def main(path: Path, named: dict[str, str]) -> None:
    """Draw once, answer all spectra with every network, save."""
    torch.set_num_threads(1)
    if path.is_file():
        bank = dict(np.load(path))
    else:
        sources = Sources(reference_folder(), seed=REAL_SEED)
        spectra, kinds = simulated()
        bank = {"real": sources.draw({"real_statistics": 1.0}, len(spectra)), "simulated": spectra, "kind": kinds}
        bank["wavelength_nm"] = sources.wavelength_nm
    for name, weights in named.items():
        model = load_model(find_weights(weights), bank["wavelength_nm"])
        for source in ("real", "simulated"):
            if f"{source}:{name}" not in bank:
                bank[f"{source}:{name}"] = TorchBackend(model, torch.device("cpu"), 1)(bank[source])
                scratch = path.with_name(f"{path.stem}.part.npz")
                np.savez(scratch, **bank)
                scratch.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
