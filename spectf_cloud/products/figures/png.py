"""Charts as PNG files, drawn large by pillow and reduced: no plotting library. Dashes become thin lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.figures.chart import Chart, Frame, Line, tick_label, ticks

_OVERSAMPLE = 4
_SHOWN = 2
_INK, _GRID, _PAPER = "#1b1f24", "#e3e6ea", "#ffffff"
_LEGEND_LINE = 18


def save_png(path: Path, charts: Sequence[Chart], *, columns: int = 2) -> None:
    """Charts in one PNG, so many side by side. Raises `OutputError`."""
    width = max(chart.width for chart in charts)
    height = max(chart.height + _LEGEND_LINE * _legend_rows(chart) for chart in charts)
    rows = -(-len(charts) // columns)
    sheet = Image.new("RGB", _scaled(width * min(columns, len(charts)), height * rows), _PAPER)
    for number, chart in enumerate(charts):
        picture = Image.new("RGB", _scaled(width, height), _PAPER)
        _Pen(picture).chart(chart)
        sheet.paste(picture, _scaled(width * (number % columns), height * (number // columns)))
    shown = sheet.reduce(_OVERSAMPLE // _SHOWN)
    with atomic_output(path, overwrite=True) as temporary:
        shown.save(temporary, "PNG")


class _Pen:
    """Draws in chart pixels on a larger sheet."""

    def __init__(self, picture: Image.Image) -> None:
        self._draw = ImageDraw.Draw(picture)
        self._picture = picture

    def chart(self, chart: Chart) -> None:
        frame = Frame(chart)
        self.text(frame.left, 18, chart.title, size=14)
        self.axes(frame)
        plot = (frame.left, frame.top - 2, frame.right, frame.bottom + 2)
        whole = self._picture.copy()
        for number, line in enumerate(chart.lines):
            self.line(frame, line, chart.colour(number))
        self._keep_inside(whole, plot)
        self.legend(chart)

    def axes(self, frame: Frame) -> None:
        for value in ticks(frame.x_limits):
            self.stroke([(frame.x(value), frame.top), (frame.x(value), frame.bottom)], _GRID, 1)
            self.text(frame.x(value), frame.bottom + 14, tick_label(value), anchor="mm")
        for value in ticks(frame.y_limits):
            self.stroke([(frame.left, frame.y(value)), (frame.right, frame.y(value))], _GRID, 1)
            self.text(frame.left - 6, frame.y(value), tick_label(value), anchor="rm")
        chart = frame.chart
        self.text((frame.left + frame.right) / 2, chart.height - 12, chart.x_label, anchor="mm")
        self.upright(10, (frame.top + frame.bottom) / 2, chart.y_label)

    def line(self, frame: Frame, line: Line, colour: str) -> None:
        zero, width = frame.y(0.0), frame.bar_width(line) if line.style == "bars" else 0.0
        for piece in frame.pieces(line):
            if line.style in ("line", "dashes"):
                self.stroke(piece, colour, 2 if line.style == "line" else 1)
            for x, y in piece if line.style in ("bars", "dots") else ():
                box = (x - width / 2, min(y, zero), x + width / 2, max(y, zero))
                if line.style == "dots":
                    self._draw.ellipse([v * _OVERSAMPLE for v in (x - 3, y - 3, x + 3, y + 3)], fill=colour)
                else:
                    self._draw.rectangle([v * _OVERSAMPLE for v in box], fill=colour)

    def legend(self, chart: Chart) -> None:
        x, y = 58.0, float(chart.height + 4)
        for number, line in enumerate(chart.lines):
            if not line.label:
                continue
            length = 30 + _font(12).getlength(line.label) / _OVERSAMPLE
            if x + length > chart.width and x > 58:
                x, y = 58.0, y + _LEGEND_LINE
            self.stroke([(x, y), (x + 14, y)], chart.colour(number), 4)
            self.text(x + 19, y, line.label, anchor="lm")
            x += length + 6

    def stroke(self, points: Sequence[tuple[float, float]], colour: str, width: int) -> None:
        scaled = [(x * _OVERSAMPLE, y * _OVERSAMPLE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=width * _OVERSAMPLE, joint="curve")

    def text(self, x: float, y: float, text: str, *, anchor: str = "ls", size: int = 12) -> None:
        self._draw.text((x * _OVERSAMPLE, y * _OVERSAMPLE), text, fill=_INK, font=_font(size), anchor=anchor)

    def upright(self, x: float, y: float, text: str) -> None:
        font = _font(12)
        box = Image.new("RGB", (int(font.getlength(text)) + 4, 16 * _OVERSAMPLE), _PAPER)
        ImageDraw.Draw(box).text((2, 8 * _OVERSAMPLE), text, fill=_INK, font=font, anchor="lm")
        turned = box.rotate(90, expand=True)
        self._picture.paste(
            turned, (int(x * _OVERSAMPLE) - turned.width // 2, int(y * _OVERSAMPLE) - turned.height // 2)
        )

    def _keep_inside(self, before: Image.Image, box: tuple[float, float, float, float]) -> None:
        """Undo what was drawn outside the plot."""
        left, top, right, bottom = (round(value * _OVERSAMPLE) for value in box)
        inside = self._picture.crop((left, top, right, bottom))
        self._picture.paste(before)
        self._picture.paste(inside, (left, top))


def _legend_rows(chart: Chart) -> int:
    if not any(line.label for line in chart.lines):
        return 0
    total = sum(36 + _font(12).getlength(line.label) / _OVERSAMPLE for line in chart.lines if line.label)
    return 1 + int(total // (chart.width - 58))


def _scaled(width: int, height: int) -> tuple[int, int]:
    return width * _OVERSAMPLE, height * _OVERSAMPLE


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _OVERSAMPLE)
