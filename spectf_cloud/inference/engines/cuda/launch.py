"""The CUDA kernel as a Python object: tables on a device, scratch, and how it is launched."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from spectf_cloud.inference.engines.cuda.kernel import logits_kernel
from spectf_cloud.inference.engines.cuda.tables import SLOTS, TILE, CudaTables
from spectf_cloud.inference.engines.native.reduction import HEADS

#: Shares of the bands after which a pixel may be done.
EARLY_SHARES = (0.24, 0.47)


@dataclass(frozen=True)
class Variant:
    """How the kernel goes about it: every field changes its speed, and results only within the promise.

    Attributes
    ----------
    early
        |logit| after a quarter and after half of the bands beyond which a pixel is done; None lets all bands ask.
    quarters
        Of the exponentials, how many go to the multiply-add units: 0 to 4.
    programs
        Programs on each multiprocessor, which share its special-function and tensor units.
    registers
        At most, of a thread; None leaves it to the compiler.
    """

    early: tuple[float, float] | None = (12.0, 8.0)
    quarters: int = 1
    programs: int = 3
    registers: int | None = 168


class CudaKernel:
    """The kernel with its tables on one device. Calls must not overlap: they share the scratch."""

    def __init__(self, tables: CudaTables, device: torch.device, variant: Variant | None = None) -> None:
        self.variant, self.bands = variant or Variant(), tables.bands
        self.full, self.tail = tiles(tables.bands)
        on = tables.to(device)
        self._tables = (
            *(on.order, on.from_toa, on.from_band),
            *(*_halves(on.query), on.query_shift, *_halves(on.key), on.key_shift, *_halves(on.value), on.value_shift),
            *(on.out.half(), on.out_shift, on.hidden.half(), on.hidden_shift, on.mixing.half(), on.difference),
            *(on.offset, on.first_eps, on.second_eps, *(self.variant.early or (0.0, 0.0)), *stages(tables.bands)),
        )
        units = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
        self.programs = units * self.variant.programs
        self._options = {
            "full": self.full,
            "tail": self.tail,
            "quarters": self.variant.quarters,
            "early": self.variant.early is not None,
            "num_warps": 4,
            "num_stages": 2,
            "enable_fp_fusion": True,
            **({} if self.variant.registers is None else {"maxnreg": self.variant.registers}),
        }
        # A program's own keys and values of the pixel at hand: written and read again while still in the caches.
        shape = (self.programs, HEADS, self.full * TILE + self.tail, SLOTS)
        self._scratch = tuple(torch.empty(shape, dtype=t, device=device) for t in (torch.float16, torch.bfloat16))

    def __call__(self, toa: Tensor) -> Tensor:
        """toa (n, bands) float32 on the device → (n,) float32 logits, NaN where a reflectance is outside `DOMAIN`."""
        toa = toa.contiguous()
        logits = torch.empty(len(toa), device=toa.device)
        if len(toa):
            # Triton launches on the current device, whatever holds the tensors.
            with torch.cuda.device(toa.device) if toa.is_cuda else nullcontext():
                logits_kernel[(min(self.programs, len(toa)),)](
                    *(toa, logits, *self._scratch, len(toa), self.bands, *self._tables), **self._options
                )
        return logits


def tiles(bands: int) -> tuple[int, int]:
    """Full tiles of keys, and places in the last smaller one: 0, or a power of two from 16 to 64."""
    full, rest = divmod(bands, TILE)
    return full, max(SLOTS, 1 << (rest - 1).bit_length()) if rest else 0


def stages(bands: int) -> tuple[int, int]:
    """Tiles after which about a quarter and about half of the bands have asked; at least one."""
    early, half = (max(1, round(bands * share / TILE)) for share in EARLY_SHARES)
    return early, half


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    high = x.half()
    return high, (x - high.float()).half()
