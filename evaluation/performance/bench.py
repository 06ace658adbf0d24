"""Measure speed and fidelity of every CPU path and write a json; report.py makes the table of it.

Paths alternate within each round on the same pixels. Times are CPU seconds of the process, so a busy machine
disturbs them little; the slowest paths sit out the later rounds.
Run: python -m evaluation.performance.bench PART BANK.npz OUT.json NAME=WEIGHTS ...  (the first one is timed), where
PART is ``real``, ``simulated``, ``bands`` or ``fidelity``: parts may run side by side, and report.py joins them.
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
from spectf_cloud.inference.engines.native.backend import TIERS, NativeBackend, Unavailable, open_native
from spectf_cloud.inference.engines.native.kernel import usable_levels
from spectf_cloud.inference.engines.native.reduction import DOMAIN
from spectf_cloud.inference.engines.onnx.runtimes import RUNTIMES, RuntimeBackend
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model, read_state_dict
from spectf_cloud.weights import WeightsFile, find_weights

Spectra = NDArray[np.float32]
Run = Callable[[Spectra], Spectra]

ROUNDS = 5  # of 4096 pixels: 20,480
SHORT_ROUNDS = 1  # for the float32 paths of others
BAND_COUNTS = (60, 100, 150, 200, 268, 340, 425)
PIXEL_COUNTS = (256, 1024, 4096, 16384)


def forced(level: str, model: SpecTfEncoder, fidelity: str, threshold: float, threads: int = 1) -> NativeBackend:
    """The native backend at one level."""
    os.environ["SPECTF_SIMD"] = level
    try:
        return open_native(model, fidelity, threshold, threads)
    finally:
        del os.environ["SPECTF_SIMD"]


def paths(chosen: dict[str, WeightsFile], wavelength_nm: NDArray[np.float64]) -> dict[str, tuple[Run, int]]:
    """Everything to be timed, by name, with its rounds: every path with the first weights, the fastest with all."""
    (_, weights), *others = chosen.items()
    model = load_model(weights, wavelength_nm)
    made: dict[str, tuple[Run, int]] = {
        "original bf16 + jit": (OriginalPath(read_state_dict(weights), wavelength_nm), ROUNDS),
        "PyTorch SDPA float32 (exact)": (TorchBackend(model, torch.device("cpu"), 1), SHORT_ROUNDS),
    }
    for runtime in RUNTIMES:
        try:
            made[f"{runtime} float32"] = (RuntimeBackend(runtime, model, weights.threshold, 1), SHORT_ROUNDS)
        except Unavailable as reason:
            print(f"{runtime} is not measured: {reason}")
    for level in usable_levels():
        for fidelity in TIERS:
            made[f"{level.name} {fidelity}"] = (forced(level.name, model, fidelity, weights.threshold), ROUNDS)
    fastest = usable_levels()[0].name
    made[f"{fastest} faithful, 2 threads"] = (forced(fastest, model, "faithful", weights.threshold, 2), ROUNDS)
    for name, other in others:
        model = load_model(other, wavelength_nm)
        for fidelity in TIERS:
            made[f"{fastest} {fidelity}, {name}"] = (forced(fastest, model, fidelity, other.threshold), ROUNDS)
    return made


def rates(contenders: dict[str, tuple[Run, int]], spectra: Spectra) -> dict[str, list[float]]:
    """Pixels per CPU second of every path, round by round; each round takes other pixels, all paths the same."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for run, _ in contenders.values():
        run(spectra[:256])
    for turn in range(ROUNDS):
        pixels = np.ascontiguousarray(spectra[turn * BATCH : (turn + 1) * BATCH])
        for name, (run, rounds) in contenders.items():
            if turn < rounds:
                start = time.process_time()
                run(pixels)
                found[name].append(BATCH / (time.process_time() - start))
        print(turn, {name: round(values[-1]) for name, values in found.items()}, flush=True)
    return found


def in_domain(spectra: Spectra) -> NDArray[np.bool_]:
    """Which spectra the kernel itself computes."""
    inside: NDArray[np.bool_] = (spectra.min(axis=1) >= DOMAIN[0]) & (spectra.max(axis=1) <= DOMAIN[1])
    return inside


