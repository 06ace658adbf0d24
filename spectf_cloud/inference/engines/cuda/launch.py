"""The CUDA kernel as a Python object: tables on a device, scratch, and how it is launched."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from spectf_cloud.inference.engines.cuda.kernel import logits_kernel
from spectf_cloud.inference.engines.cuda.tables import SLOTS, TILE, CudaTables
from spectf_cloud.inference.engines.native.reduction import HEADS

#: Shares of the bands after which a pixel may be finished.
EARLY_SHARES = (0.24, 0.47)


@dataclass(frozen=True)
class Variant:
    """Settings of the kernel: each changes its speed, and results only within the tier's promise.

    Attributes
    ----------
    early
        A pixel is finished if its |logit| exceeds these after a quarter and after half of the bands; None: all ask.
    quarters
        Of the exponentials, how many go to the multiply-add units: 0 to 4.
    programs
        Programs on each multiprocessor, which share its special-function and tensor units.
    registers
        Most registers of a thread; None leaves them to the compiler.
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
        # Each program keeps the keys and values of its current pixel here, where the caches hold them.
        shape = (self.programs, HEADS, self.full * TILE + self.tail, SLOTS)
        self._scratch = tuple(torch.empty(shape, dtype=t, device=device) for t in (torch.float16, torch.bfloat16))

    def __call__(self, toa: Tensor) -> Tensor:
        """Return (n,) float32 logits of toa (n, bands) float32 on the device, NaN for values outside `DOMAIN`."""
        toa = toa.contiguous()
        logits = torch.empty(len(toa), device=toa.device)
        if len(toa):
            # Triton launches on the current device, not on that of the tensors.
            with torch.cuda.device(toa.device) if toa.is_cuda else nullcontext():
                logits_kernel[(min(self.programs, len(toa)),)](
                    *(toa, logits, *self._scratch, len(toa), self.bands, *self._tables), **self._options
                )
        return logits


def tiles(bands: int) -> tuple[int, int]:
    """Return the number of full tiles of keys, and the places in the last smaller one: 0, 16, 32 or 64.

    >>> tiles(268)
    (4, 16)
    """
    full, rest = divmod(bands, TILE)
    return full, max(SLOTS, 1 << (rest - 1).bit_length()) if rest else 0


def stages(bands: int) -> tuple[int, int]:
    """Return after how many tiles, at least one, about a quarter and about half of the bands have asked."""
    early, half = (max(1, round(bands * share / TILE)) for share in EARLY_SHARES)
    return early, half


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    high = x.half()
    return high, (x - high.float()).half()
