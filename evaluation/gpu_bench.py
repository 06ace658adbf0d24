"""The GPU's table in one command: speed and fidelity of every path, floors, ideas, cost, the whole command.

Run: python -m evaluation.gpu_bench [--weights official:v0.1.0] [--device 0] [--out evaluation/gpu.json]
It writes the JSON and, beside it, gpu.md. Without a GPU it says so and ends with 4; ``--smoke`` takes every path on
the CPU with a handful of pixels, the kernel through Triton's interpreter: its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation import report
from evaluation.results import Result, add, result

ROUNDS = 7
BAND_COUNTS = (60, 100, 150, 200, 268, 340, 425)
PIXEL_COUNTS = (4096, 16384, 65536, 262144, 1048576)
EMIT_NM = (381.0, 2493.0)
RATE = "pixels/s"


@dataclass(frozen=True)
class Bench:
    """What is measured on which device; ``smoke`` is a handful of pixels on the CPU."""

    weights: Any
    device: torch.device
    smoke: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Pixels a round, of a batch, and rounds."""
        return (2, 2, 2) if self.smoke else (131072, 4096, ROUNDS)

    @property
    def machine(self) -> str:
        """The GPU, and the PyTorch it runs."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else "a CPU, interpreted (not a measurement)"
        return f"{name}, PyTorch {torch.__version__}"

    def result(self, *parts: str, value: float | list[float], unit: str = "") -> Result:
        """Return what was measured on the device."""
        return result(*parts, value=value, unit=unit, machine=self.machine)

    def prepared(self, wavelength_nm: np.ndarray) -> tuple[Any, Any, Any]:
        """Return the network, the kernel's tables and endless spectra for some bands."""
        from evaluation.gpu.clock import Spectra
        from spectf_cloud.inference.engines.cuda.cache import load_cuda_tables
        from spectf_cloud.models.load import load_model

        model = load_model(self.weights, wavelength_nm)
        return model, load_cuda_tables(model)[0], Spectra(wavelength_nm, self.device)

    def rates(self, what: str, paths: dict[str, Callable[..., Any]], spectra: Any) -> Iterator[Result]:
        """Yield rates, seconds of a scene and the ratio to the first path."""
        from evaluation.gpu.clock import rates
        from evaluation.gpu.floors import SCENE_PIXELS

        pixels, _, rounds = self.sizes
        found = rates(paths, spectra, pixels, rounds)
        first = float(np.median(next(iter(found.values()))))
        for name, values in found.items():
            rate = float(np.median(values))
            yield self.result(what, name, "speed", value=values, unit=RATE)
            yield self.result(what, name, "scene", value=SCENE_PIXELS / rate, unit="s")
            yield self.result(what, name, "ratio to the first", value=rate / first, unit="×")

    def distances(
        self, what: str, paths: dict[str, Callable[..., Any]], exact: Callable[..., Any], spectra: Any
    ) -> Iterator[Result]:
        """Yield how far each path is from the exact answers."""
        from evaluation.reference import distance

        toa = spectra.draw(8 * self.sizes[0] if self.smoke else self.sizes[0])
        expected = exact(toa).cpu().numpy()
        for name, run in paths.items():
            for kind, (value, unit) in distance(run(toa).cpu().numpy(), expected, self.weights.threshold).items():
                yield self.result(what, name, kind, value=value, unit=unit)


def measure(bench: Bench) -> Iterator[list[Result]]:
    """Yield the results of each part as they come."""
    from evaluation.gpu import clock, contenders, floors, whole
    from spectf_cloud.sensor import Sensor
    from spectf_cloud.tokens import shown_bands

    device, smoke = bench.device, bench.smoke
    wavelength_nm = Sensor.emit().wavelength_nm[shown_bands(Sensor.emit())][:: 13 if smoke else 1]
    ceilings = clock.ceilings(device, smoke)
    yield [bench.result("ceilings", name, value=value) for name, value in ceilings.items()]
    model, tables, spectra = bench.prepared(wavelength_nm)
    paths, missing = contenders.contenders(model, tables, wavelength_nm, device, bench.sizes[1], smoke)
    print(*(f"{name} is not measured: {reason}" for name, reason in missing.items()), sep="\n")
    speeds = list(bench.rates("inference", paths, spectra))
    yield speeds
    (ours,) = (one.number for one in speeds if one.parts[1:] == ("our kernel", "scene"))
    for unit, floor in floors.floors(len(wavelength_nm), ceilings).items():
        yield [
            bench.result("floors", unit, "floor", value=floor, unit="s"),
            bench.result("floors", unit, "our kernel takes", value=ours / floor, unit="×"),
        ]
    exact = contenders.float32(model, device, bench.sizes[1])
    yield list(bench.distances("fidelity", paths, exact, spectra))
    ideas = {name: contenders.kernel(tables, device, one) for name, one in contenders.ABLATION.items()}
    ideas = dict(list(ideas.items())[:3]) if smoke else ideas
    yield list(bench.rates("ideas", ideas, spectra))
    yield list(bench.distances("fidelity of ideas", ideas, exact, spectra))
    yield from _cost(bench, paths["our kernel"], spectra)
    with tempfile.TemporaryDirectory() as folder:
        yield list(whole.measure(bench, Path(folder), *((8, 8) if smoke else (1280, 1242))))


def _cost(bench: Bench, ours: Callable[..., Any], spectra: Any) -> Iterator[list[Result]]:
    """Measure the kernel for numbers of pixels and of bands."""
    from evaluation.gpu.clock import rates
    from evaluation.gpu.contenders import Variant, kernel

    pixels, _, rounds = bench.sizes
    for count in (1, 3) if bench.smoke else PIXEL_COUNTS:
        values = rates({"": ours}, spectra, count, rounds)[""]
        yield [bench.result("cost", "pixels in a call", f"{count:,}", value=values, unit=RATE)]
    for bands in (2, 17) if bench.smoke else BAND_COUNTS:
        _, tables, some = bench.prepared(np.linspace(*EMIT_NM, bands))
        values = rates({"": kernel(tables, bench.device, Variant())}, some, pixels, rounds)[""]
        yield [bench.result("cost", "bands", str(bands), value=values, unit=RATE)]


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="builtin", help="a path, builtin, or a release")
    parser.add_argument("--device", type=int, default=0, help="number of the GPU")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("gpu.json"))
    parser.add_argument("--smoke", action="store_true", help="every path once on the CPU; needs no GPU")
    asked = parser.parse_args()
    if asked.smoke:
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        print("no NVIDIA GPU here; --smoke takes every path on the CPU", file=sys.stderr)
        return 4
    from spectf_cloud.weights import find_weights

    device = torch.device("cpu") if asked.smoke else torch.device("cuda", asked.device)
    asked.out.unlink(missing_ok=True)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        for results in measure(Bench(find_weights(asked.weights), device, asked.smoke)):
            add(asked.out, results)
            for one in results:
                print(one.name, report.shown(one.number, one.unit), one.unit, flush=True)
    page = report.fill(Path(__file__).parent / "gpu" / "page.md", asked.out)
    asked.out.with_suffix(".md").write_text(page, encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