def fidelity(
    weights: WeightsFile, wavelength_nm: NDArray[np.float64], spectra: Spectra, exact: Spectra, level_names: list[str]
) -> dict[str, dict[str, float]]:
    """Flips of the mask and errors of the probability of each level and tier, inside the domain."""
    inside = in_domain(spectra)
    spectra, exact = spectra[inside], exact[inside]
    model = load_model(weights, wavelength_nm)
    found = {}
    for level in level_names:
        for tier in TIERS:
            made = forced(level, model, tier, weights.threshold)(spectra)
            error = np.abs(made - exact)
            found[f"{level} {tier}"] = {
                "spectra": len(spectra),
                "flips": float(((made > weights.threshold) != (exact > weights.threshold)).mean()),
                "largest": float(error.max()),
                "p999": float(np.quantile(error, 0.999)),
                "mean": float(error.mean()),
            }
            print(weights.name, level, tier, found[f"{level} {tier}"], flush=True)
    return found


def _rate(run: Run, toa: Spectra) -> float:
    run(toa[:256])
    turns = []
    for _ in range(3):
        start = time.process_time()
        run(toa)
        turns.append(len(toa) / (time.process_time() - start))
    return float(np.median(turns))


def cost(weights: WeightsFile, wavelength_nm: NDArray[np.float64], spectra: Spectra) -> dict[str, dict[int, float]]:
    """Pixels per CPU second of the default backend, for evenly spaced bands and for numbers of pixels."""
    by_bands, by_pixels = {}, {}
    for bands in BAND_COUNTS:
        wanted_nm = np.linspace(wavelength_nm[0], wavelength_nm[-1], bands)
        toa = np.stack([np.interp(wanted_nm, wavelength_nm, row) for row in spectra[:2000]]).astype(np.float32)
        backend = open_native(load_model(weights, wanted_nm), "faithful", weights.threshold, threads=1)
        by_bands[bands] = _rate(backend, toa)
        print(bands, round(by_bands[bands]), flush=True)
    backend = open_native(load_model(weights, wavelength_nm), "faithful", weights.threshold, threads=1)
    for pixels in PIXEL_COUNTS:
        by_pixels[pixels] = _rate(backend, spectra[:pixels])
        print(pixels, round(by_pixels[pixels]), flush=True)
    return {"bands": by_bands, "pixels": by_pixels}


def time_source(
    part: str,
    bank: dict[str, NDArray[np.generic]],
    chosen: dict[str, WeightsFile],
    result: dict[str, dict[str, object]],
) -> None:
    """Rates on the real statistics, or on mixed, clear and overcast simulated scenes (the last two: fewer paths)."""
    contenders = paths(chosen, bank["wavelength_nm"])
    if part == "real":
        result["rates"]["real statistics"] = rates(contenders, bank["real"])
        return
    rng = np.random.default_rng(0)
    fastest = usable_levels()[0].name
    few = {name: path for name, path in contenders.items() if name.startswith(f"{fastest} ")}
    for kind, timed in (("mixed", contenders), ("clear", few), ("overcast", few)):
        spectra = bank["simulated"][bank["kind"] == kind]
        drawn = spectra[rng.choice(len(spectra), ROUNDS * BATCH, replace=len(spectra) < ROUNDS * BATCH)]
        result["rates"][f"simulated {kind}"] = rates(timed, drawn)


def main(part: str, bank_path: Path, output: Path, named: dict[str, str]) -> None:
    """One part, written as it comes."""
    torch.set_num_threads(1)
    bank = dict(np.load(bank_path))
    chosen = {name: find_weights(spec) for name, spec in named.items()}
    first = next(iter(chosen))
    result: dict[str, dict[str, object]] = {"timed": {"weights": first}, "rates": {}, "cost": {}, "fidelity": {}}
    if part in ("real", "simulated"):
        time_source(part, bank, chosen, result)
    elif part == "bands":
        mixed = bank["simulated"][bank["kind"] == "mixed"]
        result["cost"] |= cost(chosen[first], bank["wavelength_nm"], mixed)
    else:
        fastest, *others = [level.name for level in usable_levels()]
        for name, weights in chosen.items():
            for source in ("real", "simulated"):
                answers = bank[f"{source}:{name}"]
                spectra = bank[source]
                found = fidelity(weights, bank["wavelength_nm"], spectra, answers, [fastest])
                every = slice(None, None, max(1, len(answers) // 10_000))
                found |= fidelity(weights, bank["wavelength_nm"], spectra[every], answers[every], others)
                result["fidelity"][f"{name}, {source}"] = found
                output.write_text(json.dumps(result, indent=1))
    output.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), dict(argument.split("=", 1) for argument in sys.argv[4:]))
