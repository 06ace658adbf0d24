"""What a scene must cost at least: operations over the rates of the units that do them, bytes over those of the wires.

Counts are of the kernel's arithmetic as it stands (docs/how-it-works/gpu.md), all bands asking.
"""

from __future__ import annotations

from dataclasses import dataclass

from spectf_cloud.inference.engines.cuda.launch import tiles
from spectf_cloud.inference.engines.cuda.tables import SLOTS, TILE
from spectf_cloud.inference.engines.native.reduction import DIM, HEADS

#: Exponentials or reciprocals of a multiprocessor each clock, compute capability 8.0 to 9.0.
SPECIAL_PER_CLOCK = 16
SCENE_PIXELS = 1280 * 1242
_FILE_BANDS = 285


@dataclass(frozen=True)
class Work:
    """Of one pixel: exponentials of the attention, FLOP of the tensor cores, and bytes of radiance."""

    exponentials: int
    products_flop: int
    bytes: int


def work(bands: int) -> Work:
    """Count the work of a pixel, places filled up as the kernel fills them."""
    full, tail = tiles(bands)
    asked = full * TILE + tail
    asking = -(-bands // TILE) * TILE
    tokens = asking * DIM * (3 * 2 * DIM + 3 * HEADS * SLOTS)  # keys, values; queries: three products each
    attention = 2 * HEADS * asking * asked * SLOTS
    tail_end = asking * (HEADS * SLOTS * DIM + 2 * DIM * DIM)
    return Work(HEADS * asking * asked, 2 * (tokens + attention + tail_end), 4 * _FILE_BANDS)


def floors(bands: int, rates: dict[str, float], pixels: int = SCENE_PIXELS) -> dict[str, float]:
    """Return the seconds of a scene by each unit alone. Each has the machine to itself."""
    one = work(bands)
    special = SPECIAL_PER_CLOCK * rates["multiprocessors"] * rates["clock, Hz"]
    return {
        "exponentials as written": pixels * HEADS * bands**2 / special,
        "exponentials as padded": pixels * one.exponentials / special,
        "tensor-core products": pixels * one.products_flop / rates["bf16 product, FLOP/s"],
        "device memory, radiance once": pixels * one.bytes / (rates["copy on the device, bytes/s"] / 2),
        "copying radiance over": pixels * one.bytes / rates["copy from the host, bytes/s"],
    }
