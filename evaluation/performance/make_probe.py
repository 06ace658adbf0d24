"""Write spectf_cloud/inference/probe.npz: the spectra with which the CPU kernel measures itself at load.

256 pixels at random from simulated scenes of every kind, then 128 of those about which the network is least sure
(for the weights given; for others they are just more spectra). All are simulated; no real data is in the file.
Run: python -m evaluation.performance.make_probe WEIGHTS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from spectf_cloud.inference.predict import predict
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation.granule import SimulationConfig, simulate_scene
from spectf_cloud.simulation.presets import PRESETS
from spectf_cloud.tokens import shown_bands

RANDOM, HARD, SEED = 256, 128, 20240611
OUTPUT = Path(__file__).parents[2] / "spectf_cloud/inference/probe.npz"


def main(weights: str) -> None:
    """Draw, judge, choose, write."""
    rng = np.random.default_rng(SEED)
    sensor = Sensor.emit()
    kept = shown_bands(sensor)
    drawn = []
    for seed, name in enumerate(PRESETS):
        scene = simulate_scene(SimulationConfig(lines=128, samples=128, seed=seed, preset=name))
        inside = np.flatnonzero(scene.geometry.valid.ravel())
        spectra = scene.reflectance(rng.choice(inside, 400, replace=False))
        drawn.append(spectra[((spectra > -0.04) & (spectra < 1.7)).all(axis=1)])
    spectra = np.concatenate(drawn).astype(np.float16)
    spectra = spectra[rng.permutation(len(spectra))]
    rest = spectra[RANDOM:]
    probability = predict(rest[:, kept], sensor.wavelength_nm[kept], weights=weights, fidelity="exact")
    hard = rest[np.argsort(np.abs(probability - 0.5))[:HARD]]
    chosen = np.concatenate([spectra[:RANDOM], hard])
    np.savez_compressed(OUTPUT, wavelength_nm=sensor.wavelength_nm, toa_reflectance=chosen, random=RANDOM)
    print(f"{OUTPUT}: {RANDOM} random and {HARD} hard spectra, {OUTPUT.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main(sys.argv[1])
