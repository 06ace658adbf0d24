"""The TensorRT backend: finds or builds the engine of a network and a GPU, and checks it against float32."""

from __future__ import annotations

import copy
import hashlib
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import EngineError, MissingExtraError, OutputError, UsageError
from spectf_cloud.files.cache import cache_folder
from spectf_cloud.inference.engines.onnx.graph import Precision, build_graph
from spectf_cloud.inference.engines.tensorrt import device as devices
from spectf_cloud.inference.engines.tensorrt.build import build_plan, largest_batch
from spectf_cloud.inference.engines.tensorrt.card import Identity, load_engine, read_card, save_engine
from spectf_cloud.inference.engines.tensorrt.library import import_tensorrt
from spectf_cloud.inference.engines.tensorrt.runner import EngineRunner
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.promise import TIERS, broken_promise, make_probe
from spectf_cloud.model import SpecTfEncoder

if TYPE_CHECKING:
    from spectf_cloud.inference.backend import Feed
    from spectf_cloud.inference.options import Fidelity

Float32Array = NDArray[np.float32]

logger = logging.getLogger(__name__)

#: Precisions that may serve a tier, fastest first; the probe decides.
PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "exact": ("fp32",),
    "faithful": ("fp16", "fp32"),
    "fast": ("fp16", "fp32"),
}
# A float32 engine differs from PyTorch only in the order of sums.
_TIERS = {"exact": replace(TIERS["faithful"], largest_error=1e-4), **TIERS}
# Probabilities nearer than this to the threshold are computed again: the largest error allowed.
_RECHECKED = {"exact": 0.0, "faithful": TIERS["faithful"].largest_error, "fast": 0.0}


class TensorRTBackend:
    """Cloud probabilities by an engine; ``faithful`` computes those near the threshold again in float32.

    One thread at a time may call it.
    """

    feed: Feed = "arrays"

    def __init__(self, runner: EngineRunner, exact: TorchBackend, identity: Identity, fidelity: str, threshold: float):
        self.name = f"tensorrt-{identity.precision}"
        self.fidelity, self.threshold, self.tier = fidelity, threshold, _TIERS[fidelity]
        self.runner, self.exact = runner, exact

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return cloud probability (n,) float32 of finite toa (n, bands) float32."""
        pixels = np.ascontiguousarray(toa, dtype=np.float32)
        probability = self.runner(pixels)
        near = np.abs(probability - np.float32(self.threshold)) < _RECHECKED[self.fidelity]
        if near.any():
            probability[near] = self.exact(pixels[near])
        return probability


def open_tensorrt(
    model: SpecTfEncoder, device: str, fidelity: Fidelity, threshold: float, engine: Path | None = None
) -> TensorRTBackend:
    """Return the fastest engine that keeps the tier's promise; building one that is not cached takes minutes.

    ``engine`` is the one to use instead. Raises `MissingExtraError` without TensorRT or GPU, and `EngineError` for an
    engine that does not fit or that breaks the promise.
    """
    import_tensorrt()
    gpu = devices.open_device(device_number(device))
    probe = make_probe(model)
    # A copy: the backend moves its network to the device.
    exact = TorchBackend(copy.deepcopy(model), gpu.torch_device)
    reasons = []
    for precision in PRECISIONS[fidelity] if engine is None else (_precision_of(engine),):
        graph, identity = describe(model, precision, gpu)
        if engine:
            runner = EngineRunner(load_engine(engine, identity), identity.bands, gpu)
        else:
            runner = _cached(graph, identity, gpu)
        backend = TensorRTBackend(runner, exact, identity, fidelity, threshold)
        broken = broken_promise(backend, probe)
        if broken is None:
            return backend
        logger.info("TensorRT in %s does not serve fidelity %s: %s", precision, fidelity, broken)
        reasons.append(f"{precision}: {broken}")
    raise EngineError(f"no TensorRT engine keeps fidelity {fidelity} ({'; '.join(reasons)}); use deploy-pt")


def device_number(device: str) -> int:
    """Return the number of the GPU in ``tensorrt``, ``tensorrt:1``, ``cuda:1``, ``1`` or ``auto``.

    Raises `UsageError`, and `MissingExtraError` for a device that is not an NVIDIA GPU.

    >>> device_number("tensorrt:1")
    1
    """
    number = device.strip().lower().removeprefix("tensorrt").removeprefix(":").removeprefix("cuda").removeprefix(":")
    if number in ("", "auto"):
        return 0
    if number in ("-1", "cpu", "mps"):
        raise MissingExtraError(f"TensorRT runs on NVIDIA GPUs, not on {number}; use --device 0, or deploy-pt")
    if not number.isdecimal():
        raise UsageError(f"device {device!r} is not known; give the number of a GPU")
    return int(number)


def describe(model: SpecTfEncoder, precision: Precision, gpu: devices.CudaDevice) -> tuple[bytes, Identity]:
    """Return the graph of a network for its own bands, and the identity of an engine of it."""
    graph = build_graph(model, precision, fixed_bands=True).SerializeToString(deterministic=True)
    bands = len(model.wavelength)
    parameters = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        parameters.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    identity = Identity(
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        tensorrt=str(import_tensorrt().__version__),
        parameters_sha256=parameters.hexdigest(),
        wavelength_sha256=hashlib.sha256(model.wavelength.cpu().numpy().tobytes()).hexdigest(),
        bands=bands,
        precision=precision,
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        largest_batch=largest_batch(model.config.num_heads, bands),
    )
    return graph, identity


def make_plan(graph: bytes, identity: Identity, gpu: devices.CudaDevice) -> bytes:
    """Build an engine. Raises `EngineError`."""
    logger.warning("building a TensorRT engine in %s for %s; this takes minutes", identity.precision, gpu.name)
    kind = f"{identity.tensorrt}-{identity.gpu}-{identity.compute_capability}".replace("/", "_").replace(" ", "_")
    return build_plan(graph, identity.bands, identity.largest_batch, gpu, engines_dir() / f"{kind}.timing")


def engines_dir() -> Path:
    """Return the folder where engines are kept, and make it if possible."""
    folder = cache_folder() / "engines"
    with suppress(OSError):  # then nothing is kept
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _cached(graph: bytes, identity: Identity, gpu: devices.CudaDevice) -> EngineRunner:
    """Return the engine of the cache, ready to run; build one if there is none that fits."""
    path = engines_dir() / f"{identity.key}.engine"
    try:
        return EngineRunner(load_engine(path, identity), identity.bands, gpu)
    except EngineError as reason:
        logger.debug("%s", reason)
    plan = make_plan(graph, identity, gpu)
    try:
        save_engine(path, plan, identity, overwrite=True)
    except OutputError as error:
        logger.warning("the engine is not kept for the next run: %s", error)
    return EngineRunner(plan, identity.bands, gpu)


def _precision_of(engine: Path) -> Precision:
    precision = read_card(engine).precision
    for known in get_args(Precision):
        if precision == known:
            chosen: Precision = known
            return chosen
    raise EngineError(f"{engine} is of the unknown precision {precision!r}; build it again")
