"""The GPU's table in one command: speed and fidelity of every path, floors, ablation, cost, the whole command.

Run: python -m evaluation.gpu_bench [--weights official:v0.1.0] [--device 0] [--out evaluation/gpu.json]
It writes the JSON and, beside it, gpu.md. Without a GPU it says so and ends with 4; ``--smoke`` takes every path on
the CPU with a handful of pixels, the kernel through Triton's interpreter: its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

ROUNDS = 7
BAND_COUNTS = (60, 100, 150, 200, 268, 340, 425)
PIXEL_COUNTS = (4096, 16384, 65536, 262144, 1048576)
EMIT_NM = (381.0, 2493.0)


def measure(weights_spec: str, device: torch.device, smoke: bool, out: Path) -> None:
    """Everything, written as it comes."""
    from evaluation.gpu import clock, contenders, floors, report, whole
    from spectf_cloud.inference.engines.cuda.cache import load_cuda_tables
    from spectf_cloud.models.load import load_model
    from spectf_cloud.sensor import PUBLISHED_DROP_NM, Sensor
    from spectf_cloud.weights import find_weights

    weights = find_weights(weights_spec)
    emit = Sensor.emit()
    emit_nm = emit.wavelength_nm[emit.kept(PUBLISHED_DROP_NM)]
    wavelength_nm = emit_nm[::13] if smoke else emit_nm
    pixels, batch, rounds = (2, 2, 2) if smoke else (131072, 4096, ROUNDS)
    result: dict[str, object] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, interpreted: no measurement",
        "torch": torch.__version__,
        "weights": weights.name,
        "bands": len(wavelength_nm),
        "pixels": pixels,
        "rounds": rounds,
    }

    def keep(**more: object) -> None:
        result.update(more)
        out.write_text(json.dumps(result, indent=1))
        print(*more, flush=True)

    def prepared(centres_nm: np.ndarray):  # type: ignore[no-untyped-def]
        model = load_model(weights, centres_nm)
        return model, load_cuda_tables(model)[0], clock.Spectra(centres_nm, device)

    rates = clock.ceilings(device, smoke)
    keep(ceilings=rates, floors=floors.floors(len(wavelength_nm), rates))
    model, tables, spectra = prepared(wavelength_nm)
    paths, missing = contenders.contenders(model, tables, wavelength_nm, device, batch, smoke)
    keep(missing=missing, rates=clock.median_rates(paths, spectra, pixels, rounds))
    exact = contenders.float32(model, device, batch)
    keep(fidelity=clock.fidelity(paths, exact, spectra.draw(8 * pixels if smoke else pixels), weights.threshold))

    variants = {name: contenders.kernel(tables, device, one) for name, one in contenders.ABLATION.items()}
    if smoke:
        variants = dict(list(variants.items())[:3])
    keep(ablation=clock.median_rates(variants, spectra, pixels, rounds))
    keep(ablation_fidelity=clock.fidelity(variants, exact, spectra.draw(pixels), weights.threshold))

    ours = {"our kernel": paths["our kernel"]}
    counts = (1, 3) if smoke else PIXEL_COUNTS
    keep(by_pixels={n: clock.median_rates(ours, spectra, n, rounds)["our kernel"] for n in counts})
    by_bands = {}
    for bands in (2, 17) if smoke else BAND_COUNTS:
        _, small, some = prepared(np.linspace(*EMIT_NM, bands))
        run = {"our kernel": contenders.kernel(small, device, contenders.Variant())}
        by_bands[bands] = clock.median_rates(run, some, pixels, rounds)["our kernel"]
    keep(by_bands=by_bands)
    with tempfile.TemporaryDirectory() as folder:
        lines, samples = (8, 8) if smoke else (1280, 1242)
        keep(whole=whole.measure(Path(folder), lines, samples, weights, device))
    out.with_suffix(".md").write_text(report.markdown(json.loads(out.read_text())))
    print(out.with_suffix(".md").read_text())


def main() -> int:
    """The exit code."""
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
    device = torch.device("cpu") if asked.smoke else torch.device("cuda", asked.device)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        measure(asked.weights, device, asked.smoke, asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
