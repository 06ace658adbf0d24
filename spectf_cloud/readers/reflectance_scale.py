"""What makes reflectance of a raster's numbers where the file does not say: judged by their 99th percentile."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.scene import Cube, missing

Positions = NDArray[np.intp]

_PERCENTILE = 99
# Percentile from, to; factor; what such numbers are called. Dark scenes reach a few hundredths, thick cloud 1.2. What
# lies between could be either, and is asked for.
_RANGES = ((0.0, 1.6, 1.0, "0 to 1"), (3.0, 160.0, 0.01, "per cent"), (300.0, 16_000.0, 1e-4, "0 to 10000"))
_COUNTS = "0 to 10000"

# Lines looked at first, one at each place, and how many of their pixels.
_PLACES = (0.5, 0.25, 0.75, 0.0, 1.0)
_MAX_PIXELS = 1024
_MAX_WHOLE_VALUES = 2**20
_BLOCK_BYTES = 32 * 2**20


def is_unscaled(cube: Cube) -> bool:
    """Whether a cube's numbers are read as they are stored, without a factor and an offset of the file's own."""
    stored = np.repeat(np.array([[2], [3], [5]], cube.stored), cube.bands, axis=1)
    read = cube.as_read(stored)
    return bool((np.isnan(read) | (read == stored)).all())


def infer_scale(cube: Cube, bands: Positions) -> tuple[float, str]:
    """Infer what makes reflectance of the numbers that a cube reads, and say so in words.

    Raises `InputError` where they could be several things: numbers of 8 bits, and percentiles between the usual ones.
    """
    whole = cube.stored.kind in "iu" and is_unscaled(cube)
    if whole and cube.stored.itemsize == 1:
        raise InputError(
            f"{cube.path} holds 8-bit numbers, as pictures do, without a scale; say what makes reflectance of them, "
            "for example --scale 0.00392157 (scale=1/255) where 255 stands for a reflectance of 1"
        )
    high = float(np.percentile(_sample(cube, bands), _PERCENTILE))
    for low, top, factor, called in _RANGES:
        # Whole numbers that small are classes, or a picture's.
        if low < high <= top and (not whole or called == _COUNTS):
            return factor, f"numbers up to {high:.3g} (99th percentile) are taken for reflectance as {called}"
    raise InputError(
        f"{cube.path}: its numbers reach {high:.4g} (99th percentile), which is not clearly reflectance of 0 to 1, per "
        "cent or 0 to 10000; say what makes reflectance of them, for example --scale 0.0001"
    )


def _sample(cube: Cube, bands: Positions) -> NDArray[np.floating]:
    """Valid numbers of some lines; of the first that hold any where those hold none. Raises `InputError`."""
    step = -(-cube.samples // _MAX_PIXELS)
    fills = cube.fill_spectra()[:, bands]
    found = [_valid(cube.read(start, stop, bands)[:, ::step], cube, fills) for start, stop in _lines(cube)]
    values = np.concatenate(found)
    if not values.size:
        values = next(
            (held for block in _blocks(cube) if (held := _valid(cube.read(*block, bands), cube, fills)).size), values
        )
    if not values.size:
        raise InputError(f"{cube.path}: no pixel holds data")
    return values


def _valid(values: NDArray[np.floating], cube: Cube, fills: NDArray[np.floating]) -> NDArray[np.floating]:
    """(n,) numbers of (lines, samples, bands) that are measurements."""
    held = ~missing(values, cube.nodata)
    for fill in fills:
        held &= ~(values == fill).all(axis=-1, keepdims=True)
    return values[held]


def _lines(cube: Cube) -> Iterator[tuple[int, int]]:
    """The whole of a small cube; else one line at each place, of different rows of chunks, which are unpacked whole."""
    if cube.lines * cube.samples * cube.bands <= _MAX_WHOLE_VALUES:
        yield 0, cube.lines
        return
    places = [round(place * (cube.lines - 1)) for place in _PLACES]
    lines = {line // cube.lines_per_chunk: line for line in places}
    yield from ((line, line + 1) for line in lines.values())


def _blocks(cube: Cube) -> Iterator[tuple[int, int]]:
    lines = max(1, _BLOCK_BYTES // (4 * cube.samples * cube.bands))
    lines = -(-lines // cube.lines_per_chunk) * cube.lines_per_chunk
    yield from ((start, min(start + lines, cube.lines)) for start in range(0, cube.lines, lines))
