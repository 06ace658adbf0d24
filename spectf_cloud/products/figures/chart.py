"""What a chart shows, and where on the sheet each thing goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

#: Okabe and Ito's colours, told apart by most eyes (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8A8A8A")

LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 46


@dataclass(frozen=True)
class Line:
    """One series: points joined by a line, dots alone, or bars from zero. NaN breaks a line."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: Literal["line", "dots", "bars", "dashes"] = "line"
    colour: str | None = None


@dataclass(frozen=True)
class Chart:
    """A chart with two axes. Limits left out follow the data."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    width: int = 460
    height: int = 340

    def colour(self, number: int) -> str:
        """Colour of a line: its own, or the next of the palette."""
        return self.lines[number].colour or COLOURS[number % len(COLOURS)]


@dataclass(frozen=True)
class Frame:
    """Pixel positions of a chart's data."""

    chart: Chart
    x_limits: tuple[float, float] = field(init=False)
    y_limits: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        chart = self.chart
        xs = [value for line in chart.lines for value in line.x]
        ys = [value for line in chart.lines for value in line.y]
        ys += [0.0 for line in chart.lines if line.style == "bars"]
        object.__setattr__(self, "x_limits", chart.x_limits or _limits(xs, margin=0.0))
        object.__setattr__(self, "y_limits", chart.y_limits or _limits(ys, margin=0.05))

    @property
    def left(self) -> float:
        return LEFT

    @property
    def right(self) -> float:
        return self.chart.width - RIGHT

    @property
    def top(self) -> float:
        return TOP

    @property
    def bottom(self) -> float:
        return self.chart.height - BOTTOM

    def x(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self.x_limits
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y_limits
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def pieces(self, line: Line) -> list[list[tuple[float, float]]]:
        """Pixel positions of the line, cut where values are missing."""
        pieces: list[list[tuple[float, float]]] = [[]]
        for x, y in zip(line.x, line.y, strict=True):
            if math.isfinite(x) and math.isfinite(y):
                pieces[-1].append((self.x(x), self.y(y)))
            elif pieces[-1]:
                pieces.append([])
        return [piece for piece in pieces if piece]

    def bar_width(self, line: Line) -> float:
        """Pixels of one bar of evenly spaced ones."""
        steps = sorted(b - a for a, b in zip(line.x, line.x[1:], strict=False)) or [1.0]
        low, high = self.x_limits
        return max(abs(steps[len(steps) // 2]) / (high - low) * (self.right - self.left) * 0.85, 1.0)


def ticks(limits: tuple[float, float], count: int = 5) -> list[float]:
    """Round numbers between the limits, about ``count`` of them."""
    low, high = limits
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float) -> str:
    """The number, short."""
    return f"{value:g}" if abs(value) >= 1e-12 else "0"


def _limits(values: Sequence[float], margin: float) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low == high:
        low, high = low - 0.5, high + 0.5
    space = (high - low) * margin
    return low - space, high + space
