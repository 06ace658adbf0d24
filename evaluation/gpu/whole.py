"""A scene from file to mask: our command, the original's way, and reading and copying alone. Page cache warm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from evaluation.gpu.clock import read_and_copy
from evaluation.performance.original import BATCH, OriginalPath
from evaluation.reference import distance
from evaluation.results import Result
from evaluation.timer import seconds_of
from spectf_cloud.dataset import open_scene
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.models.load import load_model, read_state_dict
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import NODATA
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import Checkpoint

if TYPE_CHECKING:
    from evaluation.gpu_bench import Bench


def measure(bench: Bench, folder: Path, lines: int, samples: int) -> Iterator[Result]:
    """Measure each and how far the masks differ. The second of two runs counts: compiled, cached, warm."""
    device, weights = bench.device, bench.weights
    files = simulate_granule(folder, SimulationConfig(lines=lines, samples=samples)).files
    radiance, observation = files["radiance"], files["observation"]
    made: dict[str, Any] = {}

    def ours(fidelity: str = "faithful") -> None:
        made["watch"] = watch = Stopwatch()
        options = {"weights": str(weights.path), "device": str(device), "fidelity": fidelity, "watch": watch}
        made[fidelity] = mask_scene(open_scene(radiance, observation), **options)

    def command() -> None:
        words = [sys.executable, "-m", "spectf_cloud", "deploy-pt", str(folder / "mask.tif"), str(observation)]
        words += [str(radiance), "--weights", str(weights.path), "--device", str(device), "--overwrite", "--quiet"]
        subprocess.run(words, check=True)

    for _ in range(2):
        seconds = {
            "reading the file and copying it over": seconds_of(lambda: read_and_copy(radiance, device)).wall,
            "mask_scene in a running process": seconds_of(ours).wall,
            "deploy-pt, start-up and product included": seconds_of(command).wall,
        }
    stages = dict(made["watch"].seconds)
    original = seconds_of(lambda: made.update(original=original_way(radiance, observation, weights, device)))
    seconds["the original's way in a running process, no product"] = original.wall
    for name, value in seconds.items():
        yield bench.result("whole", name, f"{lines} × {samples} pixels", value=value, unit="s")
    for stage, value in stages.items():
        yield bench.result("stages", stage, value=value, unit="s")
    ours("exact")
    exact = made["exact"].probability
    seen = exact != NODATA
    for name, answers in (("ours", made["faithful"].probability), ("the original", made["original"])):
        for kind, (value, unit) in distance(answers[seen], exact[seen], weights.threshold).items():
            yield bench.result("fidelity of a mask", name, kind, value=value, unit=unit)


def original_way(radiance: Path, observation: Path, weights: Checkpoint, device: torch.device) -> np.ndarray:
    """Mask as the published deployment does: scene in memory, DataLoader of pixels, batches of 4096 in bfloat16."""
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
