"""Small questions: a path, or a yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from spectf_cloud.tui.option_form import PathSuggester


class AskScreen(ModalScreen[str | None]):
    """Asks for a line of text; None if it is dismissed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, question: str, begun: str = "") -> None:
        super().__init__()
        self._question, self._begun = question, begun

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Label(self._question, classes="title")
            yield Input(self._begun, compact=True, suggester=PathSuggester(), select_on_focus=False)
            with Horizontal(classes="buttons"):
                yield Button("Open", variant="primary", compact=True, id="ask-ok")
                yield Button("Back", compact=True, id="ask-back")

    @on(Input.Submitted)
    @on(Button.Pressed, "#ask-ok")
    def _answer(self) -> None:
        self.dismiss(self.query_one(Input).value.strip())

    @on(Button.Pressed, "#ask-back")
    def _back(self) -> None:
        self.dismiss(None)


class ConfirmScreen(ModalScreen[bool]):
    """Asks yes or no; escape means no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "dismiss(False)", "No"),
        Binding("y", "dismiss(True)", "Yes"),
    ]

    def __init__(self, question: str, yes: str, no: str) -> None:
        super().__init__()
        self._question, self._yes, self._no = question, yes, no

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Label(self._question)
            with Horizontal(classes="buttons"):
                yield Button(self._yes, variant="error", compact=True, id="confirm-yes")
                yield Button(self._no, variant="primary", compact=True, id="confirm-no")

    def on_mount(self) -> None:
        self.query_one("#confirm-no", Button).focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "confirm-yes")
