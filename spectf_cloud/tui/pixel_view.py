"""One pixel: its probability, its spectrum, and the attention each band received, from a child process."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from spectf_cloud.errors import SpectfError
from spectf_cloud.tokens import OTHER_IRRADIANCE, Tokens
from spectf_cloud.tui.jobs import run_once
from spectf_cloud.tui.plot import Curve, Plot
from spectf_cloud.tui.saved_result import SavedResult

# A cursor that moves on within this time starts no explanation.
_REST_S = 0.7
# A larger difference from the saved probability means that the explanation used other settings.
_SAME = 0.005
_HINT, _TITLE = "Point at a pixel for its spectrum", "TOA reflectance"


class PixelView(Vertical):
    """Follows the cursor. The spectrum is read at once; the attention takes a child process some seconds.

    `explained` holds results of ``spectf-cloud explain`` by (line, sample).
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._result: SavedResult | None = None
        self._tokens: Tokens | None = None
        self.explained: dict[tuple[int, int], Mapping[str, Any]] = {}

    def compose(self) -> ComposeResult:
        yield Static(_HINT, id="pixel-text", markup=False)
        yield Plot(_TITLE, id="spectrum", x_format="{:.0f}")

    def show_result(self, result: SavedResult) -> None:
        """Show pixels of another result."""
        self._result, self._tokens, self.explained = result, None, {}
        self.query_one("#pixel-text", Static).update(_HINT)
        self.query_one(Plot).show((), title=_TITLE)

    def show_pixel(self, line: int, sample: int, threshold: float) -> None:
        """Show what is known about a pixel, and read the rest."""
        self.describe(line, sample, threshold)
        self._follow(line, sample)

    def describe(self, line: int, sample: int, threshold: float) -> None:
        """Show only the saved probability."""
        if self._result is None:
            return
        probability = float(self._result.probability[line, sample])
        kind = "no data" if not probability >= 0 else "cloud" if probability > threshold else "clear"
        shown = "" if kind == "no data" else f", p {probability:.3f}"
        self.query_one("#pixel-text", Static).update(f"line {line}, sample {sample}: {kind}{shown}")

    @work(exclusive=True, group="pixel", exit_on_error=False)
    async def _follow(self, line: int, sample: int) -> None:
        """Show the spectrum, then the attention; the next pixel cancels this and ends its child."""
        result = self._result
        if result is None or result.scene is None:
            self.query_one(Plot).show((), empty=result.trouble if result else "")
            return
        try:
            wavelength_nm, toa = await asyncio.to_thread(self._spectrum, result, line)
        except SpectfError as error:
            self.query_one(Plot).show((), empty=str(error))
            return
        spectrum = _by_wavelength("", wavelength_nm, toa[sample], "primary")
        known = self.explained.get((line, sample))
        if known is not None:
            self._show_attention(known, result, (line, sample))
            return
        readable = bool(np.isfinite(toa[sample]).all()) and result.probability[line, sample] >= 0
        wait = "attention: …" if readable and result.weights else ""
        self.query_one(Plot).show([spectrum], title=f"{self._title}  {wait}" if wait else self._title, empty="no data")
        if wait:
            await asyncio.sleep(_REST_S)
            await self._explain(result, line, sample)

    @property
    def _title(self) -> str:
        borrowed = self._tokens is not None and OTHER_IRRADIANCE in self._tokens.notes
        return f"{_TITLE} {OTHER_IRRADIANCE}" if borrowed else _TITLE

    def _spectrum(self, result: SavedResult, line: int) -> tuple[np.ndarray, np.ndarray]:
        assert result.scene is not None
        if self._tokens is None:
            self._tokens = result.tokens(result.scene)
        return self._tokens.wavelength_nm, self._tokens.read_line(result.scene, line)

    async def _explain(self, result: SavedResult, line: int, sample: int) -> None:
        assert result.scene is not None
        with tempfile.TemporaryDirectory() as folder:
            image, observation = result.scene.image, result.scene.observation
            arguments = ["explain", str(image.path)]
            arguments += ["--obs", str(observation.path)] if observation else []
            arguments += ["--pixel", f"{line},{sample}", "--out", str(Path(folder) / "pixel.png")]
            job = await run_once([*arguments, "--weights", result.weights or ""])
        if not job.result:
            self.query_one("#pixel-text", Static).update(f"no attention: {job.error}")
            return
        self.explained[line, sample] = job.result
        self._show_attention(job.result, result, (line, sample))

    def _show_attention(self, found: Mapping[str, Any], result: SavedResult, pixel: tuple[int, int]) -> None:
        wavelength_nm, toa = np.array(found["wavelength_nm"]), np.array(found["toa"])
        attention = _by_wavelength("attention received", wavelength_nm, np.array(found["attention"]), "accent", 1)
        other = abs(found["probability"] - float(result.probability[pixel])) > _SAME
        title = f"{_TITLE} (explained with p {found['probability']:.3f})" if other else _TITLE
        spectrum = _by_wavelength("", wavelength_nm, toa, "primary")
        self.query_one(Plot).show([spectrum], attention, title=title)


def _by_wavelength(label: str, x: np.ndarray, y: np.ndarray, colour: str, gap: float = 0.03) -> Curve:
    """Return the curve by wavelength, broken at gaps wider than ``gap`` times the wavelength."""
    order = np.argsort(x)
    xs, ys = [float(value) for value in x[order]], [float(value) for value in y[order]]
    points: list[tuple[float, float]] = []
    for at, value in zip(xs, ys, strict=True):
        if points and at - points[-1][0] > gap * at:
            points.append((points[-1][0], math.nan))
        points.append((at, value))
    return Curve(label, [x for x, _ in points], [y for _, y in points], colour)
