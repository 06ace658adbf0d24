"""The Result page: a mask, and how another threshold would change it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Label, Static
from textual.worker import get_current_worker

from spectf_cloud.errors import SpectfError
from spectf_cloud.products.flags import CLOUD, MaskArray, cloud_fraction
from spectf_cloud.products.panels import HATCH_LINE, Rgb, mask_colour, probability_colour
from spectf_cloud.tui.cells import View
from spectf_cloud.tui.histogram import ThresholdHistogram
from spectf_cloud.tui.picture import Picture
from spectf_cloud.tui.pixel_view import PixelView
from spectf_cloud.tui.save_screen import SaveRequest, SaveScreen
from spectf_cloud.tui.saved_result import SavedResult, SceneFiles, load_result
from spectf_cloud.tui.stepper import Stepper

_PICTURES = ("rgb", "probability", "mask")
_TITLES = {"rgb": "True colour", "probability": "Cloud probability", "mask": "Mask"}
MAX_BUFFER = 50


class ResultPage(Vertical):
    """Three pictures with one cursor; below them the threshold, the buffer, and the pixel under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", "Save as"),
        Binding("f", "enlarge", "One picture"),
        Binding("plus,equals_sign", "zoom(2)", "Zoom", key_display="+ -"),
        Binding("minus", "zoom(0.5)", "Zoom out", key_display="-", show=False),
        Binding("b", "buffer(1)", "Buffer +1", show=False),
        Binding("B", "buffer(-1)", "Buffer -1", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.result: SavedResult | None = None
        self._view = View(0, 0, 1, 1)
        self._cursor: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        yield Static("No result yet: run a job, or open a …_prob.tif on the Scenes page", id="result-title")
        with Horizontal(id="pictures"):
            for name in _PICTURES:
                with Vertical(id=f"{name}-side"):
                    yield Label(_TITLES[name])
                    yield Picture(id=f"{name}-picture")
        with Horizontal(id="controls"):
            with Vertical(id="adjust"):
                yield Static(id="cloud")
                yield ThresholdHistogram(id="threshold")
                with Horizontal(id="adjust-more"):
                    yield Stepper("Buffer", "px", MAX_BUFFER, id="buffer")
                    yield Button("Save as …", compact=True, variant="primary", id="save")
            yield PixelView(id="pixel")

    def focus_first(self) -> None:
        """Focus the mask."""
        self.query_one("#mask-picture", Picture).focus()

    @property
    def mask(self) -> MaskArray | None:
        """The mask as shown: (lines, samples) uint8; None without a result."""
        if self.result is None:
            return None
        return self.result.mask(self.query_one(ThresholdHistogram).value, self.query_one(Stepper).value)

    @work(thread=True, exclusive=True, group="result", exit_on_error=False)
    def open_result(self, path: Path, files: SceneFiles | None = None, folders: Iterable[Path] = ()) -> None:
        """Read a saved probability, then the true colour of its scene."""
        worker = get_current_worker()
        try:
            result = load_result(path, files, folders)
            self.app.call_from_thread(self._show, result)
            if result.scene is not None and not worker.is_cancelled:
                with_picture = result.with_picture()
                if not worker.is_cancelled:
                    self.app.call_from_thread(self._show_rgb, with_picture)
        except SpectfError as error:
            self.app.call_from_thread(self.notify, str(error), title="Cannot be opened", severity="error", timeout=12)

    def _show(self, result: SavedResult) -> None:
        self.result, self._cursor = result, None
        self._view = View(0, 0, *result.shape)
        lines, samples = result.shape
        weights = result.saved.tags.get("SPECTF_WEIGHTS", "unknown weights")
        self.query_one("#result-title", Static).update(f"{result.stem}   {lines} × {samples}   {weights}")
        words = "reading true colour …" if result.scene else "no true colour:\nits radiance is\nnot next to it"
        self._picture("rgb").show(None, result.shape, empty=words)
        self._picture("probability").show(_with_nodata(result, probability_colour(result.probability)), result.shape)
        self.query_one(Stepper).value = 0
        self.query_one(ThresholdHistogram).show(result.probability, result.threshold)
        self.query_one(PixelView).show_result(result)
        self._remask()

    def _show_rgb(self, result: SavedResult) -> None:
        self.result = result
        self._picture("rgb").show(result.rgb, result.shape, result.rgb_step)

    @on(ThresholdHistogram.Changed)
    @on(Stepper.Changed)
    def _remask(self) -> None:
        """Mask again from the saved probability."""
        result, mask = self.result, self.mask
        if result is None or mask is None:
            return
        fraction = cloud_fraction(mask)
        threshold = self.query_one(ThresholdHistogram).value
        shown = "no pixel has data" if math.isnan(fraction) else f"[b]{fraction:.1%}[/b] cloud above {threshold:.2f}"
        self.query_one("#cloud", Static).update(shown)
        self._picture("mask").show(_with_nodata(result, mask_colour(mask == CLOUD)), result.shape)
        if self._cursor:
            self.query_one(PixelView).describe(*self._cursor, threshold)

    @on(Picture.Moved)
    def _moved(self, event: Picture.Moved) -> None:
        if self.result is None:
            return
        self._cursor = event.line, event.sample
        self._view = self._view.showing(self._cursor, self.result.shape)
        self._look()
        self.query_one(PixelView).show_pixel(*self._cursor, self.query_one(ThresholdHistogram).value)

    @on(Picture.Zoomed)
    def _zoomed(self, event: Picture.Zoomed) -> None:
        self.action_zoom(event.factor)

    @on(Button.Pressed, "#save")
    def _save_pressed(self) -> None:
        self.action_save()

    def action_zoom(self, factor: float) -> None:
        """Zoom at the cursor, or the middle."""
        if self.result is not None:
            self._view = self._view.zoomed(factor, self._cursor or self._view.middle, self.result.shape)
            self._look()

    def action_buffer(self, by: int) -> None:
        """Change the buffer."""
        self.query_one(Stepper).action_change(by)

    def action_enlarge(self) -> None:
        """Show only the focused picture, or all three again."""
        focused = next((name for name in _PICTURES if self._picture(name).has_focus), "mask")
        alone = not any(self.query_one(f"#{name}-side").has_class("-away") for name in _PICTURES)
        for name in _PICTURES:
            self.query_one(f"#{name}-side").set_class(alone and name != focused, "-away")

    def action_save(self) -> None:
        """Ask what to save and where, then write it."""
        if self.result is None:
            self.notify("There is no result to save yet", severity="warning")
            return
        result, threshold, pixels = (
            self.result,
            self.query_one(ThresholdHistogram).value,
            self.query_one(Stepper).value,
        )

        def write(wanted: SaveRequest | None) -> None:
            if wanted is not None:
                self._write(result, wanted, threshold, pixels)

        self.app.push_screen(SaveScreen(result), write)

    @work(thread=True, group="save", exit_on_error=False)
    def _write(self, result: SavedResult, wanted: SaveRequest, threshold: float, pixels: int) -> None:
        try:
            result.save(wanted.product, wanted.path, threshold, pixels, wanted.overwrite)
        except SpectfError as error:
            self.app.call_from_thread(self.notify, str(error), title="Not saved", severity="error", timeout=12)
        else:
            self.app.call_from_thread(self.notify, str(wanted.path), title="Saved")

    def _look(self) -> None:
        for name in _PICTURES:
            self._picture(name).look_at(self._view, self._cursor)

    def _picture(self, name: str) -> Picture:
        return self.query_one(f"#{name}-picture", Picture)


def _with_nodata(result: SavedResult, picture: Rgb) -> Rgb:
    """Return the picture with no-data pixels in grey."""
    shown: Rgb = np.where((result.probability >= 0)[..., None], picture, np.array(HATCH_LINE, np.uint8))
    return shown
