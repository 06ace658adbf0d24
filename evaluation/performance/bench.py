"""Measure speed and fidelity of every CPU path into performance.json, and fill performance.md.

    SPECTF_REFERENCE=... python -m evaluation.performance.bench [--only PART ...] [--folder bench]

Speed is pixels per CPU second: paths alternate within each round on the same pixels, and the slowest sit out the later
rounds. The folder keeps the bank of spectra between runs. ``--small`` tries everything on a few spectra and writes its
results into the folder: they mean nothing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation import report
from evaluation.performance import graphs
from evaluation.performance.bank import PER_SCENE, make_bank
from evaluation.performance.original import BATCH, OriginalPath
from evaluation.reference import Spectra, distance, reference_folder
from evaluation.results import ROOT, Result, add, result
from evaluation.timer import alternate
from spectf_cloud.inference.engines.native.backend import NativeBackend, open_native
from spectf_cloud.inference.engines.native.kernel import usable_levels
from spectf_cloud.inference.engines.native.reduction import DOMAIN
from spectf_cloud.inference.engines.onnx.runtimes import RUNTIMES, RuntimeBackend
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.predict import pick_backend
from spectf_cloud.inference.promise import TIERS, Unavailable
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model, read_state_dict
from spectf_cloud.weights import Checkpoint, find_weights

Run = Callable[[Spectra], Spectra]
Chosen = dict[str, Checkpoint]
Bank = dict[str, NDArray[np.generic]]

ROUNDS = 5
BAND_COUNTS, PIXEL_COUNTS = (60, 100, 150, 200, 268, 340, 425), (256, 1024, 4096, 16384)
ORIGINAL = "original bf16 + jit"
#: Float32 paths are slow and steady: one round does.
FLOAT32 = "float32"
RATE = "pixels/CPU s"


def forced(level: str, model: SpecTfEncoder, fidelity: str, threshold: float, threads: int = 1) -> NativeBackend:
    """Open the native backend at one level."""
    os.environ["SPECTF_SIMD"] = level
    try:
        return open_native(model, fidelity, threshold, threads)
    finally:
        del os.environ["SPECTF_SIMD"]


def paths(chosen: Chosen, wavelength_nm: NDArray[np.float64]) -> dict[str, Run]:
    """Return everything to be timed by name: every path with the first weights, the fastest with all."""
    (_, weights), *others = chosen.items()
    model = load_model(weights, wavelength_nm)
    made: dict[str, Run] = {
        ORIGINAL: OriginalPath(read_state_dict(weights), wavelength_nm),
        f"PyTorch SDPA {FLOAT32} (exact)": TorchBackend(model, torch.device("cpu"), 1),
    }
    for runtime in RUNTIMES:
        try:
            made[f"{runtime} {FLOAT32}"] = RuntimeBackend(runtime, model, weights.threshold, 1)
        except Unavailable as reason:
            print(f"{runtime} is not measured: {reason}")
    fastest, *_ = names = [level.name for level in usable_levels()]
    made |= {f"{name} {tier}": forced(name, model, tier, weights.threshold) for name in names for tier in TIERS}
    made[f"{fastest} faithful, 2 threads"] = forced(fastest, model, "faithful", weights.threshold, 2)
    for name, other in others:
        network = load_model(other, wavelength_nm)
        made |= {f"{fastest} {tier}, {name}": forced(fastest, network, tier, other.threshold) for tier in TIERS}
    return made


def rates(source: str, contenders: dict[str, Run], spectra: Spectra, batch: int) -> Iterator[Result]:
    """Time every path round by round on fresh pixels; yield rates, and ratios to the original where it takes part."""
    for run in contenders.values():
        run(spectra[:256])
    pixels = [np.ascontiguousarray(spectra[turn * batch : (turn + 1) * batch]) for turn in range(ROUNDS)]
    found = alternate(contenders, pixels, rounds={name: 1 for name in contenders if FLOAT32 in name})
    speeds = {name: [batch / seconds.cpu for seconds in turns] for name, turns in found.items()}
    for name, values in speeds.items():
        yield result("speed", source, name, value=values, unit=RATE)
        if ORIGINAL in speeds:
            ratio = float(np.median(values) / np.median(speeds[ORIGINAL]))
            yield result("times the original", source, name, value=ratio, unit="×")


def real(chosen: Chosen, bank: Bank, batch: int) -> Iterator[Result]:
    """Measure rates on the real statistics."""
    yield from rates("real statistics", paths(chosen, bank["wavelength_nm"]), bank["real"], batch)


def simulated(chosen: Chosen, bank: Bank, batch: int) -> Iterator[Result]:
    """Measure rates on simulated scenes: mixed by every path, clear and overcast by the fastest."""
    contenders, fastest = paths(chosen, bank["wavelength_nm"]), usable_levels()[0].name
    few = {name: run for name, run in contenders.items() if name.startswith(f"{fastest} ")}
    rng = np.random.default_rng(0)
    for kind, timed in (("mixed", contenders), ("clear", few), ("overcast", few)):
        spectra = bank["simulated"][bank["kind"] == kind]
        drawn = spectra[rng.choice(len(spectra), ROUNDS * batch, replace=len(spectra) < ROUNDS * batch)]
        yield from rates(f"simulated {kind}", timed, drawn, batch)


def cost(chosen: Chosen, bank: Bank, batch: int) -> Iterator[Result]:
    """Measure the default backend for evenly spaced bands and for numbers of pixels."""
    weights, nm = next(iter(chosen.values())), bank["wavelength_nm"]
    spectra = bank["simulated"][bank["kind"] == "mixed"]

    def rate(run: Run, toa: Spectra) -> list[float]:
        run(toa[:256])
        return [len(toa) / seconds.cpu for seconds in alternate({"": run}, [toa] * 3)[""]]

    for bands in BAND_COUNTS:
        wanted_nm = np.linspace(nm[0], nm[-1], bands)
        toa = np.stack([np.interp(wanted_nm, nm, row) for row in spectra[: batch // 2]]).astype(np.float32)
        backend = open_native(load_model(weights, wanted_nm), "faithful", weights.threshold, threads=1)
        yield result("cost", "bands", str(bands), value=rate(backend, toa), unit=RATE)
    backend = open_native(load_model(weights, nm), "faithful", weights.threshold, threads=1)
    for pixels in PIXEL_COUNTS:
        if pixels <= len(spectra):
            yield result("cost", "pixels in a call", f"{pixels:,}", value=rate(backend, spectra[:pixels]), unit=RATE)


def fidelity(chosen: Chosen, bank: Bank, batch: int) -> Iterator[Result]:
    """Measure each level and tier inside the kernel's domain: the fastest on all spectra, the others on every tenth."""
    for name, weights in chosen.items():
        model = load_model(weights, bank["wavelength_nm"])
        for source in ("real", "simulated"):
            spectra, answers = bank[source], bank[f"{source}:{name}"]
            inside = np.flatnonzero((spectra.min(axis=1) >= DOMAIN[0]) & (spectra.max(axis=1) <= DOMAIN[1]))
            for number, level in enumerate(usable_levels()):
                rows = inside if number == 0 else inside[:: max(1, len(inside) // 10_000)]
                for tier in TIERS:
                    made = forced(level.name, model, tier, weights.threshold)(spectra[rows])
                    yield from _distance((name, source, f"{level.name} {tier}"), made, answers[rows], weights)


def cube(chosen: Chosen, bank: Bank, batch: int) -> Iterator[Result]:
    """Measure the default backends on the real AVIRIS-NG cube with its own bands."""
    golden = np.load(reference_folder() / "golden/avirisng_20170323.npz")
    nm = golden["kept_wavelength"]
    spectra = golden["toa"][:, :, np.isin(golden["wavelength"], nm)].reshape(-1, len(nm)).astype(np.float32)
    for name, weights in chosen.items():
        model = load_model(weights, nm)
        exact = TorchBackend(model, torch.device("cpu"), 1)(spectra)
        for tier in TIERS:
            backend = pick_backend(model, fidelity=tier, threshold=weights.threshold, threads=1)
            path = f"{backend.name.removeprefix('native-')} {tier}"
            yield from _distance((name, f"AVIRIS-NG cube, {len(nm)} bands", path), backend(spectra), exact, weights)


def _distance(where: tuple[str, ...], made: Spectra, exact: Spectra, weights: Checkpoint) -> Iterator[Result]:
    for what, (value, unit) in distance(made, exact, weights.threshold).items():
        yield result("fidelity", *where, what, value=value, unit=unit)


PARTS: dict[str, Callable[[Chosen, Bank, int], Iterator[Result]]] = {
    "real": real, "simulated": simulated, "cost": cost, "fidelity": fidelity, "cube": cube,
    "runtimes": graphs.speed, "graphs": graphs.fidelity,
}  # fmt: skip


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=ROOT / "bench", help="where the bank of spectra is kept")
    parser.add_argument("--small", action="store_true", help="try the programs: a few spectra")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    official = reference_folder() / "official"
    chosen = {name: find_weights(str(official / name / "weights.pt")) for name in ("v0.1.0", "v0.0.1")}
    chosen["builtin"] = find_weights("builtin")
    bank = make_bank(asked.folder / f"bank{'_small' * asked.small}.npz", chosen, 40 if asked.small else PER_SCENE)
    page = ROOT / "evaluation/performance.md"
    out = asked.folder / "performance.json" if asked.small else page.with_suffix("") / "performance.json"
    for part in asked.only:
        for one in PARTS[part](chosen, bank, 64 if asked.small else BATCH):
            print(one.name, report.shown(one.number, one.unit), one.unit, flush=True)
            add(out, [one])
    report.main([] if asked.small else [page])


if __name__ == "__main__":
    main()
