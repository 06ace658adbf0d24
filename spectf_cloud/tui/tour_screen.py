"""The page shown at the first start."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

_TOUR = """\
[b]SpecTf Cloud[/b] masks the clouds of imaging-spectroscopy scenes.

[b $text-accent]F2 Scenes[/]  Find a granule: its card says what it is and how long
           it takes. [b]enter[/b] takes it to the next page.
[b $text-accent]F3 Mask[/]    Every option of [i]deploy-pt[/i], checked as you type, and the
           same as a shell command. [b]ctrl+r[/b] runs it.
[b $text-accent]F4 Result[/]  Move the threshold, the mask follows. Point at a pixel:
           its spectrum, and what the model looked at. [b]s[/b] saves.
[b $text-accent]F5 Train[/]   Train on labelled spectra with live curves; score models.

[b]tab[/b] goes from field to field; [b]ctrl+p[/b] finds every action by name;
[b]F1[/b] explains what you are on; the mouse works everywhere;
[b]ctrl+q[/b] leaves.\
"""


class TourScreen(ModalScreen[None]):
    """The pages and how to reach them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,space,q", "dismiss(None)", "Begin")]

    def compose(self) -> ComposeResult:
        with Vertical(id="tour", classes="box"):
            yield Static(_TOUR)
            yield Button("Begin", variant="primary", compact=True)

    @on(Button.Pressed)
    def _begin(self) -> None:
        self.dismiss(None)
