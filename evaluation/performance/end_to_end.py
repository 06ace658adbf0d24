"""A full-size scene from command to products: seconds by stage, memory, and the ratio to the inference alone.

The machine may be busy, so everything is measured in one run: half of the scene's lines through inference alone,
the whole command in a process of its own, the other half alone. CPU seconds are disturbed least.
Run: python -m evaluation.performance.end_to_end FOLDER [--weights W] [--irradiance I] [--lines N] [--threads N]
FOLDER keeps the simulated scene (2 GB) between runs; end_to_end.json, .md and .png appear beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib

from spectf_cloud.dataset import open_scene
from spectf_cloud.inference.backend import Backend
from spectf_cloud.inference.predict import pick_backend
from spectf_cloud.models.load import load_model
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import Scene
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import find_weights

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OUTPUT = Path(__file__).with_suffix("")
STAGES = ("start-up", "toa", "inference", "waiting", "write")
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


def scene_in(folder: Path, lines: int) -> Path:
    """The radiance file of a simulated scene, made where there is none yet."""
    found = sorted(folder.glob("*_RAD_*.nc"))
    return found[0] if found else simulate_granule(folder, SimulationConfig(lines=lines)).files["radiance"]


def prepare(scene: Scene, weights: str, irradiance: Path | None, fidelity: str) -> tuple[Tokens, Backend]:
    """What `mask_scene` prepares."""
    found = find_weights(weights)
    sunlight = read_irradiance(irradiance or found.irradiance_path)
    tokens = Tokens.of_scene(scene, sunlight, trained=found.published)
    wavelength_nm = scene.sensor.wavelength_nm[tokens.kept]
    backend = pick_backend(
        load_model(found, wavelength_nm), fidelity=fidelity, threshold=found.threshold, threads=1  # type: ignore[arg-type]
    )  # fmt: skip
    return tokens, backend


def alone(scene: Scene, tokens: Tokens, backend: Backend, threads: int, half: int) -> dict[str, float]:
    """Every second group of lines through inference, their TOA made before the clocks run."""
    wall = cpu = 0.0
    pixels = 0
    with ThreadPoolExecutor(threads) as pool:
        for start, stop in list(scene.blocks(_LINES_AT_ONCE))[half::2]:
            zenith_deg = scene.read_sun_zenith_deg(start, stop)
            radiance = scene.read_radiance(start, stop)
            lines = [tokens.reflectance(*line)[1] for line in zip(radiance, zenith_deg, strict=True)]
            began, began_cpu = time.perf_counter(), time.process_time()
            pixels += sum(len(made) for made in pool.map(backend, lines))
            wall += time.perf_counter() - began
            cpu += time.process_time() - began_cpu
    return {"wall_s": wall, "cpu_s": cpu, "pixels": pixels}


def command(radiance: Path, folder: Path, options: list[str], threads: int) -> dict[str, Any]:
    """deploy-pt with every product in a process of its own."""
    products = {"--ortho": "ortho.tif", "--netcdf": "mask.nc", "--quicklook": "quicklook.png"}
    arguments = [str(folder / "mask.tif"), str(radiance), "--proba", "--overwrite", "--json", *options]
    arguments += [item for option, name in products.items() for item in (option, str(folder / name))]
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, "deploy-pt", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    assert child.stdout is not None
    *said, peak_kib = child.stdout.read().splitlines()
    _, status, usage = os.wait4(child.pid, 0)
    done = json.loads(said[-1])
    if status or done["event"] != "done":
        raise SystemExit(f"the command failed: {said[-1]}")
    return {
        "wall_s": time.perf_counter() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": int(peak_kib) * 1024 / 1e6,
        "seconds": done["seconds"],
        "tags": done["tags"],
        "pixels": done["valid_pixels"],
    }


def table(result: dict[str, Any]) -> str:
    """The page that performance.md can include."""
    whole, seconds = result["command"], result["command"]["seconds"]
    rows = [f"| {stage} | {seconds[stage]:.1f} | {seconds[stage] / seconds['whole']:.1%} |" for stage in STAGES]
    return "\n".join(
        [
            f"Scene of {result['lines']} x {result['samples']} pixels (simulated, mixed), every product, "
            f"{result['threads']} threads, {whole['tags']['SPECTF_WEIGHTS']}, {whole['tags']['SPECTF_BACKEND']} "
            f"{whole['tags']['SPECTF_FIDELITY']}; load of the machine {result['load'][0]:.0f} before, "
            f"{result['load'][1]:.0f} after, on {os.cpu_count()} cores.",
            "",
            "| stage | wall-clock s | share |",
            "|---|---|---|",
            *rows,
            f"| whole | {seconds['whole']:.1f} | |",
            f"| (read, beside the others) | {seconds['read']:.1f} | |",
            "",
            "| | wall-clock s | CPU s |",
            "|---|---|---|",
            f"| whole command | {whole['wall_s']:.1f} | {whole['cpu_s']:.1f} |",
            f"| inference alone | {result['alone']['wall_s']:.1f} | {result['alone']['cpu_s']:.1f} |",
            f"| ratio | {result['ratio_wall']:.2f} | {result['ratio_cpu']:.2f} |",
            "",
            f"Peak resident memory: {whole['peak_mb']:.0f} MB.",
            "",
            "![Seconds by stage](end_to_end.png)",
            "",
        ]
    )


def figure(result: dict[str, Any]) -> None:
    """One bar, from start to finish."""
    seconds = result["command"]["seconds"]
    made, axes = plt.subplots(figsize=(8, 1.5), layout="constrained")
    at = 0.0
    for stage, colour in zip(STAGES, ("#5b6570", "#E69F00", "#0072B2", "#cccccc", "#009E73"), strict=True):
        axes.barh(0, seconds[stage], left=at, color=colour, label=f"{stage} {seconds[stage]:.1f} s")
        at += seconds[stage]
    axes.set(yticks=[], xlabel="wall-clock seconds")
    axes.spines[["top", "right", "left"]].set_visible(False)
    made.legend(ncols=len(STAGES), frameon=False, loc="outside upper center")
    made.savefig(OUTPUT.with_suffix(".png"), dpi=130)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="official:v0.1.0")
    parser.add_argument("--irradiance", type=Path)
    parser.add_argument("--fidelity", default="faithful")
    parser.add_argument("--lines", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    radiance = scene_in(given.folder, given.lines)
    scene = open_scene(radiance)
    tokens, backend = prepare(scene, given.weights, given.irradiance, given.fidelity)
    options = ["--weights", given.weights, "--fidelity", given.fidelity]
    options += ["--irradiance", str(given.irradiance)] if given.irradiance else []
    load = [os.getloadavg()[0]]
    halves = [alone(scene, tokens, backend, given.threads, 0)]
    whole = command(radiance, given.folder, options, given.threads)
    halves.append(alone(scene, tokens, backend, given.threads, 1))
    load.append(os.getloadavg()[0])
    by_itself = {key: halves[0][key] + halves[1][key] for key in halves[0]}
    assert by_itself["pixels"] == whole["pixels"]
    result = {
        "lines": scene.lines,
        "samples": scene.samples,
        "threads": given.threads,
        "load": load,
        "command": whole,
        "alone": by_itself,
        "ratio_wall": whole["wall_s"] / by_itself["wall_s"],
        "ratio_cpu": whole["cpu_s"] / by_itself["cpu_s"],
    }
    OUTPUT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    OUTPUT.with_suffix(".md").write_text(table(result))
    figure(result)
    print(table(result))


if __name__ == "__main__":
    main()
