"""Charts as inline SVG: text stays text, and colours of axes follow the page."""

from __future__ import annotations

from html import escape

from spectf_cloud.products.figures.chart import Chart, Frame, Line, tick_label, ticks


def to_svg(chart: Chart) -> str:
    """One ``<svg>`` element; axes and text take the colour of the text around."""
    frame = Frame(chart)
    parts = [
        f'<svg viewBox="0 0 {chart.width} {chart.height}" role="img" aria-label="{escape(chart.title)}" '
        'fill="none" font-family="system-ui, sans-serif" font-size="12">',
        _text(frame.left, 18, chart.title, size=14, weight="600"),
        *_axes(frame),
        f'<clipPath id="{_clip(chart)}"><rect x="{frame.left}" y="{frame.top - 2}" '
        f'width="{frame.right - frame.left}" height="{frame.bottom - frame.top + 4}"/></clipPath>',
        f'<g clip-path="url(#{_clip(chart)})">',
    ]
    for number, line in enumerate(chart.lines):
        parts += _line(frame, line, chart.colour(number))
    return "\n".join([*parts, "</g>", "</svg>"])


def legend(chart: Chart) -> str:
    """What the colours mean, as HTML: it flows with the page and never covers data."""
    items = [
        f'<span><i style="background:{chart.colour(number)}"></i>{escape(line.label)}</span>'
        for number, line in enumerate(chart.lines)
        if line.label
    ]
    return f'<p class="legend">{" ".join(items)}</p>' if items else ""


def _axes(frame: Frame) -> list[str]:
    parts = []
    for value in ticks(frame.x_limits):
        x = frame.x(value)
        parts.append(_rule(x, frame.top, x, frame.bottom))
        parts.append(_text(x, frame.bottom + 16, tick_label(value), anchor="middle"))
    for value in ticks(frame.y_limits):
        y = frame.y(value)
        parts.append(_rule(frame.left, y, frame.right, y))
        parts.append(_text(frame.left - 6, y + 4, tick_label(value), anchor="end"))
    chart = frame.chart
    middle = (frame.top + frame.bottom) / 2
    parts.append(_text((frame.left + frame.right) / 2, chart.height - 10, chart.x_label, anchor="middle"))
    parts.append(
        f'<text transform="rotate(-90)" x="{-middle:g}" y="14" text-anchor="middle" fill="currentColor">'
        f"{escape(chart.y_label)}</text>"
    )
    return parts


def _line(frame: Frame, line: Line, colour: str) -> list[str]:
    if line.style == "dots":
        return [
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="4" fill="{colour}">'
            f"<title>{escape(line.label)}: {x:.3g}, {y:.3g}</title></circle>"
            for x, y in zip(line.x, line.y, strict=True)
            if x == x and y == y
        ]
    if line.style == "bars":
        width, zero = frame.bar_width(line), frame.y(0.0)
        return [
            f'<rect x="{x - width / 2:.1f}" y="{min(y, zero):.1f}" width="{width:.1f}" height="{abs(zero - y):.1f}" '
            f'fill="{colour}"/>'
            for piece in frame.pieces(line)
            for x, y in piece
        ]
    dashes = ' stroke-dasharray="5 4"' if line.style == "dashes" else ""
    return [
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in piece)}" stroke="{colour}" '
        f'stroke-width="2" stroke-linejoin="round"{dashes}/>'
        for piece in frame.pieces(line)
    ]


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" stroke-opacity="0.15"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _clip(chart: Chart) -> str:
    return "clip-" + "".join(letter if letter.isalnum() else "-" for letter in chart.title.lower())
