"""What an HDF5 file may make us do: read no other file, and no more memory than it describes."""

from __future__ import annotations

import zlib
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spectf_cloud.errors import InputError, MissingExtraError

#: Indices of the first element of a chunk.
Corner = tuple[int, ...]

# One chunk is decompressed whole, and twice over in passing: whoever packs more together cannot be read in parts.
_MAX_CHUNK_BYTES = 256 * 2**20
# Deflate packs at most 1032 to 1 (zlib's own figure), so a stored chunk below this cannot fill the memory.
_HARMLESS_CHUNK_BYTES = _MAX_CHUNK_BYTES // 1032
_MAX_ATTRIBUTE_VALUES = 100
_MAX_ATTRIBUTE_BYTES = 2**20


def find_dataset(file: h5py.File, path: Path, key: str) -> h5py.Dataset | None:
    """The dataset at ``key`` of this very file; None where there is none. Raises `InputError`.

    Whatever would be read from another file is refused: links of every kind but the ordinary one, external
    storage, virtual datasets.
    """
    node: h5py.Group = file
    steps = key.split("/")
    for step in steps:
        if not isinstance(node, h5py.Group) or not node.id.links.exists(step.encode()):
            return None
        if not isinstance(node.get(step, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: /{key} is reached through a link to another place, which is never followed")
        node = node[step]
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        what = "is a group, not an array" if isinstance(node, h5py.Group) else "is not an array"
        raise InputError(f"{path}: /{key} {what}; this layout of an HDF5 file is not supported")
    if node.external or node.is_virtual:
        raise InputError(f"{path}: /{key} keeps its data in other files, which are never followed")
    _check_filters(node, path)
    _check_chunks(node, path)
    return node


def holds(file: h5py.File, key: str) -> bool:
    """Whether there is something at ``key``, looked up without leaving the file; a link there counts."""
    *groups, last = key.split("/")
    node: h5py.Group = file
    for step in groups:
        if not isinstance(node, h5py.Group) or not isinstance(node.get(step, getlink=True), h5py.HardLink):
            return False
        node = node[step]
    return isinstance(node, h5py.Group) and bool(node.id.links.exists(last.encode()))


def read_dataset(
    data: h5py.Dataset,
    path: Path,
    start: int = 0,
    stop: int | None = None,
    known: set[Corner] | None = None,
    axis: int = 0,
) -> Any:
    """Rows ``start`` to ``stop``, along ``axis``, of a dataset from `find_dataset` whose chunks prove to be no bombs.

    ``known`` remembers, from one call to the next, which were looked at.
    """
    rows = slice(start, data.shape[axis] if stop is None else stop)
    if data.chunks is not None:
        _check_inflated(data, path, rows, axis, set() if known is None else known)
    return data[(*(slice(None),) * axis, rows)]


def read_attribute(node: h5py.HLObject, name: str, default: Any = None) -> Any:
    """A small attribute; ``default`` where there is none, or one that is no small one."""
    if name not in node.attrs:
        return default
    attribute = node.attrs.get_id(name)
    size = int(np.prod(attribute.shape or (), dtype=object))
    if size > _MAX_ATTRIBUTE_VALUES or size * attribute.dtype.itemsize > _MAX_ATTRIBUTE_BYTES:
        return default
    return node.attrs[name]


def _check_filters(data: h5py.Dataset, path: Path) -> None:
    """Every compression filter must be at hand, and deflate must be the outermost one."""
    filters = _filters(data)
    absent = [code for code in filters if not _available(code)]
    if absent:
        name = data.id.get_create_plist().get_filter(filters.index(absent[0]))[3].decode("utf-8", "replace")
        raise MissingExtraError(
            f"{path}: {data.name} is packed with the HDF5 filter {absent[0]} ({name or 'unnamed'}), which is not "
            "installed; pip install hdf5plugin, or repack the file where it is with: h5repack -f GZIP=4 IN OUT"
        )
    packed = [code for code in filters if code != h5py.h5z.FILTER_FLETCHER32]
    if h5py.h5z.FILTER_DEFLATE in packed[:-1]:
        raise InputError(f"{path}: {data.name} is packed twice over; repack it with: h5repack -f GZIP=4 IN OUT")


def _filters(data: h5py.Dataset) -> list[int]:
    """Codes of the filters in the order they were applied."""
    properties = data.id.get_create_plist()
    return [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]


def _available(code: int) -> bool:
    if h5py.h5z.filter_avail(code):
        return True
    try:
        import hdf5plugin  # noqa: F401 - importing registers its filters
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(code))


def _check_chunks(data: h5py.Dataset, path: Path) -> None:
    """Chunks of a size that can be read in parts, none stored larger than what it holds."""
    if data.chunks is None:
        return
    nominal = int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize
    if nominal > _MAX_CHUNK_BYTES:
        raise InputError(
            f"{path}: {data.name} is stored in pieces of {nominal / 2**20:,.0f} MiB, too large to be read in parts; "
            "rewrite it in smaller ones, for example with h5repack -l CHUNK="
            + "x".join(str(max(1, min(side, 128))) for side in data.chunks)
        )
    stored = 0

    def note(chunk: Any) -> None:
        nonlocal stored
        stored = max(stored, chunk.size)

    data.id.chunk_iter(note)
    if stored > nominal + nominal // 64 + 1024:
        raise InputError(f"{path}: {data.name} has chunks that hold more than they should; download it again")


def _check_inflated(data: h5py.Dataset, path: Path, rows: slice, axis: int, known: set[Corner]) -> None:
    """HDF5 inflates a chunk to whatever length is in it, so suspicious ones are inflated here first, in pieces."""
    filters = _filters(data)
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return
    chunks = data.chunks
    nominal = int(np.prod(chunks, dtype=object)) * data.dtype.itemsize
    if nominal <= _HARMLESS_CHUNK_BYTES:
        return
    masked = 1 << filters.index(h5py.h5z.FILTER_DEFLATE)
    corners = [range(0, size, step) for size, step in zip(data.shape, chunks, strict=True)]
    corners[axis] = range(rows.start - rows.start % chunks[axis], rows.stop, chunks[axis])
    for corner in product(*corners):
        if corner in known:
            continue
        known.add(corner)
        stored = data.id.get_chunk_info_by_coord(corner)
        if stored.byte_offset is None or stored.size <= _HARMLESS_CHUNK_BYTES or stored.filter_mask & masked:
            continue
        _, packed = data.id.read_direct_chunk(corner)
        if _inflates_beyond(packed, nominal + 4):  # a checksum inside takes four bytes
            raise InputError(f"{path}: {data.name} unpacks to more than it should hold; download it again")


def _inflates_beyond(packed: bytes, limit: int) -> bool:
    stream, total = zlib.decompressobj(), 0
    try:
        while packed and total <= limit and not stream.eof:
            total += len(stream.decompress(packed, 2**20))
            packed = stream.unconsumed_tail
    except zlib.error:
        return False  # damaged: HDF5 says so itself
    return total > limit
