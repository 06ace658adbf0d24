"""Measure the CPU backends that need no compiler, and the fidelity of the ONNX graphs; writes runtimes.md.

Paths alternate within each round on the same spectra, on one thread. Times are CPU seconds of the process, because
OpenVINO computes on threads of its own; a busy machine disturbs them little.
Run: SPECTF_REFERENCE=... python -m evaluation.performance.runtimes
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from evaluation.distillation.data import reference_folder
from spectf_cloud.inference.engines.onnx import runtimes
from spectf_cloud.inference.engines.onnx.graph import build_graph
from spectf_cloud.inference.engines.onnx.runtimes import RUNTIMES, RuntimeBackend
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

ROUNDS = 5
BATCHES = {"openvino": (4, 16), "onnxruntime": (1, 16)}
TIMED = 342
# The interpreter of onnx takes every cast at its word, and minutes for more.
INTERPRETED = 16
OUTPUT = Path(__file__).with_name("runtimes.md")

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def rates(paths: dict[str, Run], toa: NDArray[np.float32]) -> dict[str, list[float]]:
    """Pixels per CPU second of every path, round by round."""
    found: dict[str, list[float]] = {name: [] for name in paths}
    for run in paths.values():
        run(toa[:64])
    for turn in range(ROUNDS):
        for name, run in paths.items():
            start = time.process_time()
            run(toa)
            found[name].append(len(toa) / (time.process_time() - start))
        print(turn, {name: round(values[-1]) for name, values in found.items()}, flush=True)
    return found


def speed(folder: Path) -> list[str]:
    """The table of rates, weights v0.1.0 on the golden EMIT spectra."""
    golden = np.load(folder / "golden/emit_spectra.npz")
    toa, wavelength_nm = golden["toa_reflectance"][::2][:TIMED], golden["wavelength"]
    weights = find_weights(folder / "official/v0.1.0/weights.pt")
    model = load_model(weights, wavelength_nm)
    paths: dict[str, Run] = {
        "PyTorch SDPA float32": TorchBackend(model, torch.device("cpu"), 1),
    }
    for runtime in reversed(RUNTIMES):
        for batch in BATCHES[runtime]:
            runtimes._BATCH[runtime] = batch
            paths[f"{runtime}, {batch} pixels a batch"] = RuntimeBackend(runtime, model, 0.51, threads=1)
    found = rates(paths, toa)
    torch_rate = np.median(found["PyTorch SDPA float32"])
    lines = ["| path | pixels per CPU second | range of rounds | against PyTorch float32 |", "|---|---|---|---|"]
    for name, values in found.items():
        middle = np.median(values)
        lines.append(f"| {name} | {middle:,.0f} | {min(values):,.0f}–{max(values):,.0f} | {middle / torch_rate:.2f}× |")
    return lines


def fidelity(folder: Path) -> list[str]:
    """Largest error of logit and probability of every graph."""
    golden = np.load(folder / "golden/emit_spectra.npz")
    lines = [
        "| weights | graph | run by | spectra | largest error of a logit | of a probability |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("official/v0.1.0/weights.pt", "official/v0.0.1/weights.pt", "builtin"):
        spec = name if name == "builtin" else str(folder / name)
        model = load_model(find_weights(spec), golden["wavelength"])
        label = find_weights(spec).name
        for precision in ("fp32", "fp16", "bf16"):
            made = build_graph(model, precision, fixed_bands=True)  # type: ignore[arg-type]
            for runner in ("ONNX Runtime", "onnx interpreter"):
                if (precision, runner) in (("bf16", "ONNX Runtime"), ("fp32", "onnx interpreter")):
                    continue
                toa = golden["toa_reflectance"][:: 683 // INTERPRETED if runner == "onnx interpreter" else 1]
                logits = run_graph(made.SerializeToString(), toa) if runner == "ONNX Runtime" else interpret(made, toa)
                with torch.inference_mode():
                    exact = torch.cat([model(part[..., None]) for part in torch.from_numpy(toa).split(64)]).numpy()
                error, off = np.abs(logits - exact).max(), np.abs(cloud(logits) - cloud(exact)).max()
                lines.append(f"| {label} | {precision} | {runner} | {len(toa)} | {error:.1e} | {off:.1e} |")
                print(lines[-1], flush=True)
    return lines


def run_graph(graph: bytes, toa: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    parts = [session.run(["logits"], {"toa_reflectance": toa[i : i + 16]})[0] for i in range(0, len(toa), 16)]
    return np.concatenate(parts)


def interpret(made: object, toa: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits by onnx's own interpreter, which rounds wherever the graph says so and sums in short types too."""
    return np.concatenate([ReferenceEvaluator(made).run(["logits"], {"toa_reflectance": row[None]})[0] for row in toa])


def cloud(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability of cloud."""
    return 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))


def main() -> None:
    """Both tables."""
    torch.set_num_threads(1)
    folder = reference_folder()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "openvino", "onnx"))
    text = [
        "# CPU backends without a compiler, and the ONNX graphs",
        "",
        f"Written by `python -m evaluation.performance.runtimes` on {platform.machine()}: {versions}.",
        f"One thread, CPU seconds of the process, medians of {ROUNDS} alternated rounds of {TIMED} golden EMIT spectra",
        "of 268 bands, weights v0.1.0. Other jobs kept the machine busy.",
        "",
        "## Speed",
        "",
        *speed(folder),
        "",
        "`predict` takes the best batch of each.",
        "",
        "## Distance from float32 PyTorch",
        "",
        "The interpreter rounds every product of fp16 and bf16 graphs to the short type, and sums in it: worse than a",
        "tensor core. bf16 cannot be run by ONNX Runtime on a CPU.",
        "",
        *fidelity(folder),
        "",
    ]
    OUTPUT.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
