"""Make the spectra on which speed and fidelity are measured, with their float32 probabilities.

Half are draws from the mean and covariance of real EMIT radiance (needs SPECTF_REFERENCE), half pixels of simulated
scenes of nine kinds with sensor noise. None of it is in the package's own probe set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.reference import Spectra, draw_real
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.models.load import load_model
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import noise
from spectf_cloud.simulation.granule import SimulationConfig, simulate_scene
from spectf_cloud.tokens import shown_bands
from spectf_cloud.weights import Checkpoint

SCENES = (
    *("mixed", "mixed", "broken", "scattered", "cirrus", "clear"),
    *("overcast", "ocean", "snow", "desert", "mixed", "mixed"),
)
PER_SCENE, REAL_SEED, PIXEL_SEED = 8500, 123, 5


def make_bank(path: Path, chosen: dict[str, Checkpoint], per_scene: int = PER_SCENE) -> dict[str, NDArray[np.generic]]:
    """Read the bank at a path, drawn first if there is none, and add the answers of networks that it lacks."""
    if path.is_file():
        bank = dict(np.load(path))
    else:
        spectra, kinds = _simulated(per_scene)
        bank = {"real": draw_real(len(spectra), REAL_SEED), "simulated": spectra, "kind": kinds}
        bank["wavelength_nm"] = Sensor.emit().wavelength_nm[shown_bands(Sensor.emit())]
    for name, weights in chosen.items():
        backend = TorchBackend(load_model(weights, bank["wavelength_nm"]), torch.device("cpu"), 1)
        for source in ("real", "simulated"):
            if f"{source}:{name}" not in bank:
                bank[f"{source}:{name}"] = backend(bank[source])
                scratch = path.with_name(f"{path.stem}.part.npz")
                np.savez(scratch, **bank)
                scratch.replace(path)
    return bank


def _simulated(per_scene: int) -> tuple[Spectra, NDArray[np.str_]]:
    """Simulate (12 * per_scene, 268) reflectance with noise; return it and the kind of scene of each spectrum."""
    rng, kept = np.random.default_rng(PIXEL_SEED), shown_bands(Sensor.emit())
    parts = []
    for seed, kind in enumerate(SCENES, start=1):
        scene = simulate_scene(SimulationConfig(lines=128, samples=256, seed=seed, preset=kind))
        pixels = rng.choice(np.flatnonzero(scene.geometry.valid.ravel()), per_scene, replace=False)
        radiance = scene.radiance(pixels)
        sigma = noise.noise_sigma(radiance, scene.sensor.wavelength_nm)
        relative = sigma * rng.standard_normal(radiance.shape, dtype=np.float32) / np.maximum(radiance, 1e-9)
        parts.append((scene.reflectance(pixels) * (1 + relative))[:, kept].astype(np.float32))
    return np.concatenate(parts), np.repeat(np.array(SCENES), per_scene)
