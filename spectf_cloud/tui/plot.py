"""Curves in braille dots, eight per cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

# Bit of each dot of a braille cell, by (row, column).
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LABEL_WIDTH = 6


@dataclass(frozen=True)
class Curve:
    """Points joined by lines, broken by NaN. `colour` is a theme colour such as ``primary``."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str


class Plot(Widget):
    """Curves over one x axis, optionally with a row of bars below; limits follow the data."""

    def __init__(self, title: str, *, id: str | None = None, x_format: str = "{:g}") -> None:
        super().__init__(id=id)
        self._title, self._x_format = title, x_format
        self._curves: Sequence[Curve] = ()
        self._bars: Curve | None = None
        self._empty = ""
        self._strips: list[Strip] = []
        self._drawn_at: Size | None = None

    def show(self, curves: Sequence[Curve], bars: Curve | None = None, title: str = "", empty: str = "") -> None:
        """Show other curves; ``bars`` are drawn in one row; ``empty`` is the text if there are no curves."""
        self._curves, self._bars, self._empty = curves, bars, empty
        self._title = title or self._title
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn_at = None

    def _redraw(self) -> None:
        self._drawn_at = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if self._drawn_at != self.size:  # lines may be drawn before the resize event
            self._strips, self._drawn_at = self._draw(), self.size
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> list[Strip]:
        heading = self._heading()
        below = 2 if self._bars else 1
        rows, columns = self.size.height - 1 - below, self.size.width - _LABEL_WIDTH
        points = [(x, y) for curve in self._curves for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
        if not points or rows < 1 or columns < 8:
            return [heading, self._line([(self._empty, self._style("text-muted"))])]
        x_limits, y_limits = _limits([x for x, _ in points]), _limits([y for _, y in points], room=0.06)
        grid = _Grid(rows, columns, x_limits, y_limits)
        for number, curve in enumerate(self._curves):
            grid.draw(curve, number)
        strips = [heading, *self._body(grid, y_limits)]
        if self._bars:
            strips.append(self._bar_row(self._bars, x_limits, columns))
        return [*strips, self._x_axis(x_limits, columns)]

    def _heading(self) -> Strip:
        parts = [(self._title, self._style("text", bold=True))]
        for curve in [*self._curves, *([self._bars] if self._bars else [])]:
            if curve.label and len(curve.x):
                parts += [("  ● ", self._style(curve.colour)), (curve.label, self._style("text-muted"))]
        return self._line(parts)

    def _body(self, grid: _Grid, y_limits: tuple[float, float]) -> list[Strip]:
        low, high = y_limits
        labels = {}
        for value in ticks(y_limits, max(2, min(4, grid.rows // 2))):
            row = round((high - value) / (high - low) * (grid.rows - 1))
            labels[row] = f"{round(value, 6) + 0.0:>{_LABEL_WIDTH - 1}g}"[: _LABEL_WIDTH - 1]
        muted = self._style("text-muted")
        strips = []
        for row, (bits, owners) in enumerate(zip(grid.bits, grid.owners, strict=True)):
            parts = [(labels.get(row, "").rjust(_LABEL_WIDTH - 1) + ("┤" if row in labels else "│"), muted)]
            for cell, owner in zip(bits, owners, strict=True):
                colour = self._curves[owner].colour if cell else "text-muted"
                parts.append((chr(0x2800 + cell) if cell else " ", self._style(colour)))
            strips.append(self._line(parts))
        return strips

    def _bar_row(self, bars: Curve, x_limits: tuple[float, float], columns: int) -> Strip:
        heights = [0.0] * columns
        low, high = x_limits
        for x, y in zip(bars.x, bars.y, strict=True):
            column = min(columns - 1, int((x - low) / (high - low) * columns))
            heights[column] = max(heights[column], y)
        tallest = max(heights) or 1.0
        text = "".join(_EIGHTHS[math.ceil(height / tallest * 8)] for height in heights)
        return self._line([(" " * _LABEL_WIDTH, self._style("text-muted")), (text, self._style(bars.colour))])

    def _x_axis(self, x_limits: tuple[float, float], columns: int) -> Strip:
        low, high = x_limits
        line = [" "] * (columns + _LABEL_WIDTH)
        after = 0
        for value in ticks(x_limits, max(2, columns // 10)):
            text = self._x_format.format(round(value, 6))
            start = _LABEL_WIDTH + round((value - low) / (high - low) * (columns - 1)) - len(text) // 2
            start = min(start, len(line) - len(text))
            if start >= after:
                line[start : start + len(text)] = text
                after = start + len(text) + 1
        return self._line([("".join(line), self._style("text-muted"))])

    def _style(self, colour: str, bold: bool = False) -> Style:
        variables = self.app.theme_variables
        named = variables.get(f"text-{colour}", variables.get(colour, "#888888"))
        background = self.background_colors[1]
        if named.startswith("auto"):
            shown = background.get_contrast_text(0.87 if colour == "text" else 0.6)
        else:
            shown = Color.parse(named)
        return Style(color=(background + shown).rich_color, bgcolor=background.rich_color, bold=bold)

    def _line(self, parts: Sequence[tuple[str, Style]]) -> Strip:
        strip = Strip([Segment(text, style) for text, style in parts if text])
        return strip.adjust_cell_length(self.size.width, self._style("text-muted")).simplify()


class _Grid:
    """Braille cells, and for each the curve that was drawn last."""

    def __init__(self, rows: int, columns: int, x_limits: tuple[float, float], y_limits: tuple[float, float]) -> None:
        self.rows, self.columns = rows, columns
        self._x_limits, self._y_limits = x_limits, y_limits
        self.bits = [[0] * columns for _ in range(rows)]
        self.owners = [[0] * columns for _ in range(rows)]

    def draw(self, curve: Curve, number: int) -> None:
        """Join the curve's points."""
        before: tuple[int, int] | None = None
        for x, y in zip(curve.x, curve.y, strict=True):
            if not math.isfinite(y):
                before = None
                continue
            here = self._dot(x, y)
            for dot in _between(before or here, here):
                self._set(dot, number)
            before = here

    def _dot(self, x: float, y: float) -> tuple[int, int]:
        (x_low, x_high), (y_low, y_high) = self._x_limits, self._y_limits
        across = round((x - x_low) / (x_high - x_low) * (2 * self.columns - 1))
        return across, round((y_high - y) / (y_high - y_low) * (4 * self.rows - 1))

    def _set(self, dot: tuple[int, int], number: int) -> None:
        across, down = dot
        row, column = down // 4, across // 2
        self.bits[row][column] |= _BITS[down % 4][across % 2]
        self.owners[row][column] = number


def _between(start: tuple[int, int], stop: tuple[int, int]) -> list[tuple[int, int]]:
    """Return all dots of a straight line, with both ends."""
    steps = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]), 1)
    return [
        (round(start[0] + (stop[0] - start[0]) * i / steps), round(start[1] + (stop[1] - start[1]) * i / steps))
        for i in range(steps + 1)
    ]


def ticks(limits: tuple[float, float], count: int) -> list[float]:
    """Return about ``count`` round numbers between the limits.

    >>> ticks((0.0, 10.0), 4)
    [0.0, 5.0, 10.0]
    """
    low, high = limits
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _limits(values: Sequence[float], room: float = 0.0) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    space = (high - low) * room
    return low - space, high + space
