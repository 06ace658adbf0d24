"""Where a cube's lines stand in its file, for readers that fetch them without going through the format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.files.reading import reading
from spectf_cloud.readers.emit import EmitCube
from spectf_cloud.readers.envi import EnviCube
from spectf_cloud.scene import Cube

_STORED = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}
# A share of a read that is worth a thread of its own.
_PIECE_BYTES = 4 * 2**20

Float32Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """Native float32 stored one after the other from ``offset`` on.

    axes
        Which of lines (0), samples (1) and bands (2) stand where in the file: (0, 1, 2) pixel by pixel, (0, 2, 1) line
        by line, (2, 0, 1) band by band.
    """

    path: Path
    offset: int
    sizes: tuple[int, int, int]
    axes: tuple[int, int, int]

    def block_shape(self, lines: int) -> tuple[int, ...]:
        """Shape of a block of lines as stored."""
        return tuple((lines, *self.sizes[1:])[axis] for axis in self.axes)

    def read_into(self, block: Float32Array, start: int, pool: Executor) -> None:
        """Fill ``block``, C-contiguous of `block_shape`, with the lines from ``start`` on. Raises `InputError`."""
        line_bytes = 4 * self.sizes[1] * self.sizes[2]
        if self.axes[0] == 0:
            extents = [(self.offset + start * line_bytes, block.reshape(-1).view(np.uint8))]
        else:  # a band at a time
            rows = 4 * self.sizes[1]
            places = (self.offset + (band * self.sizes[0] + start) * rows for band in range(self.sizes[2]))
            extents = [(at, block[band].reshape(-1).view(np.uint8)) for band, at in enumerate(places)]
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        try:
            # Every read has ended before the file is closed, whichever failed.
            for failed in [read.exception() for read in [pool.submit(self._read, file, *e) for e in _split(extents)]]:
                if failed is not None:
                    raise failed
        finally:
            os.close(file)

    def _read(self, file: int, at: int, piece: Bytes) -> None:
        while len(piece):
            try:
                with reading(self.path):
                    got = os.preadv(file, [piece.data], at)
            except OSError as error:
                raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from error
            if not got:
                raise InputError(f"{self.path} ends at byte {at:,}, {len(piece):,} are missing; copy it again")
            piece, at = piece[got:], at + got


def layout_of(cube: Cube) -> Layout | None:
    """How to fetch a cube's lines; None where only its reader can: chunks, other numbers, scaling, no `preadv`."""
    if not hasattr(os, "preadv"):
        return None
    sizes = (cube.lines, cube.samples, cube.bands)
    if isinstance(cube, EmitCube) and cube.offset is not None and cube.packing.plain and _native_float32(cube.dtype):
        return Layout(cube.path, cube.offset, sizes, (0, 1, 2))
    if isinstance(cube, EnviCube) and _native_float32(cube.header.dtype):
        if cube.header.gain is not None or cube.header.bias is not None:
            return None
        return Layout(cube.path, cube.header.offset, sizes, _STORED[cube.header.interleave])
    return None


def _split(extents: list[tuple[int, Bytes]]) -> Iterator[tuple[int, Bytes]]:
    for at, piece in extents:
        for first in range(0, len(piece), _PIECE_BYTES):
            yield at + first, piece[first : first + _PIECE_BYTES]


def _native_float32(dtype: np.dtype[np.generic]) -> bool:
    return dtype.newbyteorder("=") == np.dtype(np.float32) and dtype.isnative
