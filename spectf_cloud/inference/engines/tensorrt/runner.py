"""Run an engine: pixels in, probabilities out, copies and work queued on one stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.errors import EngineError
from spectf_cloud.inference.engines.onnx.graph import PROBABILITY, TOA
from spectf_cloud.inference.engines.tensorrt.device import CudaDevice
from spectf_cloud.inference.engines.tensorrt.library import import_tensorrt, log_of

Float32Array = NDArray[np.float32]


class EngineRunner:
    """An engine with its buffers.

    There are two sets of buffers: while the GPU works on one batch, the host fills the other. This object owns all
    memory that TensorRT uses, and waits for the work on it before it is freed.
    """

    def __init__(self, plan: bytes, bands: int, device: CudaDevice) -> None:
        """Load an engine. Raises `EngineError` for a foreign engine, or one for another TensorRT or GPU."""
        trt = import_tensorrt()
        self.device, self.bands = device, bands
        with device.active():
            # The engine refers to the runtime, and the context to the engine: all three are kept.
            self._runtime = trt.Runtime(log_of(trt))
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise EngineError(f"TensorRT {trt.__version__} cannot load the engine on {device.name}; build it again")
            shapes = _check(trt, self._engine, bands)
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise EngineError(f"no memory on {device.name} for the engine; free some, or choose another GPU")
            self.batch = int(self._engine.get_tensor_profile_shape(TOA, 0)[2][0])
            self._slots = [_Slot(device, shapes, self.batch) for _ in range(2)]

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return cloud probability (n,) float32 of finite toa (n, bands) float32. Raises `EngineError`."""
        result = np.empty(len(toa), np.float32)
        with self.device.active():
            try:
                for turn, start in enumerate(range(0, len(toa), self.batch)):
                    slot = self._slots[turn % 2]
                    slot.collect(result)
                    self._submit(slot, toa[start : start + self.batch], start)
            finally:
                for slot in self._slots:
                    slot.collect(result)
        return result

    def _submit(self, slot: _Slot, pixels: Float32Array, start: int) -> None:
        count = len(pixels)
        slot.host_toa[:count] = torch.from_numpy(pixels)
        self.device.copy(slot.tensors[TOA][:count], slot.host_toa[:count])
        slot.waiting = slice(start, start + count)
        slot.done = self.device.mark()  # waited for even if the next calls fail
        accepted = self._context.set_input_shape(TOA, (count, self.bands))
        for name, tensor in slot.tensors.items():
            accepted &= self._context.set_tensor_address(name, tensor.data_ptr())
        if not accepted or not self._context.execute_async_v3(self.device.stream_handle):
            raise EngineError(f"TensorRT could not run {count} pixels on {self.device.name}; -v says more")
        self.device.copy(slot.host_answer[:count], slot.tensors[PROBABILITY][:count])
        slot.done = self.device.mark()


class _Slot:
    """Buffers of one batch: on the device one for each tensor of the engine, on the host pixels and answers."""

    def __init__(self, device: CudaDevice, shapes: dict[str, tuple[int, ...]], batch: int) -> None:
        self.tensors = {name: device.memory((batch, *shape)) for name, shape in shapes.items()}
        self.host_toa = device.host_memory((batch, *shapes[TOA]))
        self.host_answer = device.host_memory((batch,))
        self.waiting = slice(0, 0)
        self.done: Any = None

    def collect(self, result: Float32Array) -> None:
        """Wait for the submitted batch and take its answers."""
        if self.done is None:
            return
        self.done.synchronize()
        self.done = None
        result[self.waiting] = self.host_answer[: self.waiting.stop - self.waiting.start].numpy()


def _check(trt: Any, engine: Any, bands: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor without its pixels. Raises `EngineError` unless they are a SpecTf graph's."""
    shapes, inputs = {}, []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        shape = tuple(engine.get_tensor_shape(name))
        if engine.get_tensor_dtype(name) != trt.DataType.FLOAT or shape[:1] != (-1,):
            raise EngineError(f"the engine's tensor {name} {shape} is not float32 with pixels first; build it again")
        shapes[name] = shape[1:]
        if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
            inputs.append(name)
    if inputs != [TOA] or shapes[TOA] != (bands,) or shapes.get(PROBABILITY) != ():
        raise EngineError(f"the engine has tensors {', '.join(shapes)}, not those of a SpecTf network; build it again")
    return shapes
