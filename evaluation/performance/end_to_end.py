"""Measure a full-size scene from command to products: seconds by stage, memory, ratio to the inference alone.

    python -m evaluation.performance.end_to_end FOLDER [--weights W] [--irradiance I] [--lines N] [--threads N]

All in one run, because the machine may be busy: half of the scene's lines through inference alone, the whole command
in a process of its own, the other half alone. FOLDER keeps the simulated scene (2 GB). Adds to performance.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evaluation import report
from evaluation.results import ROOT, add, result
from evaluation.timer import Seconds, seconds_of
from spectf_cloud.dataset import open_scene
from spectf_cloud.inference.predict import pick_backend
from spectf_cloud.models.load import load_model
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import Scene
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import find_weights

PAGE = ROOT / "evaluation/performance.md"
STAGES = ("start-up", "read", "toa", "inference", "waiting", "write")
_LINES_AT_ONCE = 64
# Not ru_maxrss: a child's begins at what its parent held.
_SCRIPT = """
import sys
from pathlib import Path
from spectf_cloud.__main__ import main
status = main(sys.argv[1:])
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
sys.exit(status)
"""


def alone(scene: Scene, weights: str, irradiance: Path | None, fidelity: str, threads: int) -> Iterator[list[Seconds]]:
    """Yield the seconds of inference for every other group of lines, then for the rest; TOA is made before."""
    found = find_weights(weights)
    tokens = Tokens.of_scene(scene, read_irradiance(irradiance or found.irradiance_path), trained=found.published)
    model = load_model(found, scene.sensor.wavelength_nm[tokens.kept])
    backend = pick_backend(model, fidelity=fidelity, threshold=found.threshold, threads=1)  # type: ignore[arg-type]
    blocks = list(scene.blocks(_LINES_AT_ONCE))
    with ThreadPoolExecutor(threads) as pool:
        for half in (0, 1):
            seconds = []
            for start, stop in blocks[half::2]:
                both = zip(scene.read_radiance(start, stop), scene.read_sun_zenith_deg(start, stop), strict=True)
                lines = [tokens.reflectance(*line)[1] for line in both]
                seconds.append(seconds_of(lambda lines=lines: list(pool.map(backend, lines))))
            yield seconds


def command(radiance: Path, folder: Path, options: list[str], threads: int) -> tuple[Seconds, dict[str, Any], float]:
    """Run deploy-pt with every product; return its seconds, its ``done`` event and its peak memory (MB)."""
    products = {"--ortho": "ortho.tif", "--netcdf": "mask.nc", "--quicklook": "quicklook.png"}
    arguments = [str(folder / "mask.tif"), str(radiance), "--proba", "--overwrite", "--json", *options]
    arguments += [item for option, name in products.items() for item in (option, str(folder / name))]
    said: list[str] = []

    def run() -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        child = [sys.executable, "-c", _SCRIPT, "deploy-pt", *arguments]
        said.extend(subprocess.run(child, stdout=subprocess.PIPE, text=True, env=environment).stdout.splitlines())

    seconds = seconds_of(run)
    *events, peak_kib = said
    done = json.loads(events[-1])
    if done["event"] != "done":
        raise SystemExit(f"the command failed: {events[-1]}")
    return seconds, done, int(peak_kib) * 1024 / 1e6


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="builtin")
    parser.add_argument("--irradiance", type=Path)
    parser.add_argument("--fidelity", default="faithful")
    parser.add_argument("--lines", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=PAGE.with_suffix("") / "performance.json")
    given = parser.parse_args()
    found = sorted(given.folder.glob("*_RAD_*.nc"))
    radiance = found[0] if found else simulate_granule(given.folder, SimulationConfig(given.lines)).files["radiance"]
    scene = open_scene(radiance)
    options = ["--weights", given.weights, "--fidelity", given.fidelity]
    options += ["--irradiance", str(given.irradiance)] if given.irradiance else []
    halves = alone(scene, given.weights, given.irradiance, given.fidelity, given.threads)
    first = next(halves)
    whole, done, peak_mb = command(radiance, given.folder, options, given.threads)
    inference = Seconds(*map(sum, zip(*first, *next(halves), strict=True)))
    size = f"{scene.lines} × {scene.samples}, {given.threads} threads, {given.weights}, {given.fidelity}"
    results = [result("stages", size, stage, value=done["seconds"][stage], unit="s") for stage in (*STAGES, "whole")]
    ratio = Seconds(whole.wall / inference.wall, whole.cpu / inference.cpu)
    for what, seconds, unit in (
        ("whole command", whole, "s"),
        ("inference alone", inference, "s"),
        ("ratio", ratio, "×"),
    ):
        for kind, value in seconds._asdict().items():
            results.append(result("end to end", size, what, kind, value=value, unit=unit))
    add(given.out, [*results, result("peak memory", size, value=peak_mb, unit="MB")])
    report.main([PAGE])


if __name__ == "__main__":
    main()
