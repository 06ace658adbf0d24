"""A stand-in for the tensorrt package and for a GPU, where neither can be had.

It has the part of TensorRT's call surface that we use, named and behaving as documented, and computes with ONNX
Runtime, so numbers are real. Work queued on its stream is done when the stream is waited for and not before: answers
read too early are NaN, inputs overwritten too early give wrong answers, memory freed too early is an error. It is
strict about the order of calls, names, shapes, types and the current device. What it cannot show is whether real
TensorRT takes our graph, how fast it is, and how it rounds.
"""

from __future__ import annotations

import ctypes
import enum
import json
import weakref
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
import torch

__version__ = "10.13.0.35"


# --- the GPU ---------------------------------------------------------------------------------------------------


class Memory:
    """Allocations that are alive, by address."""

    live: dict[int, tuple[int, str]] = {}  # noqa: RUF012

    @classmethod
    def allocate(cls, shape, kind):
        tensor = torch.full(shape, torch.nan, dtype=torch.float32)
        address = tensor.data_ptr()
        cls.live[address] = (tensor.nbytes, kind)
        weakref.finalize(tensor, cls.live.pop, address)
        return tensor

    @classmethod
    def kind(cls, address, size):
        """Where this piece of memory lies; an error where nothing alive holds all of it."""
        for base, (length, kind) in cls.live.items():
            if base <= address and address + size <= base + length:
                return kind
        raise AssertionError("memory is used that was freed, or is too small")


class Stream:
    """Queued work. Nothing is done before somebody waits."""

    by_handle: dict[int, Stream] = {}  # noqa: RUF012

    def __init__(self):
        self.queue, self.done = [], 0
        self.handle = id(self)
        self.by_handle[self.handle] = self

    def run(self, until):
        while self.done < until:
            work, self.queue[self.done] = self.queue[self.done], None
            self.done += 1
            work()


class Event:
    def __init__(self, stream):
        self.stream, self.position = stream, len(stream.queue)

    def synchronize(self):
        self.stream.run(self.position)


class StandinDevice:
    """In place of `CudaDevice`."""

    current = None

    def __init__(self, name="Stand-in GPU", compute_capability="9.9"):
        self.name, self.compute_capability = name, compute_capability
        self.torch_device = torch.device("cpu")
        self.stream = Stream()
        self.stream_handle = self.stream.handle

    @contextmanager
    def active(self):
        before, StandinDevice.current = StandinDevice.current, self
        try:
            yield
        finally:
            StandinDevice.current = before

    def memory(self, shape):
        return Memory.allocate(shape, "device")

    def host_memory(self, shape):
        return Memory.allocate(shape, "host")

    def copy(self, target, source):
        assert target.shape == source.shape and target.dtype == source.dtype
        assert target.is_contiguous() and source.is_contiguous()
        to, of, size = target.data_ptr(), source.data_ptr(), target.nbytes
        assert {Memory.kind(to, size), Memory.kind(of, size)} == {"host", "device"}

        def work():
            assert Memory.kind(to, size) and Memory.kind(of, size)
            ctypes.memmove(to, of, size)

        self.stream.queue.append(work)

    def mark(self):
        return Event(self.stream)


def _on_a_device():
    assert StandinDevice.current is not None, "TensorRT was called without a current device"
    return StandinDevice.current


# --- tensorrt --------------------------------------------------------------------------------------------------


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    """Those that both 10.12 and 11 have."""

    TF32 = 6
    STRICT_NANS = 23


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self):
        self.ready = True


def _error(logger, message):
    assert logger.ready, "a logger must call ILogger.__init__"
    logger.log(ILogger.Severity.ERROR, message)


class Builder:
    built = 0

    def __init__(self, logger):
        _on_a_device()
        assert isinstance(logger, ILogger)
        self.logger = logger

    def create_network(self, flags=0):
        typed = int(__version__.split(".")[0]) >= 11 or bool(flags >> NetworkDefinitionCreationFlag.STRONGLY_TYPED & 1)
        return _Network(typed)

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        _on_a_device()
        if network.graph is None:
            return _error(self.logger, "the network is empty")
        assert network.typed, "weakly typed: precision would be TensorRT's choice"
        if not config.profiles:
            return _error(self.logger, "a dynamic input needs an optimization profile")
        Builder.built += 1
        header = {
            "version": __version__,
            "gpu": _on_a_device().name,
            "profile": config.profiles[0].shapes,
            "tf32": BuilderFlag.TF32 in config.flags,
        }
        config.timing.content += b"timed"
        return memoryview(json.dumps(header).encode() + b"\0" + network.graph)


