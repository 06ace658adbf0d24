"""From an ONNX graph to a TensorRT engine."""

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

# Where attention is not fused, the logits of a batch lie in memory: about this many bytes of float32.
_LOGITS_BYTES = 2 * 2**30
_LARGEST_BATCH = 4096


def largest_batch(heads: int, bands: int) -> int:
    """Pixels of one execution."""
    pixels = _LOGITS_BYTES // (heads * bands**2 * 4)
    return max(1, min(_LARGEST_BATCH, pixels if pixels < 64 else pixels - pixels % 64))


def build_plan(graph: bytes, bands: int, batch: int, device: CudaDevice, timing_cache: Path) -> bytes:
    """A serialised engine for 1 to ``batch`` pixels, best at ``batch``. Takes minutes.

    The network is strongly typed: every precision is the graph's. What TensorRT measured on the way is kept in
    ``timing_cache`` and makes the next build shorter. Raises `EngineError`, `MissingExtraError`.
    """
    trt = import_tensorrt()
    with device.active():
        builder = trt.Builder(log_of(trt))
        # From 11 on there is no other kind.
        typed = 0 if version_of(trt) >= (11, 0) else 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(typed)
        parser = trt.OnnxParser(network, log_of(trt))
        if not parser.parse(graph):
            reasons = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
            raise EngineError(f"TensorRT {trt.__version__} does not take our graph: {reasons or 'no reason given'}")
        config = builder.create_builder_config()
        # float32 shall be float32, not products of 10-bit mantissas, which is TensorRT's default.
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
        logger.info("%s is of another GPU or TensorRT, or damaged, and is made anew", timing_cache)
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep(config: Any, timing_cache: Path) -> None:
    """A cache that cannot be written is no failure."""
    try:
        with tempfile.NamedTemporaryFile(dir=timing_cache.parent, suffix=".part", delete=False) as stream:
            stream.write(bytes(config.get_timing_cache().serialize()))
        Path(stream.name).replace(timing_cache)
    except OSError as error:
        logger.debug("what TensorRT timed is not kept: %s", error)
