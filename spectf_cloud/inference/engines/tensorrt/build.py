"""Build a TensorRT engine from an ONNX graph."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from spectf_cloud.errors import EngineError
from spectf_cloud.inference.engines.onnx.graph import TOA
from spectf_cloud.inference.engines.tensorrt.device import CudaDevice
from spectf_cloud.inference.engines.tensorrt.library import import_tensorrt, log_of, version_of

logger = logging.getLogger(__name__)

# Where attention is not fused, the logits of a batch take about this many bytes of float32.
_LOGITS_BYTES = 2 * 2**30
_MAX_BATCH = 4096


def largest_batch(heads: int, bands: int) -> int:
    """Return the pixels of one execution."""
    pixels = _LOGITS_BYTES // (heads * bands**2 * 4)
    return max(1, min(_MAX_BATCH, pixels if pixels < 64 else pixels - pixels % 64))


def build_plan(graph: bytes, bands: int, batch: int, device: CudaDevice, timing_cache: Path) -> bytes:
    """Build a serialised engine for 1 to ``batch`` pixels, fastest at ``batch``. Takes minutes.

    The network is strongly typed: every precision is the graph's. TensorRT's measurements are kept in
    ``timing_cache`` and make the next build shorter. Raises `EngineError`, `MissingExtraError`.
    """
    trt = import_tensorrt()
    with device.active():
        builder = trt.Builder(log_of(trt))
        # From version 11 on, every network is strongly typed.
        typed = 0 if version_of(trt) >= (11, 0) else 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(typed)
        parser = trt.OnnxParser(network, log_of(trt))
        if not parser.parse(graph):
            reasons = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
            raise EngineError(f"TensorRT {trt.__version__} does not take our graph: {reasons or 'no reason given'}")
        config = builder.create_builder_config()
        # By default TensorRT would multiply float32 with mantissas of 10 bits.
        config.clear_flag(trt.BuilderFlag.TF32)
        profile = builder.create_optimization_profile()
        profile.set_shape(TOA, (1, bands), (batch, bands), (batch, bands))
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"TensorRT {trt.__version__} refuses batches of 1 to {batch} pixels of {bands} bands")
        _use(config, timing_cache)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(f"TensorRT {trt.__version__} could not build an engine on {device.name}; -v says more")
        _keep(config, timing_cache)
        return bytes(plan)


def _use(config: Any, timing_cache: Path) -> None:
    kept = timing_cache.read_bytes() if timing_cache.is_file() else b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        logger.info("%s belongs to another GPU or TensorRT, or is damaged, and is replaced", timing_cache)
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep(config: Any, timing_cache: Path) -> None:
    """Write the timing cache; failure is only logged."""
    try:
        with tempfile.NamedTemporaryFile(dir=timing_cache.parent, suffix=".part", delete=False) as stream:
            stream.write(bytes(config.get_timing_cache().serialize()))
        Path(stream.name).replace(timing_cache)
    except OSError as error:
        logger.debug("TensorRT's timings are not kept: %s", error)
