"""The stream of a scene's lines through a GPU: read, copied and computed at the same time.

A loading thread fills one of two pinned buffers, directly from files of plain numbers, and starts its copy to the
device on a separate stream, while the calling thread computes the previous block. The device computes reflectance from
the file's numbers, with the same products in the same order as a CPU, and leaves out pixels without data. Without a
GPU the same code runs on ordinary memory.
"""

from __future__ import annotations

import math
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.inference.engines.device import DeviceBackend
from spectf_cloud.mapping.memory import block_lines
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import Progress, Rows
from spectf_cloud.readers.layout import layout_of
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.tokens import Tokens

_BLOCK_BYTES = 128 * 2**20
_SLOTS = 2
_READERS = 4


def device_lines(scene: Scene, device: torch.device, memory_limit_bytes: int | None = None) -> int:
    """Return the lines of a block: about 128 MiB of the image, less on a small device; whole chunks where possible.

    Raises `UsageError` when not even one line fits the limit of main memory.
    """
    budget = _BLOCK_BYTES
    if device.type == "cuda":
        # Two blocks as read, and one as selected, tested and scaled.
        budget = min(budget, torch.cuda.mem_get_info(device)[0] // 16)
    lines = min(scene.lines, max(1, budget // (4 * scene.samples * scene.image.bands)))
    if memory_limit_bytes is not None:
        lines = min(lines, block_lines(scene, memory_limit_bytes))
    chunk = scene.image.lines_per_chunk
    return lines - lines % chunk if lines >= chunk else lines


def run_on_device(
    scene: Scene,
    tokens: Tokens,
    shown: NDArray[np.intp],
    backend: DeviceBackend,
    lines_per_block: int,
    watch: Stopwatch,
    progress: Progress | None = None,
) -> Rows:
    """Compute all rows of a scene. Raises what reading, computing or ``progress`` raises, after the loader has stopped.

    The watch gets the seconds of ``read``, which overlaps the computation, of ``waiting`` for a block, and of
    ``inference`` (TOA and copies back included).
    """
    whole = Rows.empty(scene.lines, scene.samples, len(shown))
    loader = _Loader(scene, backend.device, lines_per_block, watch)
    compute = _Compute(tokens, shown, backend, loader.layout.axes if loader.layout else (0, 1, 2))
    try:
        for start, stop in loader.blocks:
            with watch.stage("waiting"):
                slot = loader.next()
            with watch.stage("inference"):
                rows = compute(slot)
            loader.free(slot)
            whole.probability[start:stop], whole.preview[start:stop] = rows.probability, rows.preview
            if progress:
                progress(stop * scene.samples, scene.lines * scene.samples)
    finally:
        loader.stop()
    return whole


class _Slot:
    """Memory of one block, on the host and on the device: numbers as stored, and 1 / cos of the incidence."""

    def __init__(self, pixels: int, bands: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        self.host = tuple(torch.empty(size, pin_memory=pinned) for size in (pixels * bands, pixels))
        self.there = self.host if device.type == "cpu" else tuple(torch.empty_like(x, device=device) for x in self.host)
        self.device = device
        self.arrived = torch.cuda.Event() if pinned else None  # type: ignore[no-untyped-call]
        self.shape: tuple[int, ...] = ()

    def send(self, stream: torch.cuda.Stream | None) -> None:
        """Start the copy to the device, on ``stream`` if there is one."""
        with torch.cuda.stream(stream):  # None changes nothing
            for source, target in zip(self.host, self.there, strict=True):
                if target is not source:
                    target.copy_(source, non_blocking=True)
            if self.arrived is not None:
                self.arrived.record()

    def wait(self) -> None:
        """Make the device's further work wait for the copy."""
        if self.arrived is not None:
            torch.cuda.current_stream(self.device).wait_event(self.arrived)


class _Loader:
    """A thread that fills slots in the order of the blocks, as far ahead as slots are free."""

    def __init__(self, scene: Scene, device: torch.device, lines_per_block: int, watch: Stopwatch) -> None:
        self.scene, self.watch, self.device = scene, watch, device
        self.layout = layout_of(scene.image)
        self.blocks = tuple(scene.blocks(lines_per_block))
        self._free: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[_Slot | BaseException] = queue.SimpleQueue()
        for _ in range(min(_SLOTS, len(self.blocks))):
            self._free.put(_Slot(lines_per_block * scene.samples, scene.image.bands, device))
        # The slots' memory may have been another tensor's, whose last use the copying stream would not wait for.
        _settle(device)
        self._thread = threading.Thread(target=self._run, name="spectf-load")
        self._stopped = False
        self._thread.start()

    def next(self) -> _Slot:
        """Return the next block's slot. Raises what reading raised."""
        slot = self._full.get()
        if isinstance(slot, BaseException):
            raise slot
        return slot

    def free(self, slot: _Slot) -> None:
        """Give back a slot whose block is computed and whose results are copied."""
        self._free.put(slot)

    def stop(self) -> None:
        """Stop after the block being read, and wait for the thread to end."""
        self._stopped = True
        self._free.put(None)
        self._thread.join()
        _settle(self.device)  # after an error a copy may still be running

    def _run(self) -> None:
        try:
            stream = _new_stream(self.device)
            with ThreadPoolExecutor(_READERS, "spectf-read") as pool:
                for start, stop in self.blocks:
                    slot = self._free.get()
                    if slot is None or self._stopped:
                        return
                    with self.watch.stage("read"):
                        self._read(slot, start, stop, pool)
                    slot.send(stream)
                    self._full.put(slot)
        except BaseException as error:  # re-raised in `next`
            self._full.put(error)

    def _read(self, slot: _Slot, start: int, stop: int, pool: ThreadPoolExecutor) -> None:
        lines, samples, bands = stop - start, self.scene.samples, self.scene.image.bands
        slot.shape = self.layout.block_shape(lines) if self.layout else (lines, samples, bands)
        block = slot.host[0][: lines * samples * bands].numpy().reshape(slot.shape)
        if self.layout:
            self.layout.read_into(block, start, pool)
        else:
            block[...] = self.scene.image.read(start, stop)
        incidence_deg = self.scene.read_incidence_deg(start, stop).reshape(-1)
        # As in `toa_reflectance`: in float64, rounded once.
        slot.host[1][: lines * samples] = torch.from_numpy(1.0 / np.cos(np.deg2rad(incidence_deg)))


class _Compute:
    """The computation of a block on the device, with its rows on the host."""

    def __init__(
        self, tokens: Tokens, shown: NDArray[np.intp], backend: DeviceBackend, axes: tuple[int, int, int]
    ) -> None:
        self.backend, self.nodata = backend, tokens.nodata
        self.lines_samples_bands = tuple(axes.index(i) for i in range(3))
        self.kept, self.preview = (
            torch.from_numpy(positions.astype(np.int64)).to(backend.device) for positions in (tokens.kept, shown)
        )
        self.factors = torch.from_numpy(tokens.factors.astype(np.float32)).to(backend.device)
        self.fills = torch.from_numpy(tokens.fills.astype(np.float32)).to(backend.device)

    @torch.inference_mode()
    def __call__(self, slot: _Slot) -> Rows:
        """Compute the rows of the slot's block; the device no longer uses the slot when they are returned."""
        slot.wait()
        stored = slot.there[0][: math.prod(slot.shape)].view(slot.shape)
        cube = stored.permute(self.lines_samples_bands)
        lines, samples, bands = cube.shape
        values = cube.reshape(lines * samples, bands).index_select(1, self.kept)
        per_cosine = slot.there[1][: len(values)]
        absent = ~values.isfinite() | (values == NODATA) | (values == self.nodata)
        unusable = ~per_cosine.isfinite() | absent.any(dim=1)
        for fill in self.fills:
            unusable |= (values == fill).all(dim=1)
        usable = (~unusable).nonzero().squeeze(1)
        toa = values[usable] * self.factors * per_cosine[usable, None]
        probability = torch.full((lines * samples,), NODATA, device=toa.device)
        preview = torch.full((lines * samples, len(self.preview)), float("nan"), device=toa.device)
        probability[usable] = self.backend.probability(toa)
        preview[usable] = toa[:, self.preview]
        return Rows(probability.view(lines, samples).cpu().numpy(), preview.view(lines, samples, -1).cpu().numpy())


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
