"""The Scenes page: find a granule and see its properties."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, DirectoryTree, Input, Static
from textual.worker import Worker, get_current_worker

from spectf_cloud.errors import SpectfError
from spectf_cloud.tui.file_reader import FileReader
from spectf_cloud.tui.granules import Below, below, is_probability, short_name
from spectf_cloud.tui.option_form import PathSuggester
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.preferences import Rate
from spectf_cloud.tui.scene_facts import Card, Thumbnail, read_card, read_picture, read_probability_picture
from spectf_cloud.tui.scene_tree import SceneTree

# Granules named on the card of a folder.
MAX_LISTED = 8
# A faster card needs no waiting text.
_SOON_S = 0.5


class ScenesPage(Horizontal):
    """A tree on the left; on the right the picture and card of the file under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "use", "Mask / open"),
        Binding("backspace", "up", "Up"),
        Binding("g", "go", "Go to"),
        Binding("r", "reload", "Reload"),
    ]

    class Chosen(Message):
        """The user chose a granule to mask."""

        def __init__(self, path: Path) -> None:
            self.path = path
            super().__init__()

    class Opened(Message):
        """The user chose a saved probability to view."""

        def __init__(self, path: Path) -> None:
            self.path = path
            super().__init__()

    def __init__(self, folder: Path, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._folder = folder
        self._path: Path | None = None  # a file, never a folder
        self._shown: Path | None = None
        self._on_card: Path | None = None
        self._files = FileReader()

    def compose(self) -> ComposeResult:
        with Vertical(id="scene-list"):
            yield Input(str(self._folder), id="folder", compact=True, suggester=PathSuggester(), select_on_focus=False)
            tree = SceneTree(self._folder.resolve(), id="tree")
            tree.guide_depth = 2
            yield tree
        with Vertical(id="scene-card"):
            yield Picture(id="thumbnail", empty="Move to a granule\nto see it here", follows=False)
            yield Static(id="facts", markup=False)
            yield Button("Mask this scene", id="use", variant="primary", compact=True, disabled=True)

    def on_unmount(self) -> None:
        self._files.close()

    @property
    def folder(self) -> Path:
        """Where the tree starts."""
        return self._folder

    def focus_first(self) -> None:
        """Focus the tree."""
        self.query_one(SceneTree).focus()

    def open_folder(self, folder: Path) -> None:
        """Start the tree in another folder."""
        self._folder = folder
        self.query_one("#folder", Input).value = str(folder)
        self.query_one(SceneTree).path = folder.resolve()

    def action_up(self) -> None:
        """Go to the folder above."""
        self.open_folder(self._folder.resolve().parent)

    def action_go(self) -> None:
        """Focus the field for a folder."""
        self.query_one("#folder", Input).focus()

    def action_reload(self) -> None:
        """Read the folder and the card again."""
        self.query_one(SceneTree).reload()
        if self._path is not None:
            self._read(self._path)
        elif self._shown is not None:
            self._look_below(self._shown)

    def action_use(self) -> None:
        """Mask the granule, or view the probability, on the card."""
        if self._path is None:
            self.notify("Move to a granule first", severity="warning")
        elif is_probability(self._path):
            self.post_message(self.Opened(self._path))
        else:
            self.post_message(self.Chosen(self._path))

    @on(Input.Submitted, "#folder")
    def _folder_typed(self, event: Input.Submitted) -> None:
        folder = Path(event.value).expanduser()
        if folder.is_dir():
            self.open_folder(folder)
            self.focus_first()
        else:
            self.notify(f"{folder} is not a folder", severity="error")

    @on(DirectoryTree.NodeHighlighted)
    def _highlighted(self, event: DirectoryTree.NodeHighlighted[object]) -> None:
        data = getattr(event.node, "data", None)
        if data is None or data.path == self._shown:
            return
        self._shown = data.path
        self._path = None if event.node.allow_expand else data.path
        button = self.query_one("#use", Button)
        self.set_timer(_SOON_S, partial(self._show_waiting, data.path))
        if self._path is None:
            button.disabled = True
            self._look_below(data.path)
            return
        button.label = "Look at it" if is_probability(data.path) else "Mask this scene"
        button.disabled = True
        self._read(data.path)

    @on(DirectoryTree.FileSelected)
    def _selected(self, event: DirectoryTree.FileSelected) -> None:
        self._path = self._shown = event.path
        self.action_use()

    @on(Button.Pressed, "#use")
    def _pressed(self) -> None:
        self.action_use()

    @work(thread=True, exclusive=True, group="card", exit_on_error=False)
    def _read(self, path: Path) -> None:
        """Read a file in a thread, step by step; a new choice cancels it."""
        worker = get_current_worker()
        show, gone = partial(self._show_from, worker), lambda: worker.is_cancelled
        try:
            if is_probability(path):
                thumbnail = self._files.ask(read_probability_picture, path, gone)
                show(self._show_probability, path, thumbnail)
                return
            card = self._files.ask(read_card, path, gone)
            show(self._show_card, card)
            if card is not None and card.located:
                show(self._show_picture, self._files.ask(read_picture, path, gone))
        except SpectfError as error:
            show(self._show_trouble, path, str(error))
        except OSError as error:  # deleted or made unreadable since it was listed
            show(self._show_trouble, path, f"{path}: {error.strerror or error}")

    @work(thread=True, exclusive=True, group="card", exit_on_error=False)
    def _look_below(self, folder: Path) -> None:
        """Search a folder in a thread, as it may hold an archive."""
        worker = get_current_worker()
        found = below(folder, lambda: worker.is_cancelled)
        self._show_from(worker, self._show_below, folder, found)

    def _show_from(self, worker: Worker[None], display: Callable[..., None], *arguments: object) -> None:
        if not worker.is_cancelled:
            self._on_card = self._shown
            self.app.call_from_thread(display, *arguments)

    def _show_waiting(self, path: Path) -> None:
        """Replace the card of another path while this one takes long to read."""
        if path == self._shown != self._on_card:
            self.query_one(Picture).show(None, (1, 1), empty="reading …")
            self.query_one("#facts", Static).update(Text(path.name, "bold"))

    def _show_below(self, folder: Path, found: Below) -> None:
        rows = [("Holds", below_text(found))]
        names = [str(path.relative_to(folder).parent / short_name(path)) for path in found.granules[:MAX_LISTED]]
        if names:
            more = len(found.granules) - len(names)
            rows.append(("Granules", "\n".join([*names, *([f"and {more:,} more"] if more else [])])))
        self.query_one(Picture).show(None, (1, 1), empty="Move to a granule\nto see it here")
        self._show_rows(f"{folder.name or folder}/", rows)

    def _show_card(self, card: Card) -> None:
        rate = getattr(self.app, "expected_rate", lambda: None)()
        rows = [*card.rows, ("Time", _time_text(card.pixels, rate))]
        self._show_rows(card.path.stem, rows, warn="" if card.located else "OBS")
        waiting = "reading true colour …" if card.located else "no picture without OBS"
        self.query_one(Picture).show(None, card.shape, empty=waiting)
        self.query_one("#use", Button).disabled = False

    def _show_probability(self, path: Path, shown: Thumbnail) -> None:
        self._show_picture(shown)
        lines, samples = shown.shape
        self._show_rows(path.name, [("Holds", "cloud probability"), ("Size", f"{lines} lines × {samples} samples")])
        self.query_one("#use", Button).disabled = False

    def _show_picture(self, shown: Thumbnail) -> None:
        self.query_one(Picture).show(shown.picture, shown.shape, shown.step)

    def _show_trouble(self, path: Path, message: str) -> None:
        self.query_one(Picture).show(None, (1, 1), empty="cannot be shown")
        self._show_rows(path.name, [("Trouble", message)], warn="Trouble")

    def _show_rows(self, name: str, rows: list[tuple[str, str]], warn: str = "") -> None:
        table = Table.grid(padding=(0, 1))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for what, how in rows:
            shown = Text(how, no_wrap=what == "OBS" and what != warn, overflow="ellipsis" if what == "OBS" else "fold")
            table.add_row(what, shown, style="yellow" if what == warn else "")
        self.query_one("#facts", Static).update(Group(Text(name, "bold", overflow="ellipsis", no_wrap=True), table))


def below_text(found: Below) -> str:
    """Return such as ``12 granules, 1 saved probability``."""
    parts = [
        f"{len(paths):,} {kind if len(paths) == 1 else plural}"
        for paths, kind, plural in (
            (found.granules, "granule", "granules"),
            (found.probabilities, "saved probability", "saved probabilities"),
        )
        if paths
    ]
    if not found.whole:
        return f"{', '.join(parts) or 'none found'} in the folders looked at; there are more"
    return ", ".join(parts) or "no granule, and none in its sub-folders"


def _time_text(pixels: int, rate: Rate | None) -> str:
    """Return how long masking will take, and the rate behind it."""
    if rate is None:
        return "unknown before a first job on this machine"
    return (
        f"about {duration(rate.seconds(pixels))}, at {rate.pixels_per_s:,.0f} pixels/s as in the last job here "
        f"({rate.pixels:,} pixels)"
    )


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(40), duration(300), duration(4800)
    ('40 s', '5 min', '1 h 20 min')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
