"""Asks what to save and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label, Select, Static

from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import check_output
from spectf_cloud.tui.option_form import PathSuggester
from spectf_cloud.tui.saved_result import PRODUCTS, SavedResult


@dataclass(frozen=True)
class SaveRequest:
    """A product to save."""

    product: str
    path: Path
    overwrite: bool


class SaveScreen(ModalScreen[SaveRequest | None]):
    """Offers one of the products under a free name."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, result: SavedResult) -> None:
        super().__init__()
        self._result = result

    def compose(self) -> ComposeResult:
        possible = {kind: words for kind, words in PRODUCTS.items() if kind == "mask" or self._result.scene}
        with Vertical(id="save-box", classes="box"):
            yield Label("Save as", classes="title")
            yield Select(
                [(words, kind) for kind, (words, _) in possible.items()], value="mask", allow_blank=False, compact=True
            )
            yield Input(compact=True, suggester=PathSuggester(), select_on_focus=False)
            yield Checkbox("Replace an existing file", compact=True)
            yield Static(id="save-trouble", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Save", variant="primary", compact=True, id="save-now")
                yield Button("Back", compact=True, id="save-not")

    def on_mount(self) -> None:
        self._name_file()
        self.query_one(Input).focus()

    @on(Select.Changed)
    def _name_file(self) -> None:
        ending = PRODUCTS[str(self.query_one(Select).value)][1]
        folder, stem = self._result.saved.path.parent, self._result.stem
        path, number = folder / f"{stem}{ending}", 1
        while path.exists():
            number += 1
            head, dot, tail = ending.partition(".")
            path = folder / f"{stem}{head}_{number}{dot}{tail}"
        field = self.query_one(Input)
        field.value, field.cursor_position = str(path), len(str(path))

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def _check(self) -> None:
        trouble = self._trouble()
        self.query_one("#save-trouble", Static).update(trouble)
        self.query_one("#save-now", Button).disabled = bool(trouble)

    @on(Button.Pressed, "#save-not")
    def _back(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#save-now")
    @on(Input.Submitted)
    def _save(self) -> None:
        if not self._trouble():
            self.dismiss(self._wanted())

    def _wanted(self) -> SaveRequest:
        path = Path(self.query_one(Input).value).expanduser()
        return SaveRequest(str(self.query_one(Select).value), path, self.query_one(Checkbox).value)

    def _trouble(self) -> str:
        wanted, scene = self._wanted(), self._result.scene
        inputs = [self._result.saved.path, *(scene.files if scene else ())]
        try:
            check_output(wanted.path, overwrite=wanted.overwrite, inputs=inputs)
        except OutputError as error:
            return str(error)
        return ""
