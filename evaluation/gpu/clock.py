"""Fresh spectra, medians of timed runs, and the ceilings of the device at hand."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.timer import Seconds, alternate, seconds_of
from spectf_cloud.inference import promise


class Spectra:
    """Endless spectra: random mixtures of the bundled simulated ones, brighter or darker, with noise."""

    def __init__(self, wavelength_nm: NDArray[np.float64], device: torch.device, seed: int = 0) -> None:
        with np.load(promise.PROBE) as bundled:
            found_nm, toa = bundled["wavelength_nm"], bundled["toa_reflectance"].astype(np.float64)
        on_bands = np.stack([np.interp(wavelength_nm, found_nm, row) for row in toa])
        self.toa = torch.from_numpy(on_bands.astype(np.float32)).to(device)
        self.random = torch.Generator(device).manual_seed(seed)

    def draw(self, n: int) -> Tensor:
        """(n, bands) reflectance within the kernel's domain, never drawn before."""
        device = self.toa.device
        pair = torch.randint(len(self.toa), (2, n), generator=self.random, device=device)
        share, gain = torch.rand((2, n, 1), generator=self.random, device=device)
        mixed = self.toa[pair[0]] * share.square() + self.toa[pair[1]] * (1 - share.square())
        noise = torch.randn(mixed.shape, generator=self.random, device=device)
        return (mixed * (0.8 + 0.4 * gain) * (1 + 0.003 * noise)).clamp(-0.04, 1.7)


def seconds_on(device: torch.device) -> Callable[[Callable[[], object]], Seconds]:
    """Return what measures one run: by events on a GPU, by the clock on a CPU."""
    if device.type != "cuda":
        return seconds_of

    def measure(run: Callable[[], object]) -> Seconds:
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        run()
        after.record()
        after.synchronize()
        return Seconds(before.elapsed_time(after) / 1e3, 0.0)

    return measure


def rates(
    paths: dict[str, Callable[[Tensor], Tensor]], spectra: Spectra, pixels: int, rounds: int
) -> dict[str, list[float]]:
    """Return pixels per second, round by round; within a round every path sees the same fresh pixels, warm."""
    for run in paths.values():
        run(spectra.draw(pixels))
    fresh = (spectra.draw(pixels) for _ in range(rounds))
    found = alternate(paths, fresh, seconds_on(spectra.toa.device))
    return {name: [pixels / each.wall for each in turns] for name, turns in found.items()}


def ceilings(device: torch.device, smoke: bool) -> dict[str, float]:
    """Measure copies on the device (read and written) and from pinned memory, and a bf16 product; read the clock."""
    size, side = (2**20, 256) if smoke else (2**31, 8192)
    rng = torch.Generator(device).manual_seed(1)
    source = torch.empty(size // 4, device=device).uniform_(generator=rng)
    target = torch.empty_like(source)
    a, b = (torch.randn(side, side, generator=rng, device=device).to(torch.bfloat16) for _ in range(2))
    host = torch.empty(size // 4, pin_memory=device.type == "cuda").uniform_()

    measure = seconds_on(device)

    def rate(amount: float, run: Callable[[], object]) -> float:
        run()
        return amount / float(np.median([measure(run).wall for _ in range(3 if smoke else 10)]))

    found = {
        "copy on the device, bytes/s": rate(2 * size, lambda: target.copy_(source)),
        "bf16 product, FLOP/s": rate(2 * side**3, lambda: a @ b),
        "copy from the host, bytes/s": rate(size, lambda: target.copy_(host, non_blocking=True)),
    }
    if device.type == "cuda":
        found["multiprocessors"] = torch.cuda.get_device_properties(device).multi_processor_count
        query = [
            "nvidia-smi",
            "--query-gpu=clocks.max.sm",
            "--format=csv,noheader,nounits",
            f"--id={device.index or 0}",
        ]
        found["clock, Hz"] = 1e6 * float(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
    else:
        found |= {"multiprocessors": 1.0, "clock, Hz": 1e9}
    return found


def read_and_copy(path: Path, device: torch.device) -> None:
    """Read a file once and copy it over: what no command can be faster than."""
    buffer = torch.empty(2**27, dtype=torch.uint8, pin_memory=device.type == "cuda")
    there = torch.empty_like(buffer, device=device)
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(buffer.numpy().data):
            there[:got].copy_(buffer[:got])
    if device.type == "cuda":
        torch.cuda.synchronize(device)
