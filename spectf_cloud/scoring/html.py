"""A report as one self-contained HTML page without scripts."""

from __future__ import annotations

import math
from pathlib import Path

from spectf_cloud.files.extras import have, need
from spectf_cloud.products.figures import COLOURS, GREY, Chart, Line, to_svg
from spectf_cloud.scoring import tables
from spectf_cloud.scoring.scores import ModelScores, Report

_TEMPLATE = Path(__file__).with_name("report.html.j2")
#: Bins of fewer spectra are noise.
MIN_BIN_COUNT = 20


def to_html(report: Report) -> str:
    """Return one self-contained page; without Matplotlib it has no charts. Raises `MissingExtraError`."""
    need("report", "report.html")
    from jinja2 import Environment, StrictUndefined

    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = page.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    charts = [to_svg(chart) for chart in _charts(report)] if have("plots", "a chart in report.html") else []
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(report.models))]
    return template.render(report=report, tables=tables, charts=charts, colours=colours)


def _charts(report: Report) -> list[Chart]:
    models, unit, rates = report.models, (0.0, 1.0), ("false positive rate", "true positive rate")
    roc = [*(Line(m.name, m.roc["fpr"], m.roc["tpr"]) for m in models), *_points(models)]
    steps = [_steps(m) for m in models]
    calibration = [*(_calibration(m) for m in models), Line("", [0, 1], [0, 1], "dashes", GREY)]
    bins = f"Reliability (bins of {MIN_BIN_COUNT} spectra or more)"
    charts = [
        Chart("ROC", *rates, roc, unit, unit),
        Chart("ROC, upper left", *rates, roc, (0.0, 0.2), (0.8, 1.0)),
        Chart("Precision and recall", "recall", "precision", steps, unit, _from_lowest(steps)),
        Chart(bins, "mean probability", "cloud fraction", calibration, unit, unit),
    ]
    for model in models:
        sweep = model.sweep
        lines = [Line(name, sweep["threshold"], sweep[name]) for name in ("precision", "recall", "f1", "f0.25")]
        lines.append(Line("threshold in use", [model.threshold] * 2, [0, 1], "dashes", GREY))
        charts.append(Chart(f"Threshold sweep: {model.name}", "threshold", "score", lines, unit, unit))
    return charts


def _points(models: list[ModelScores]) -> list[Line]:
    """Return each model's point at its threshold, in the colour of its curve."""
    return [
        Line("", [m.scores["fpr"]], [m.scores["tpr"]], "dots", COLOURS[place % len(COLOURS)])
        for place, m in enumerate(models)
    ]


def _steps(model: ModelScores) -> Line:
    """Return precision and recall as steps, as average precision counts them."""
    recall, precision = model.precision_recall["recall"], model.precision_recall["precision"]
    x, y, before = [], [], 0.0
    for reached, value in zip(recall, precision, strict=True):
        x += [before, reached]
        y += [value, value]
        before = reached
    return Line(model.name, x, y)


def _calibration(model: ModelScores) -> Line:
    """Return the reliability curve, from bins of enough spectra."""
    bins = zip(*(model.reliability[name] for name in ("count", "probability", "cloud_fraction")), strict=True)
    shown = [(probability, fraction) for count, probability, fraction in bins if count >= MIN_BIN_COUNT]
    return Line(model.name, [point[0] for point in shown], [point[1] for point in shown])


def _from_lowest(lines: list[Line]) -> tuple[float, float]:
    lowest = min((value for line in lines for value in line.y if math.isfinite(value)), default=0.0)
    return max(math.floor(lowest * 10) / 10 - 0.05, 0.0), 1.0
