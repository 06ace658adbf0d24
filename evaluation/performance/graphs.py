"""Speed of the CPU backends that need no compiler, and fidelity of the ONNX graphs, on the golden EMIT spectra."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from evaluation.reference import Spectra, reference_folder
from evaluation.results import Result, result
from evaluation.timer import alternate
from spectf_cloud.inference.engines.onnx import runtimes
from spectf_cloud.inference.engines.onnx.graph import build_graph
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.promise import Unavailable
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import Checkpoint

ROUNDS, TIMED = 5, 342
BATCHES = {"openvino": (4, 16), "onnxruntime": (1, 16)}
# The interpreter of onnx takes every cast at its word, and minutes for more.
INTERPRETED = 16


def speed(chosen: dict[str, Checkpoint], bank: object, batch: int) -> Iterator[Result]:
    """Time PyTorch and the runtimes at several batch sizes, with the first weights."""
    weights = next(iter(chosen.values()))
    toa, wavelength_nm = _golden(2 if batch > TIMED else 40)
    model = load_model(weights, wavelength_nm)
    paths: dict[str, Callable[[Spectra], Spectra]] = {"PyTorch": TorchBackend(model, torch.device("cpu"), 1)}
    for runtime, size in ((name, size) for name in reversed(runtimes.RUNTIMES) for size in BATCHES[name]):
        try:
            with mock.patch.dict(runtimes._BATCH, {runtime: size}):
                backend = runtimes.RuntimeBackend(runtime, model, weights.threshold, threads=1)
        except Unavailable as reason:
            print(f"{runtime} is not measured: {reason}")
            continue
        paths[f"{runtime}, {size} pixels a batch"] = backend
    for run in paths.values():
        run(toa[:64])
    for name, turns in alternate(paths, [toa] * ROUNDS).items():
        yield result("runtimes", name, "float32", value=[len(toa) / each.cpu for each in turns], unit="pixels/CPU s")


def fidelity(chosen: dict[str, Checkpoint], bank: object, batch: int) -> Iterator[Result]:
    """Measure the largest error of logit and probability of every graph against float32 PyTorch."""
    for name, weights in chosen.items():
        toa, wavelength_nm = _golden(1 if batch > TIMED else 40)
        model = load_model(weights, wavelength_nm)
        for precision, runner in (
            *(("fp32", _by_onnxruntime), ("fp16", _by_onnxruntime)),
            *(("fp16", _by_interpreter), ("bf16", _by_interpreter)),
        ):
            some = toa[:: max(1, len(toa) // INTERPRETED)] if runner is _by_interpreter else toa
            logits = runner(build_graph(model, precision, fixed_bands=True), some)  # type: ignore[arg-type]
            with torch.inference_mode():
                exact = torch.cat([model(part[..., None]) for part in torch.from_numpy(some).split(64)]).numpy()
            where = ("graphs", name, precision, runner.__name__.removeprefix("_by_"))
            yield result(*where, "spectra", value=len(some))
            yield result(*where, "largest error of a logit", value=float(np.abs(logits - exact).max()), unit="p")
            off = float(np.abs(_cloud(logits) - _cloud(exact)).max())
            yield result(*where, "largest error of a probability", value=off, unit="p")


def _golden(every: int) -> tuple[Spectra, NDArray[np.float64]]:
    golden = np.load(reference_folder() / "golden/emit_spectra.npz")
    return golden["toa_reflectance"][::every], golden["wavelength"]


def _by_onnxruntime(made: ModelProto, toa: Spectra) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([_logits(session, toa[i : i + 16]) for i in range(0, len(toa), 16)])


def _by_interpreter(made: ModelProto, toa: Spectra) -> NDArray[np.float32]:
    """Run onnx's own interpreter, which rounds wherever the graph says so and sums in short types too."""
    return np.concatenate([_logits(ReferenceEvaluator(made), row[None]) for row in toa])


def _logits(runner: Any, toa: Spectra) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = runner.run(["logits"], {"toa_reflectance": toa})[0]
    return logits


def _cloud(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))
