"""CPU backends that need no compiler: the ONNX graph in OpenVINO or ONNX Runtime, checked like the kernel."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.errors import MissingExtraError, UsageError
from spectf_cloud.inference.backend import Feed
from spectf_cloud.inference.batches import in_batches
from spectf_cloud.inference.engines.onnx.graph import PROBABILITY, TOA, build_graph
from spectf_cloud.inference.promise import TIERS, Unavailable, broken_promise, make_probe
from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]
_Compute = Callable[[Float32Array], Float32Array]

# Fastest of 1 to 16, see evaluation/performance.md; the logits of one pixel already fill a core's cache.
_BATCH = {"openvino": 16, "onnxruntime": 1}
#: Fastest first.
RUNTIMES = tuple(_BATCH)


class RuntimeBackend:
    """Cloud probabilities by the same float32 network in another program.

    Several threads may call it at once. A pixel's result depends on no other pixel.
    """

    fidelity = "faithful"
    feed: Feed = "arrays"

    def __init__(self, runtime: str, model: SpecTfEncoder, threshold: float, threads: int | None = None) -> None:
        """Compile the network. Raises `Unavailable` where the runtime, or onnx to write its graph, is not installed."""
        self.name = f"{runtime}-float32"
        self.threshold, self.tier = threshold, TIERS["faithful"]
        self.threads = threads or torch.get_num_threads()
        self.batch = _BATCH[runtime]
        try:
            graph = build_graph(model, fixed_bands=True).SerializeToString()
            self.compute = _OPENERS[runtime](graph, self.batch, len(model.wavelength), self.threads)
        except (ImportError, MissingExtraError) as error:
            raise Unavailable(f"{runtime}: {lacking(runtime) or error}") from error
        except Exception as error:  # the errors of these libraries have no common class
            raise Unavailable(f"{runtime}: {' '.join(str(error).split())}") from error

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return cloud probability (n,) float32 of finite toa (n, bands) float32."""
        return in_batches(toa, self.batch, self.threads, self.compute)


def open_runtime(model: SpecTfEncoder, threshold: float, threads: int | None = None) -> RuntimeBackend:
    """Return the fastest installed runtime that keeps the faithful promise for these weights and bands.

    SPECTF_RUNTIME names one, or ``none``. Raises `Unavailable`, and `UsageError` for an unknown name.
    """
    reasons, probe = [], None
    for runtime in runtimes():
        try:
            backend = RuntimeBackend(runtime, model, threshold, threads)
        except Unavailable as reason:
            reasons.append(str(reason))
            continue
        probe = probe or make_probe(model)
        broken = broken_promise(backend, probe)
        if broken is None:
            return backend
        reasons.append(f"{runtime}: {broken}")
    raise Unavailable("; ".join(reasons) or "SPECTF_RUNTIME=none")


def runtimes() -> tuple[str, ...]:
    """Return the runtimes to try, fastest first. Raises `UsageError`."""
    wanted = os.environ.get("SPECTF_RUNTIME", "").strip().lower()
    if wanted in ("", "none"):
        return () if wanted else RUNTIMES
    if wanted not in RUNTIMES:
        raise UsageError(f"SPECTF_RUNTIME={wanted} is not known; use {', '.join(RUNTIMES)} or none")
    return (wanted,)


def lacking(runtime: str) -> str | None:
    """Return what a runtime lacks on this machine; None where it can be imported."""
    for package in ("onnx", runtime):
        try:
            _imported(package)
        except (ImportError, OSError):  # its libraries may be broken
            return f"{package} is not installed; pip install 'spectf-cloud[{_EXTRAS[runtime]}]'"
    return None


def _imported(package: str) -> Any:
    """Import a package; without `openvino_telemetry`, OpenVINO does not report its import to Google Analytics."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module(package)


def _open_onnxruntime(graph: bytes, batch: int, bands: int, threads: int) -> _Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # batches run in parallel instead
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def compute(toa: Float32Array) -> Float32Array:
        (probability,) = session.run([PROBABILITY], {TOA: toa})
        answer: Float32Array = probability
        return answer

    return compute


def _open_openvino(graph: bytes, batch: int, bands: int, threads: int) -> _Compute:
    openvino = _imported("openvino")
    core = openvino.Core()
    network = core.read_model(model=graph)
    network.reshape({TOA: [batch, bands]})
    # Several threads may call it; each stream uses one thread at most.
    streams = max(threads, torch.get_num_threads())
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # the default is bfloat16 on some CPUs
        "INFERENCE_NUM_THREADS": streams,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
    }
    compiled = core.compile_model(network, "CPU", settings)
    free: SimpleQueue[Any] = SimpleQueue()

    def compute(toa: Float32Array) -> Float32Array:
        try:
            request = free.get_nowait()
        except Empty:
            request = compiled.create_infer_request()
        answer: Float32Array = request.infer({TOA: toa}, share_inputs=True)[PROBABILITY].copy()
        free.put(request)
        return answer

    return compute


_OPENERS = {"openvino": _open_openvino, "onnxruntime": _open_onnxruntime}
_EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}
