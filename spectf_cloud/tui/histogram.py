"""A histogram of the probabilities that is also the slider of the threshold."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from spectf_cloud.products.flags import FloatArray
from spectf_cloud.products.panels import OUTLINE, colour_map

_EIGHTHS = " ▁▂▃▄▅▆▇█"


class ThresholdHistogram(Widget, can_focus=True):
    """Bars over a slider from 0 to 1; heights are fourth roots, so that small counts stay visible."""

    HELP = """\
## Threshold
**Left** and **right** move it by 0.01, with **shift** by 0.1; or drag it. The mask follows at once, from the
saved probabilities: nothing is computed again. Bars are how many pixels have each probability (fourth root).
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "change(-0.01)", "Lower", show=False),
        Binding("right", "change(0.01)", "Higher", show=False),
        Binding("shift+left", "change(-0.1)", "Lower by 0.1", show=False),
        Binding("shift+right", "change(0.1)", "Higher by 0.1", show=False),
        Binding("home", "change(-1)", "Lowest", show=False),
        Binding("end", "change(1)", "Highest", show=False),
    ]

    value: reactive[float] = reactive(0.5)

    class Changed(Message):
        """The user moved the threshold."""

        def __init__(self, value: float) -> None:
            self.value = value
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._probability: FloatArray | None = None
        self._counts: list[int] = []
        self._dragged = False

    def show(self, probability: FloatArray, threshold: float) -> None:
        """Show other probabilities (any shape; no data is below 0 or NaN)."""
        self._probability, self._counts = probability[probability >= 0], []
        self.value = threshold
        self.refresh()

    def action_change(self, by: float) -> None:
        """Move the threshold, rounded to hundredths."""
        self._set(round(self.value + by, 2))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._dragged = True
        self.capture_mouse()
        self._set_from(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged:
            self._set_from(event)

    def on_mouse_up(self) -> None:
        self._dragged = False
        self.release_mouse()

    def _set_from(self, event: events.MouseEvent) -> None:
        self._set(round(event.x / max(1, self.size.width - 1), 2))

    def _set(self, value: float) -> None:
        value = min(max(value, 0.0), 1.0)
        if value != self.value and self._probability is not None:
            self.value = value
            self.post_message(self.Changed(value))

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        at = round(self.value * (width - 1))
        background = self.background_colors[1]
        below = background.rich_color
        if y == height - 1:
            return self._slider(at, width, below)
        bars = self._heights(width)
        segments = []
        for column in range(width):
            eighths = min(8, max(0, round(bars[column] * (height - 1) * 8) - 8 * (height - 2 - y)))
            red, green, blue = colour_map()[round(255 * column / max(1, width - 1))]
            clear = 1.0 if column > at else 0.45  # columns below the threshold fade
            mixed = background.blend(type(background)(int(red), int(green), int(blue)), clear)
            segments.append(Segment(_EIGHTHS[eighths], Style(color=mixed.rich_color, bgcolor=below)))
        return Strip(segments, width)

    def _slider(self, at: int, width: int, below: Color) -> Strip:
        rail = Style(color=self.styles.color.rich_color, bgcolor=below, dim=True)
        thumb = Style(color=Color.from_rgb(*OUTLINE), bgcolor=below, bold=True)
        if self.has_focus:
            thumb += Style(reverse=True)
        parts = [Segment("─" * at, rail), Segment("◆", thumb), Segment("━" * (width - at - 1), rail)]
        return Strip(parts, width)

    def _heights(self, width: int) -> list[float]:
        """Return the height of each column, 0 to 1."""
        if self._probability is None:
            return [0.0] * width
        if len(self._counts) != width:  # resized: lines may be drawn before the resize event
            self._counts = np.histogram(self._probability, bins=width, range=(0, 1))[0].tolist()
        tallest = max(max(self._counts), 1)
        return [(count / tallest) ** 0.25 for count in self._counts]
