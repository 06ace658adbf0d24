"""Line charts, drawn by Matplotlib: PNG files, and SVG for pages."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.extras import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float] | NDArray[Any]
#: The colours of Okabe and Ito, distinct for most eyes (https://jfly.uni-koeln.de/color/), and two more.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8A8A8A")
GREY = "#5B6570"
_INK = "#1b1f24"
_UNITS_PER_INCH = 100
_DPI = 200
#: Units that a letter of a title, a letter of a legend and a legend's swatch take.
_TITLE_LETTER, _LETTER, _SWATCH = 9, 7, 50
#: Units that a number on an axis takes.
_TICK_WIDTH, _TICK_HEIGHT = 70, 50
#: Inches from an axis down to its legend.
_LEGEND_DROP = 0.55
#: Share of an axis left free at its ends, so that a curve at the edge is fully visible.
_ROOM = 0.015
_STYLE: dict[str, Any] = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left", "legend.frameon"), False),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size", "legend.borderpad", "legend.borderaxespad"), 0),
    **dict.fromkeys(("figure.constrained_layout.h_pad", "figure.constrained_layout.w_pad"), 0.1),
    **dict.fromkeys(("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 9),
    "axes.xmargin": _ROOM,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.solid_joinstyle": "round",
    "text.parse_math": False,  # a name may contain dollar signs
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Line:
    """One series: points joined by a line, dots alone, or bars from zero. NaN breaks a line.

    ``spread`` is a lower and an upper edge, shaded. A line without a label is not in the legend.
    """

    label: str
    x: Values
    y: Values
    style: Literal["line", "dots", "bars", "dashes"] = "line"
    colour: str | None = None
    spread: tuple[Values, Values] | None = None


@dataclass(frozen=True)
class Chart:
    """A chart with two axes. Limits default to the data; ``width`` and ``height`` are in 1/100 inch."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    width: int = 460
    height: int = 360
    whole_x: bool = False


def break_at_gaps(x: NDArray[np.float64], *columns: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Return (n,) ascending ``x`` and its columns with NaN where bands are missing: steps of over 3 median ones."""
    steps = np.diff(x)
    gaps = np.flatnonzero(steps > 3 * np.median(steps)) + 1 if len(steps) else np.empty(0, np.int64)
    return [np.insert(np.asarray(column, np.float64), gaps, np.nan) for column in (x, *columns)]


def save_png(path: Path, charts: Sequence[Chart], *, columns: int = 2) -> None:
    """Write charts to one PNG, ``columns`` of them side by side. Raises `MissingExtraError`, `OutputError`."""
    with _drawn(charts, columns) as figure, atomic_output(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})


def to_svg(chart: Chart) -> str:
    """Return one ``<svg>`` element; text and axes have the page's colour. Raises `MissingExtraError`."""
    written = io.StringIO()
    with _drawn([chart], columns=1) as figure:
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # an id must be unique, and a page holds several charts
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(_printable(chart.title))}"', 1)


@contextmanager
def _drawn(charts: Sequence[Chart], columns: int) -> Iterator[Figure]:
    """Draw the charts in the style of this module, not in the user's."""
    need("plots", "a figure")
    from matplotlib import style
    from matplotlib.figure import Figure

    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    width, height = (max(getattr(chart, side) for chart in charts) for side in ("width", "height"))
    salt = {"svg.hashsalt": ascii(charts[0].title)}
    with style.context(["default", _STYLE | salt], after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # drawn as a box
        figure = Figure(
            figsize=(columns * width / _UNITS_PER_INCH, rows * height / _UNITS_PER_INCH), layout="constrained"
        )
        for number, chart in enumerate(charts, start=1):
            _draw(chart, figure.add_subplot(rows, columns, number))
        figure.align_ylabels()
        yield figure


def _draw(chart: Chart, axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(
        title=_fitted(chart.title, chart.width // _TITLE_LETTER, max_lines=3),
        xlabel=chart.x_label,
        ylabel=chart.y_label,
    )
    named = []
    for number, line in enumerate(chart.lines):
        handle = _draw_line(axes, line, line.colour or COLOURS[number % len(COLOURS)])
        if line.label:
            named.append((handle, _fitted(line.label, (chart.width - _SWATCH) // _LETTER, max_lines=1)))
    if chart.x_limits:
        axes.set_xlim(_padded(chart.x_limits))
    if chart.y_limits:
        axes.set_ylim(_padded(chart.y_limits))
    across, up = min(9, chart.width // _TICK_WIDTH), min(9, chart.height // _TICK_HEIGHT)
    for axis, most, whole in ((axes.xaxis, across, chart.whole_x), (axes.yaxis, up, False)):
        axis.set_major_locator(MaxNLocator(most, steps=(1, 2, 2.5, 5, 10), integer=whole, min_n_ticks=1))
    if named:
        _add_legend(chart, axes, *zip(*named, strict=True))


def _add_legend(chart: Chart, axes: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Draw the legend below the axes. Handles are passed because Matplotlib skips labels such as _a by itself."""
    from matplotlib.transforms import ScaledTranslation

    widest = max(map(len, labels)) * _LETTER + _SWATCH
    columns = min(len(labels), max(1, chart.width // widest))
    below = axes.transAxes + ScaledTranslation(0, -_LEGEND_DROP, axes.figure.dpi_scale_trans)
    axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, ncols=columns)


def _draw_line(axes: Axes, line: Line, colour: str) -> Any:
    x, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
    if line.spread is not None:
        axes.fill_between(x, *line.spread, color=colour, alpha=0.16, linewidth=0)
    if line.style == "bars":
        step = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
        axes.axhline(0, color=_INK, linewidth=0.6)
        return axes.bar(x, y, width=0.85 * step, color=colour)
    if line.style == "dashes":
        return axes.plot(x, y, color=colour, linewidth=1.0, dashes=(5, 4))[0]
    if line.style == "dots":
        return axes.plot(x, y, "o", color=colour)[0]
    there = np.pad(np.isfinite(x) & np.isfinite(y), 1)
    alone = there[1:-1] & ~there[:-2] & ~there[2:]  # isolated points, which no line joins
    return axes.plot(x, y, marker="o" if alone.any() else "", markevery=alone, markersize=4, color=colour)[0]


def _fitted(text: str, letters: int, max_lines: int) -> str:
    return fill(_printable(text), letters, max_lines=max_lines, placeholder=" …")


def _printable(text: str) -> str:
    """Return the text without control characters and bytes that are not UTF-8, which file names may contain."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "\ufffd", text)


def _padded(limits: tuple[float, float]) -> tuple[float, float]:
    room = _ROOM * (limits[1] - limits[0])
    return limits[0] - room, limits[1] + room
