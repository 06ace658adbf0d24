"""Pictures as terminal cells: an upper half block shows two pixels in each cell, one above the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from spectf_cloud.products.panels import OUTLINE, Rgb

_HALF_BLOCK = "▀"
MIN_ZOOM_PIXELS = 8


@dataclass(frozen=True)
class View:
    """The part of a scene that is shown, in scene pixels."""

    top: int
    left: int
    lines: int
    samples: int

    @property
    def middle(self) -> tuple[int, int]:
        """The (line, sample) in the middle."""
        return self.top + self.lines // 2, self.left + self.samples // 2

    def zoomed(self, factor: float, around: tuple[int, int], shape: tuple[int, int]) -> View:
        """Return the view ``factor`` times larger, centred on ``around`` (line, sample) if the scene allows."""
        lines, samples = (
            min(whole, max(MIN_ZOOM_PIXELS, round(now / factor)))
            for whole, now in zip(shape, (self.lines, self.samples), strict=True)
        )
        return View(0, 0, lines, samples).showing(around, shape, centre=True)

    def showing(self, pixel: tuple[int, int], shape: tuple[int, int], centre: bool = False) -> View:
        """Return the view moved just far enough to show ``pixel`` (line, sample), or centred on it.

        >>> View(0, 0, 10, 10).showing((12, 5), (100, 100))
        View(top=3, left=0, lines=10, samples=10)
        """
        corner = []
        for at, start, size, whole in zip(pixel, (self.top, self.left), (self.lines, self.samples), shape, strict=True):
            wanted = at - size // 2 if centre else min(max(start, at - size + 1), at)
            corner.append(min(max(wanted, 0), whole - size))
        return View(corner[0], corner[1], self.lines, self.samples)


@dataclass(frozen=True)
class Frame:
    """The place of a view among (rows × columns) cells: centred, with its proportions kept."""

    view: View
    columns: int
    rows: int

    @property
    def size(self) -> tuple[int, int]:
        """Height in half cells, width in cells."""
        scale = min(self.columns / self.view.samples, 2 * self.rows / self.view.lines)
        return max(1, round(self.view.lines * scale)), max(1, round(self.view.samples * scale))

    @property
    def origin(self) -> tuple[int, int]:
        """Offset from the top left as (half cells, cells); it starts at a whole cell."""
        height, width = self.size
        return (2 * self.rows - height) // 4 * 2, (self.columns - width) // 2

    def pixel_at(self, column: int, row: int) -> tuple[int, int]:
        """Return the (line, sample) at the middle of a cell, clipped to the view."""
        (height, width), (top, left) = self.size, self.origin
        down = (2 * row + 1 - top) / height
        across = (column + 0.5 - left) / width
        line = self.view.top + int(min(max(down, 0), 0.9999) * self.view.lines)
        return line, self.view.left + int(min(max(across, 0), 0.9999) * self.view.samples)

    def half_cell_of(self, line: int, sample: int) -> tuple[int, int]:
        """Return (half cell down, cell across) of a pixel, within the picture."""
        height, width = self.size
        down = int((line + 0.5 - self.view.top) / self.view.lines * height)
        return down, int((sample + 0.5 - self.view.left) / self.view.samples * width)

    @property
    def pixels_per_cell(self) -> int:
        """Width of a cell in pixels; at least one."""
        return max(1, round(self.view.samples / self.size[1]))


def fitted(picture: Rgb, step: int, view: View, size: tuple[int, int]) -> Rgb:
    """Return the part of ``picture`` (every ``step``-th pixel of the scene) in ``view``, resized to (height, width)."""
    bottom, right = view.top + view.lines, view.left + view.samples
    part = picture[view.top // step : -(-bottom // step), view.left // step : -(-right // step)]
    height, width = size
    reduced = part.shape[0] > height or part.shape[1] > width
    how = Image.Resampling.BOX if reduced else Image.Resampling.NEAREST
    resized: Rgb = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize((width, height), how))
    return resized


def with_crosshair(picture: Rgb, down: int, across: int, scale: int = 1) -> Rgb:
    """Return a copy with four marks around a place, which stays visible; marks are ``scale`` pixels wide."""
    marked = picture.copy()
    for y, x in ((down - 1, across), (down + 1, across), (down, across - 1), (down, across + 1)):
        if y >= 0 and x >= 0:
            marked[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale] = OUTLINE
    return marked


def half_blocks(picture: Rgb, frame: Frame, background: tuple[int, int, int]) -> list[Strip]:
    """Return ``picture`` at the frame's size as strips, one per row, on a plain background."""
    (height, width), (top, left) = frame.size, frame.origin
    canvas: NDArray[np.uint8] = np.empty((2 * frame.rows, frame.columns, 3), np.uint8)
    canvas[:] = background
    canvas[top : top + height, left : left + width] = picture[:height, :width]
    packed = (canvas.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(axis=2).tolist()
    rows = zip(packed[::2], packed[1::2], strict=True)
    return [
        Strip([Segment(_HALF_BLOCK, _style(a, b)) for a, b in zip(upper, lower, strict=True)], frame.columns)
        for upper, lower in rows
    ]


@lru_cache(maxsize=65536)
def _style(upper: int, lower: int) -> Style:
    return Style(color=_colour(upper), bgcolor=_colour(lower))


def _colour(packed: int) -> Color:
    return Color.from_rgb(packed >> 16, packed >> 8 & 255, packed & 255)
