"""A picture of the scene in half-block cells, with a cursor."""

from __future__ import annotations

from typing import Any, ClassVar

from PIL import Image
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from spectf_cloud.products.panels import Rgb
from spectf_cloud.tui.cells import Frame, View, fitted, half_blocks, with_crosshair

_FAST = 8
# Pixels per half cell on terminals with graphics, which fit the picture to their cells.
_SHARP_PIXELS = 10


class Picture(Widget, can_focus=True):
    """Shows an RGB array; arrow keys and mouse move a cursor over its pixels."""

    HELP = """\
## Picture
Arrow keys move the cursor, with **shift** eight times as far; a click sets it.
**+** and **-** (or the wheel) zoom at the cursor.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"move('{key}', 1)", key.title(), show=False) for key in ("up", "down", "left", "right")),
        *(
            Binding(f"shift+{key}", f"move('{key}', {_FAST})", f"{key.title()}, far", show=False)
            for key in ("up", "down", "left", "right")
        ),
    ]

    class Moved(Message):
        """The user moved the cursor to a pixel."""

        def __init__(self, line: int, sample: int) -> None:
            self.line, self.sample = line, sample
            super().__init__()

    class Zoomed(Message):
        """The wheel was turned."""

        def __init__(self, factor: float) -> None:
            self.factor = factor
            super().__init__()

    def __init__(self, *, id: str | None = None, empty: str = "", follows: bool = True) -> None:
        super().__init__(id=id)
        self.can_focus = follows
        self._empty = empty
        self._picture: Rgb | None = None
        self._step = 1
        self._shape = (1, 1)
        self._view = View(0, 0, 1, 1)
        self._cursor: tuple[int, int] | None = None
        self._strips: list[Strip] = []
        self._drawn_at: Size | None = None
        self._sharp: Any = None

    def compose(self) -> ComposeResult:
        sharp_image = getattr(self.app, "sharp_image", None)
        if sharp_image is not None:
            self._sharp = sharp_image()
            yield self._sharp

    def show(self, picture: Rgb | None, shape: tuple[int, int], step: int = 1, empty: str | None = None) -> None:
        """Show every ``step``-th pixel of a scene of ``shape`` (lines, samples); None shows no picture."""
        if shape != self._shape:
            self._view, self._cursor = View(0, 0, *shape), None
        self._picture, self._shape, self._step = picture, shape, step
        self._empty = self._empty if empty is None else empty
        self._redraw()

    @property
    def shows_something(self) -> bool:
        """Whether there is a picture rather than text."""
        return self._picture is not None

    def look_at(self, view: View, cursor: tuple[int, int] | None) -> None:
        """Show another part of the scene, and the cursor."""
        self._view, self._cursor = view, cursor
        self._redraw()

    def render_line(self, y: int) -> Strip:
        if self._picture is None or not self.size:
            return self._words(y)
        if self._sharp is not None:
            return Strip.blank(self.size.width, self.rich_style)
        if self._drawn_at != self.size:  # lines may be drawn before the resize event
            self._strips, self._drawn_at = self._render_picture(self._picture), self.size
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def action_move(self, direction: str, times: int) -> None:
        """Move the cursor by cells."""
        if self._picture is None:
            return
        down, across = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}[direction]
        line, sample = self._cursor or (
            self._view.top + self._view.lines // 2,
            self._view.left + self._view.samples // 2,
        )
        distance = self._frame(self.size).pixels_per_cell * times
        lines, samples = self._shape
        line = min(max(line + down * distance, 0), lines - 1)
        self.post_message(self.Moved(line, min(max(sample + across * distance, 0), samples - 1)))

    def on_click(self, event: events.Click) -> None:
        if self._picture is not None and self.can_focus:
            offset = event.get_content_offset(self)
            if offset is not None:
                self.post_message(self.Moved(*self._frame(self.size).pixel_at(offset.x, offset.y)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._zoom(event, 2.0)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._zoom(event, 0.5)

    def on_resize(self) -> None:
        self._redraw()

    def _zoom(self, event: events.MouseEvent, factor: float) -> None:
        if self.can_focus:
            event.stop()
            self.post_message(self.Zoomed(factor))

    def _frame(self, size: Size) -> Frame:
        return Frame(self._view, max(1, size.width), max(1, size.height))

    def _redraw(self) -> None:
        self._drawn_at = None
        if self._sharp is not None:
            self._sharp.display = self._picture is not None
            if self._picture is not None and self.size:
                self._draw_sharp(self._picture)
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn_at = None

    def _render_picture(self, picture: Rgb) -> list[Strip]:
        frame = self._frame(self.size)
        return half_blocks(self._fitted(picture, frame, 1), frame, self.background_colors[1].rgb)

    def _draw_sharp(self, picture: Rgb) -> None:
        """Draw at `_SHARP_PIXELS` per half cell, into the widget that shows pixels."""
        frame = self._frame(self.size)
        height, width = frame.size
        self._sharp.styles.width, self._sharp.styles.height = width, (height + 1) // 2
        self._sharp.image = Image.fromarray(self._fitted(picture, frame, _SHARP_PIXELS))

    def _fitted(self, picture: Rgb, frame: Frame, scale: int) -> Rgb:
        height, width = frame.size
        shown = fitted(picture, self._step, self._view, (height * scale, width * scale))
        return shown if self._cursor is None else with_crosshair(shown, *frame.half_cell_of(*self._cursor), scale)

    def _words(self, y: int) -> Strip:
        """Return a line of the centred text that replaces a missing picture."""
        width = self.size.width
        words = self._empty.split("\n")
        at = y - (self.size.height - len(words)) // 2
        text = words[at][:width].center(width) if 0 <= at < len(words) else " " * width
        return Strip([Segment(text, self.rich_style)], width)
