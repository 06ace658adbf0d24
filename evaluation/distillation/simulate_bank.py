"""Simulated TOA spectra to learn from: pixels of many small scenes of every preset, in published units.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.distillation.simulate_bank OUT.npy

Half the scenes are lit by the published irradiance, half by ours, so that neither is favoured.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from evaluation.distillation.data import MAX_REFLECTANCE, Spectra, emit_bands, reference_folder
from spectf_cloud.files.resources import resource
from spectf_cloud.simulation.geometry import SUN_DISTANCE, SUN_ZENITH
from spectf_cloud.simulation.granule import SimulationConfig, simulate_scene
from spectf_cloud.simulation.presets import PRESETS
from spectf_cloud.toa import resample_irradiance

FIRST_SEED, LINES, SAMPLES, LINES_TAKEN = 50_000, 64, 64, 24


def scene_spectra(folder: Path, preset: str, seed: int, published_sun: bool) -> Spectra:
    """TOA reflectance under the published irradiance (n, 268) float32 of some lines of one scene, noise included."""
    published = folder / "official/irr.npy"
    sun = published if published_sun else resource("irr_astm_g173.npy")
    config = SimulationConfig(lines=LINES, samples=SAMPLES, seed=seed, preset=preset, irradiance=sun)
    scene = simulate_scene(config)
    wavelength_nm, fwhm_nm, kept = emit_bands(folder)
    per_radiance = np.pi / resample_irradiance(np.load(published), wavelength_nm, fwhm_nm)
    rows = np.random.default_rng(seed).permutation(LINES)[:LINES_TAKEN]
    parts = []
    for line in rows:
        inside = scene.geometry.valid[line]
        observed = scene.geometry.obs[line][inside]
        outside_air = observed[:, SUN_DISTANCE] ** 2 / np.cos(np.deg2rad(observed[:, SUN_ZENITH]))
        parts.append(scene.radiance_line(int(line))[inside] * per_radiance * outside_air[:, None])
    return np.concatenate(parts)[:, kept].astype(np.float32)


def main(out: Path, scenes_per_preset: int = 100) -> None:
    """Write (n, 268) float16: its rounding, 0.05 %, is far below the noise."""
    folder, parts = reference_folder(), []
    for number in range(scenes_per_preset):
        for order, preset in enumerate(PRESETS):
            seed = FIRST_SEED + 100 * order + number
            spectra = scene_spectra(folder, preset, seed, published_sun=number % 2 == 0)
            spectra = spectra[np.isfinite(spectra).all(1) & (spectra.max(1) <= MAX_REFLECTANCE)]
            parts.append(np.clip(spectra, 0, None).astype(np.float16))
        print(f"{number + 1} of {scenes_per_preset} scenes per preset, {sum(map(len, parts))} spectra", flush=True)
    temporary = out.with_suffix(".tmp.npy")
    np.save(temporary, np.concatenate(parts))
    temporary.replace(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
