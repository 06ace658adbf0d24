"""Read the tensors of a weights file as NumPy arrays, without PyTorch: state dicts of ``torch.save``, and safetensors.

Nothing is executed while reading, and nothing unpacks beyond a gibibyte.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import MissingExtraError, WeightsError

Array = NDArray[Any]
#: Tensors by name.
Tensors = dict[str, Array]

SAFETENSORS = ".safetensors"
#: Larger than any sensible weights, on disk and unpacked.
MAX_WEIGHTS_BYTES = 2**30
# The structure without the numbers: 3 kB for 25 tensors.
_MAX_PICKLE_BYTES = 2**24
# bfloat16 has no type in NumPy: its bits are read as whole numbers and widened to float32.
_BFLOAT16 = "bfloat16"
_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_SAFETENSORS_TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": _BFLOAT16}
# What torch.save writes. With these alone, only the calls that `_Reader` knows can make objects.
_OPCODES = re.compile(
    "PROTO|STOP|MARK|EMPTY_DICT|EMPTY_LIST|EMPTY_TUPLE|TUPLE[123]?|APPENDS?|SETITEMS?|NONE|NEWTRUE|NEWFALSE|BININT[12]?|"
    "LONG1|BINFLOAT|BINUNICODE|SHORT_BINSTRING|(LONG_)?BINPUT|(LONG_)?BINGET|GLOBAL|BINPERSID|REDUCE|BUILD"
)


def read_tensors(path: Path) -> Any:
    """Return what a weights file holds: for a state dict, `Tensors`; bfloat16 becomes float32, other types stay.

    Other content of ``torch.save`` is returned as plain data, so that a message can name it. Raises `WeightsError`.
    """
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise _too_large(path)
        if path.suffix.lower() == SAFETENSORS:
            return _read_safetensors(path)
        return _read_archive(path) if zipfile.is_zipfile(path) else _read_old_format(path)
    except (WeightsError, MissingExtraError):
        raise
    except Exception as error:  # a parser may raise anything for a foreign file
        form = "safetensors file" if path.suffix.lower() == SAFETENSORS else "plain PyTorch state dict"
        raise WeightsError(f"{path} is not a {form} ({type(error).__name__})") from error


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """Write floating-point tensors as a safetensors file."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)


def is_floating(value: object) -> bool:
    """Return whether a value is an array of floating-point numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _too_large(path: Path) -> WeightsError:
    return WeightsError(f"{path} holds more than 1 GiB, too large for SpecTf weights")


def _read_safetensors(path: Path) -> Tensors:
    from safetensors import deserialize

    return {
        name: _numbers(_SAFETENSORS_TYPES.get(entry["dtype"], "V1"), entry["data"]).reshape(entry["shape"])
        for name, entry in deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    }


def _read_archive(path: Path) -> Any:
    """Read a zip archive of ``torch.save``: a pickle of the structure, and a file of numbers for each storage."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > MAX_WEIGHTS_BYTES:
            raise _too_large(path)
        folder = entries[0].filename.split("/")[0]
        structure = archive.getinfo(f"{folder}/data.pkl")
        if structure.file_size > _MAX_PICKLE_BYTES:
            raise pickle.UnpicklingError("the structure is too large")
        order = archive.read(f"{folder}/byteorder") if f"{folder}/byteorder" in archive.namelist() else b"little"
        content = archive.read(structure)
        _check_opcodes(content)
        return _Reader(content, lambda key: archive.read(f"{folder}/data/{key}"), order == b"big").load()


def _read_old_format(path: Path) -> Any:
    """Read what PyTorch before 1.6 wrote, by PyTorch: no archive, numbers and structure in one stream."""
    try:
        import torch
    except ImportError:
        with path.open("rb") as stream:
            if stream.read(1) != b"\x80":  # not a pickle
                raise pickle.UnpicklingError from None
        raise MissingExtraError(
            f"{path} is in the format of PyTorch before 1.6, which needs PyTorch: pip install torch; "
            "or save it again with torch.save"
        ) from None
    return _as_arrays(torch.load(path, map_location="cpu", weights_only=True), torch)


def _as_arrays(value: Any, torch: Any) -> Any:
    """Turn PyTorch's dense tensors into arrays, in nested dictionaries too."""
    if isinstance(value, dict):
        return {key: _as_arrays(item, torch) for key, item in value.items()}
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return value
    return (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()


def _check_opcodes(content: bytes) -> None:
    """Refuse a pickle that ``torch.save`` would not write. Raises `pickle.UnpicklingError`."""
    for opcode, argument, _ in pickletools.genops(content):
        if not _OPCODES.fullmatch(opcode.name):
            raise pickle.UnpicklingError(f"{opcode.name} is not used here")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > len(content):  # allocates memory up to that number
            raise pickle.UnpicklingError("a memo beyond the file")


class _Sealed:
    """An object that a pickle may pass on but not alter."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("only dictionaries have attributes here")


class _Call(_Sealed):
    """What the pickle calls in place of a function of PyTorch."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _Storage(_Sealed):
    """The numbers that tensors are views of."""

    __slots__ = ("values",)

    def __init__(self, values: Array) -> None:
        self.values = values


class _Reader(pickle.Unpickler):
    """Unpickle dense tensors as read-only arrays. Other objects of PyTorch become None; all others are refused."""

    def __init__(self, content: bytes, read: Callable[[str], bytes], big_endian: bool) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self._read, self._big_endian = read, big_endian
        self._storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return name
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _Call(_rebuild_tensor)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _Call(lambda tensor, *_: tensor)
        if module.split(".")[0] == "torch":
            return _Call(lambda *_: None)
        raise pickle.UnpicklingError(f"{module}.{name} is not used here")

    def persistent_load(self, pid: Any) -> _Storage | None:
        kind, storage, key, _location, count = pid
        if kind != "storage" or storage not in _STORAGES:  # of a type that no weights have
            return None
        if key not in self._storages:
            values = _numbers(_STORAGES[storage], self._read(key), self._big_endian)
            self._storages[key] = _Storage(values[:count])
        return self._storages[key]


def _rebuild_tensor(
    storage: _Storage | None, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Array | None:
    """Return the view of a storage that a tensor is. Raises `ValueError` where it reaches beyond."""
    if storage is None:
        return None
    values = storage.values
    if len(shape) != len(stride) or min((offset, *shape, *stride)) < 0:
        raise ValueError("a tensor of negative sizes")
    if 0 in shape:
        return np.empty(shape, values.dtype)
    if offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) >= len(values):
        raise ValueError("a tensor beyond its storage")
    steps = tuple(step * values.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


def _numbers(kind: str, content: bytes, big_endian: bool = False) -> Array:
    """Return bytes as a flat array in this machine's byte order."""
    dtype = np.dtype("u2" if kind == _BFLOAT16 else kind).newbyteorder(">" if big_endian else "<")
    values: Array = np.frombuffer(content, dtype)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    return (values.astype(np.uint32) << 16).view(np.float32) if kind == _BFLOAT16 else values
