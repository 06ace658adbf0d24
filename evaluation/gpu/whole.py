"""A scene from file to mask: our command, the original's way, and reading and copying alone. Page cache warm."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from evaluation.gpu.clock import read_and_copy
from evaluation.performance.original import BATCH, OriginalPath
from spectf_cloud.dataset import open_scene
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.models.load import load_model, read_state_dict
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import NODATA
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import WeightsFile


def measure(folder: Path, lines: int, samples: int, weights: WeightsFile, device: torch.device) -> dict[str, object]:
    """Seconds of each, and how far the masks differ. The second of two runs counts: compiled, cached, warm."""
    files = simulate_granule(folder, SimulationConfig(lines=lines, samples=samples)).files
    radiance, observation = files["radiance"], files["observation"]
    spec = str(weights.path)
    for _ in range(2):
        reading = read_and_copy(radiance, device)
        watch, began = Stopwatch(), time.perf_counter()
        ours = mask_scene(open_scene(radiance, observation), weights=spec, device=str(device), watch=watch)
        in_process = time.perf_counter() - began
        command = [sys.executable, "-m", "spectf_cloud", "deploy-pt", str(folder / "mask.tif"), str(observation)]
        command += [str(radiance), "--weights", spec, "--device", str(device), "--overwrite", "--quiet"]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        whole = time.perf_counter() - began
    began = time.perf_counter()
    original = original_way(radiance, observation, weights, device)
    old = time.perf_counter() - began
    exact = mask_scene(open_scene(radiance, observation), weights=spec, device=str(device), fidelity="exact")
    seen = exact.probability != NODATA
    cloudy = exact.probability[seen] > exact.threshold
    return {
        "lines": lines,
        "samples": samples,
        "read_and_copy_s": reading,
        "in_process_s": in_process,
        "stages_s": dict(watch.seconds),
        "command_s": whole,
        "original_s": old,
        "flips": float(((ours.probability[seen] > ours.threshold) != cloudy).mean()),
        "largest": float(np.abs(ours.probability[seen] - exact.probability[seen]).max()),
        "original_flips": float(((original[seen] > exact.threshold) != cloudy).mean()),
    }


def original_way(radiance: Path, observation: Path, weights: WeightsFile, device: torch.device) -> np.ndarray:
    """The published deployment: the scene in memory, a DataLoader of single pixels, batches of 4096 in bfloat16."""
    scene = open_scene(radiance, observation)
    tokens = Tokens.of_scene(scene, read_irradiance(weights.irradiance_path), trained=weights.published)
    wavelength_nm = scene.sensor.wavelength_nm[tokens.kept]
    cube = scene.read_radiance(0, scene.lines).reshape(-1, scene.radiance.bands)
    usable, toa = tokens.reflectance(cube, scene.read_sun_zenith_deg(0, scene.lines).reshape(-1))
    load_model(weights, wavelength_nm)  # refuses weights of another shape
    run = OriginalPath(read_state_dict(weights), wavelength_nm, device).probability
    loader = DataLoader(TensorDataset(torch.from_numpy(toa)), batch_size=BATCH)
    probability = np.full(len(usable), NODATA, np.float32)
    probability[usable] = np.concatenate([run(batch.to(device)).cpu().numpy() for (batch,) in loader])
    return probability.reshape(scene.lines, scene.samples)
