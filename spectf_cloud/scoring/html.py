"""A report as one self-contained HTML page: no script, no file beside it."""

from __future__ import annotations

import math
from html import escape

from spectf_cloud.products.figures.chart import COLOURS, Chart, Line
from spectf_cloud.products.figures.svg import legend, to_svg
from spectf_cloud.scoring.scores import ModelScores, Report
from spectf_cloud.scoring.tables import (
    BEST_NOTE,
    COLUMNS,
    INTERVALS_NOTE,
    best_rows,
    best_value,
    number,
    scene_rows,
    shown_scores,
    summary,
)

#: A bin of fewer spectra is noise.
_TELLING_COUNT = 20


def to_html(report: Report) -> str:
    """One self-contained page: no script, no file beside it."""
    charts = _charts(report)
    sections = [
        f"<h1>Cloud mask evaluation</h1><p>{escape(summary(report))}</p>",
        _score_table(report),
        f"<p class=note>{INTERVALS_NOTE}</p>",
        '<div class="charts">',
        *(f"<figure>{to_svg(chart)}{legend(chart)}</figure>" for chart in charts),
        "</div>",
        f"<h2>Largest F-scores over all thresholds</h2><p class=note>{BEST_NOTE}</p>",
        _html_table(best_rows(report)),
        "<h2>Worst scenes</h2>",
        '<div class="tables">',
        *(f"<div><h3>{escape(m.name)}</h3>{_html_table(scene_rows(m))}</div>" for m in report.models),
        "</div>",
        *(_all_scenes(model) for model in report.models),
        f"<footer>Made by spectf-cloud, {escape(report.created)}. {escape(_sources(report))}</footer>",
    ]
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Cloud mask evaluation</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _charts(report: Report) -> list[Chart]:
    models = report.models
    diagonal = Line("", [0, 1], [0, 1], "dashes", "#8A8A8A")
    unit = (0.0, 1.0)
    roc = [Line(m.name, m.roc["fpr"], m.roc["tpr"]) for m in models]
    curves = [_steps(m) for m in models]
    calibration = [_calibration(m) for m in models]
    calibrated = f"Reliability (bins of {_TELLING_COUNT} spectra or more)"
    charts = [
        Chart("ROC", "false positive rate", "true positive rate", [*roc, *_points(models)], unit, unit),
        Chart(
            "ROC, upper left", "false positive rate", "true positive rate", [*roc, *_points(models)], (0, 0.2), (0.8, 1)
        ),
        Chart("Precision and recall", "recall", "precision", curves, unit, _from_lowest(curves)),
        Chart(
            calibrated,
            "mean probability",
            "cloud fraction",
            [*calibration, diagonal],
            unit,
            unit,
        ),
    ]
    for model in models:
        sweep = model.sweep
        lines = [Line(name, sweep["threshold"], sweep[name]) for name in ("precision", "recall", "f1", "f0.25")]
        lines.append(Line("threshold in use", [model.threshold] * 2, [0, 1], "dashes", "#8A8A8A"))
        charts.append(Chart(f"Threshold sweep: {model.name}", "threshold", "score", lines, unit, unit))
    return charts


def _points(models: list[ModelScores]) -> list[Line]:
    """Where each model stands at its threshold, in the colour of its curve."""
    return [
        Line("", [m.scores["fpr"]], [m.scores["tpr"]], "dots", COLOURS[place % len(COLOURS)])
        for place, m in enumerate(models)
    ]


def _steps(model: ModelScores) -> Line:
    """Precision and recall as steps: between two thresholds nothing is known, and average precision counts so."""
    recall, precision = model.precision_recall["recall"], model.precision_recall["precision"]
    x, y, before = [], [], 0.0
    for reached, value in zip(recall, precision, strict=True):
        x += [before, reached]
        y += [value, value]
        before = reached
    return Line(model.name, x, y)


def _calibration(model: ModelScores) -> Line:
    """Only bins of enough spectra to say something."""
    bins = zip(*(model.reliability[name] for name in ("count", "probability", "cloud_fraction")), strict=True)
    told = [(probability, fraction) for count, probability, fraction in bins if count >= _TELLING_COUNT]
    return Line(model.name, [point[0] for point in told], [point[1] for point in told])


def _from_lowest(lines: list[Line]) -> tuple[float, float]:
    lowest = min((value for line in lines for value in line.y if math.isfinite(value)), default=0.0)
    return max(math.floor(lowest * 10) / 10 - 0.05, 0.0), 1.0


def _score_table(report: Report) -> str:
    """One model a column, so that a page holds all scores."""
    models = report.models
    swatches = [f'<i style="background:{COLOURS[place % len(COLOURS)]}"></i>' for place in range(len(models))]
    head = "".join(f"<th>{swatch}{escape(m.name)}</th>" for swatch, m in zip(swatches, models, strict=True))
    rows = [f"<tr><th>Threshold</th>{''.join(f'<td>{m.threshold:.3g}</td>' for m in models)}</tr>"]
    for name in shown_scores(report):
        best, cells = best_value(report, name), ""
        for model in models:
            value, interval = model.scores.get(name), model.intervals.get(name)
            mark = ' class="best"' if value == best else ""
            between = f"<small>{interval[0]:.3f}–{interval[1]:.3f}</small>" if interval else ""
            cells += f"<td{mark}>{number(value)}{between}</td>"
        rows.append(f"<tr><th>{escape(COLUMNS[name])}</th>{cells}</tr>")
    return f'<div class="wide"><table class="scores"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _all_scenes(model: ModelScores) -> str:
    rows = scene_rows(model, len(model.scenes))
    return (
        f"<details><summary>All {len(model.scenes)} scenes: {escape(model.name)}</summary>{_html_table(rows)}</details>"
    )


def _sources(report: Report) -> str:
    return "; ".join(f"{m.name}: {m.path}, sha256 {m.sha256}" for m in report.models if m.path)


def _html_table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows[1:]
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d8dce1; --soft: #5b6570; --mark: #e3f1ea }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #14171a; --line: #363c43; --soft: #9aa4ae; --mark: #16382a }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 1240px; margin: 0 auto; padding: 24px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 32px 0 8px }
h3 { font-size: 15px; margin: 0 0 4px }
.note, footer { color: var(--soft); font-size: 13px } footer { margin-top: 40px; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { font-weight: 600 } th:first-child { text-align: left }
.scores small { display: inline-block; min-width: 84px; color: var(--soft); font-size: 12px; font-weight: 400 }
.best { background: var(--mark); font-weight: 600 }
i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(360px, 1fr)); gap: 20px; margin-top: 20px }
figure { margin: 0 } svg { width: 100%; height: auto } .legend { margin: 0 0 0 58px; font-size: 13px }
.legend span { margin-right: 14px; white-space: nowrap }
.tables { display: grid; grid-template-columns: repeat(auto-fill, minmax(590px, 1fr)); gap: 24px }
details { margin-top: 12px }
"""
