"""A whole number with a button on either side."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

_ENDS = 3


class Stepper(Widget, can_focus=True):
    """``◂ 3 px ▸``: arrow keys or clicks on its ends change it by one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,down,minus", "change(-1)", "Less", show=False),
        Binding("right,up,plus", "change(1)", "More", show=False),
        Binding("home", "change(-10000)", "None", show=False),
    ]

    value: reactive[int] = reactive(0)

    class Changed(Message):
        """The user changed the number."""

        def __init__(self, value: int) -> None:
            self.value = value
            super().__init__()

    def __init__(self, label: str, unit: str, largest: int, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label, self._unit, self._largest = label, unit, largest

    def render(self) -> Text:
        return Text.assemble(f"{self._label} ", ("◂ ", "bold"), f"{self.value} {self._unit}", (" ▸", "bold"))

    def get_content_width(self, container: object, viewport: object) -> int:
        return len(self._label) + len(self._unit) + 9

    def action_change(self, by: int) -> None:
        """Change the number, within its limits."""
        value = min(max(self.value + by, 0), self._largest)
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(value))

    def on_click(self, event: events.Click) -> None:
        written = self.render().cell_len
        if event.x >= written - _ENDS:
            self.action_change(1)
        elif len(self._label) <= event.x < len(self._label) + _ENDS:
            self.action_change(-1)