class _Network:
    def __init__(self, typed):
        self.typed, self.graph = typed, None


class _ParserError:
    def __init__(self, text):
        self.text = text

    def desc(self):
        return self.text


class OnnxParser:
    def __init__(self, network, logger):
        assert isinstance(logger, ILogger)
        self.network, self.errors = network, []

    @property
    def num_errors(self):
        return len(self.errors)

    def get_error(self, index):
        return self.errors[index]

    def parse(self, model):
        assert isinstance(model, bytes)
        try:
            onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        except Exception as error:
            self.errors.append(_ParserError(f"not ONNX: {type(error).__name__}"))
            return False
        self.network.graph = model
        return True


class _Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        if not all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True)):
            raise ValueError("dimensions must not shrink from min to max")
        self.shapes[input] = [list(min), list(opt), list(max)]


class _TimingCache:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return memoryview(f"{__version__} {_on_a_device().name};".encode() + self.content)


class _Config:
    def __init__(self):
        self.flags, self.profiles = {BuilderFlag.TF32}, []
        self.timing = _TimingCache(b"")

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def add_optimization_profile(self, profile):
        if not profile.shapes:
            return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, content):
        assert isinstance(content, bytes)
        return None if content and b";" not in content else _TimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        start, _, rest = cache.content.partition(b";")
        if cache.content and start.decode() != f"{__version__} {_on_a_device().name}":
            return False
        self.timing = _TimingCache(rest)
        return True

    def get_timing_cache(self):
        return self.timing


class Runtime:
    def __init__(self, logger):
        _on_a_device()
        assert isinstance(logger, ILogger)
        self.logger = logger

    def deserialize_cuda_engine(self, plan):
        device = _on_a_device()
        header, mark, graph = plan.partition(b"\0")
        try:
            values = json.loads(header)
        except ValueError:
            mark = b""
        if not mark:
            return _error(self.logger, "the plan is damaged")
        if (values["version"], values["gpu"]) != (__version__, device.name):
            return _error(self.logger, "the plan is of another TensorRT or GPU")
        assert not values["tf32"]
        return _Engine(self, values["profile"], graph)


class _Engine:
    def __init__(self, runtime, profile, graph):
        self.runtime, self.profile = weakref.ref(runtime), profile
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = {value.name: value for value in self.session.get_outputs()}
        self.names = [*self.inputs, *self.outputs]

    @property
    def num_io_tensors(self):
        return len(self.names)

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        kind = (self.inputs | self.outputs)[name].type
        return {"tensor(float)": DataType.FLOAT, "tensor(float16)": DataType.HALF}[kind]

    def get_tensor_shape(self, name):
        return tuple(size if isinstance(size, int) else -1 for size in (self.inputs | self.outputs)[name].shape)

    def get_tensor_profile_shape(self, name, profile_index):
        assert profile_index == 0
        return [tuple(shape) for shape in self.profile[name]]

    def create_execution_context(self):
        _on_a_device()
        return _Context(self)


class _Context:
    def __init__(self, engine):
        self.engine, self.shapes, self.addresses = weakref.ref(engine), {}, {}
        self.logger = engine.runtime().logger

    def set_input_shape(self, name, shape):
        smallest, _, largest = self.engine().profile[name]
        if not all(low <= size <= high for low, size, high in zip(smallest, shape, largest, strict=True)):
            _error(self.logger, f"{name} {shape} is outside the profile")
            return False
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name, address):
        assert name in self.engine().names
        assert Memory.live[address][1] == "device", "the start of an allocation on the device is needed"
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle):
        _on_a_device()
        engine = self.engine()
        if self.shapes.keys() != engine.inputs.keys() or self.addresses.keys() != set(engine.names):
            _error(self.logger, "a shape or an address is missing")
            return False
        shapes, addresses, context = dict(self.shapes), dict(self.addresses), weakref.ref(self)

        def work():
            alive = context()
            assert alive and alive.engine() and alive.engine().runtime(), "context, engine or runtime is gone"
            session = alive.engine().session
            feed = {name: _at(addresses[name], shape).copy() for name, shape in shapes.items()}
            for name, answer in zip(engine_outputs, session.run(engine_outputs, feed), strict=True):
                _at(addresses[name], answer.shape)[...] = answer

        engine_outputs = list(engine.outputs)
        Stream.by_handle[stream_handle].queue.append(work)
        return True


def _at(address, shape):
    """float32 memory on the device as an array."""
    size = int(np.prod(shape)) * 4
    assert Memory.kind(address, size) == "device"
    return np.frombuffer((ctypes.c_char * size).from_address(address), np.float32).reshape(shape)
