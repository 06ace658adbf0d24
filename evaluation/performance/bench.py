"""Measure speed and fidelity of every CPU path and write performance.json; report.py makes the table of it.

Paths alternate within each round on the same pixels, on one thread. Times are CPU seconds of that thread, so a
busy machine disturbs them little.
Run: python -m evaluation.performance.bench BANK.npz OUT.json NAME=WEIGHTS ...  (the first one is timed)
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.performance.original import BATCH, OriginalPath
from spectf_cloud.inference.algebra import DOMAIN
from spectf_cloud.inference.kernel import usable_levels
from spectf_cloud.inference.load import load_model, read_state_dict
from spectf_cloud.inference.native_backend import NativeBackend, open_native
from spectf_cloud.inference.torch_backend import TorchBackend
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.weights import WeightsFile, find_weights

ROUNDS = 5  # of 4096 pixels: 20,480 for every path and source
BAND_COUNTS = (60, 100, 150, 200, 268, 340, 425)

Path_ = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def forced(level: str, model: SpecTfEncoder, fidelity: str, threshold: float) -> NativeBackend:
    """The native backend at one level."""
    os.environ["SPECTF_SIMD"] = level
    try:
        return open_native(model, fidelity, threshold, threads=1)
    finally:
        del os.environ["SPECTF_SIMD"]


def paths(weights: WeightsFile, wavelength_nm: NDArray[np.float64]) -> dict[str, Path_]:
    """Everything to be timed, by name."""
    model = load_model(weights, wavelength_nm)
    made: dict[str, Path_] = {
        "original bf16 + jit": OriginalPath(read_state_dict(weights), wavelength_nm),
        "PyTorch SDPA float32 (exact)": TorchBackend(model, torch.device("cpu"), 1),
    }
    for level in usable_levels():
        for fidelity in ("faithful", "fast"):
            made[f"{level.name} {fidelity}"] = forced(level.name, model, fidelity, weights.threshold)
    return made


def rates(contenders: dict[str, Path_], spectra: NDArray[np.float32]) -> dict[str, list[float]]:
    """Pixels per CPU second of every path, round by round; each round takes other pixels, all paths the same."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run(spectra[:512])
    for turn in range(ROUNDS):
        pixels = np.ascontiguousarray(spectra[turn * BATCH : (turn + 1) * BATCH])
        for name, run in contenders.items():
            start = time.thread_time()
            run(pixels)
            found[name].append(BATCH / (time.thread_time() - start))
        print(turn, {name: round(values[-1]) for name, values in found.items()}, flush=True)
    return found


def fidelity(
    weights: WeightsFile, wavelength_nm: NDArray[np.float64], spectra: NDArray[np.float32], exact: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """Flips of the mask and errors of the probability of each level and tier, inside the domain."""
    inside = (spectra.min(axis=1) >= DOMAIN[0]) & (spectra.max(axis=1) <= DOMAIN[1])
    spectra, exact = spectra[inside], exact[inside]
    model = load_model(weights, wavelength_nm)
    found = {}
    for level in usable_levels():
        if level.name in ("avx512", "portable"):  # the arithmetic of avx2 in other vector lengths
            continue
        for tier in ("faithful", "fast"):
            made = forced(level.name, model, tier, weights.threshold)(spectra)
            error = np.abs(made - exact)
            found[f"{level.name} {tier}"] = {
                "spectra": len(spectra),
                "flips": float(((made > weights.threshold) != (exact > weights.threshold)).mean()),
                "largest": float(error.max()),
                "p999": float(np.quantile(error, 0.999)),
                "mean": float(error.mean()),
            }
            print(weights.name, level.name, tier, found[f"{level.name} {tier}"], flush=True)
    return found


def cost_of_bands(
    weights: WeightsFile, wavelength_nm: NDArray[np.float64], spectra: NDArray[np.float32]
) -> dict[int, float]:
    """Pixels per CPU second of the default backend for evenly spaced bands."""
    found = {}
    for bands in BAND_COUNTS:
        wanted_nm = np.linspace(wavelength_nm[0], wavelength_nm[-1], bands)
        toa = np.stack([np.interp(wanted_nm, wavelength_nm, row) for row in spectra]).astype(np.float32)
        backend = open_native(load_model(weights, wanted_nm), "faithful", weights.threshold, threads=1)
        backend(toa[:256])
        turns = []
        for _ in range(3):
            start = time.thread_time()
            backend(toa)
            turns.append(len(toa) / (time.thread_time() - start))
        found[bands] = float(np.median(turns))
        print(bands, round(found[bands]), flush=True)
    return found


def main(bank_path: Path, output: Path, named: dict[str, str]) -> None:
    """All measurements, written as they come."""
    torch.set_num_threads(1)
    bank = np.load(bank_path)
    wavelength_nm, kind = bank["wavelength_nm"], bank["kind"]
    chosen = {name: find_weights(spec) for name, spec in named.items()}
    first = next(iter(chosen))
    result: dict[str, object] = {"weights": list(named), "timed": first, "rates": {}, "fidelity": {}}
    in_time = {"real statistics": bank["real"]} | {
        f"simulated {name}": bank["simulated"][kind == name] for name in ("mixed", "clear", "overcast")
    }
    contenders = paths(chosen[first], wavelength_nm)
    rng = np.random.default_rng(0)
    for source, spectra in in_time.items():
        print(source, flush=True)
        drawn = spectra[rng.choice(len(spectra), ROUNDS * BATCH, replace=len(spectra) < ROUNDS * BATCH)]
        timed = contenders if source in ("real statistics", "simulated mixed") else dict(list(contenders.items())[2:4])
        result["rates"][source] = rates(timed, drawn)  # type: ignore[index]
        output.write_text(json.dumps(result, indent=1))
    result["bands"] = cost_of_bands(chosen[first], wavelength_nm, bank["simulated"][kind == "mixed"][:2000])
    for name, weights in chosen.items():
        for source in ("real", "simulated"):
            answers = fidelity(weights, wavelength_nm, bank[source], bank[f"{source}:{name}"])
            result["fidelity"][f"{name}, {source}"] = answers  # type: ignore[index]
            output.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), dict(argument.split("=", 1) for argument in sys.argv[3:]))
