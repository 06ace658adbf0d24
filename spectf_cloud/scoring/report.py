"""A report in three forms: JSON for programs, Markdown for notes, one HTML file to view."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spectf_cloud.files.atomic import atomic_output, check_output, make_folder
from spectf_cloud.files.extras import have
from spectf_cloud.scoring.html import to_html
from spectf_cloud.scoring.scores import ModelScores, Report
from spectf_cloud.scoring.tables import (
    BEST_NOTE,
    COLUMNS,
    INTERVALS_NOTE,
    best_rows,
    number,
    scene_rows,
    shown_scores,
    summary,
)


def write_report(report: Report, folder: Path, *, overwrite: bool = False) -> dict[str, Path]:
    """Write ``report.json``, ``report.md`` and, with Jinja2, ``report.html`` to a folder. Raises `OutputError`."""
    check_outdir(folder, overwrite=overwrite)
    content = {"json": json.dumps(_finite(asdict(report)), indent=1), "md": to_markdown(report)}
    if have("report", "report.html"):
        content["html"] = to_html(report)
    else:
        (folder / "report.html").unlink(missing_ok=True)  # an old one would show other scores
    paths = {kind: folder / f"report.{kind}" for kind in content}
    for kind, text in content.items():
        with atomic_output(paths[kind], overwrite=overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return paths


def check_outdir(folder: Path, *, overwrite: bool) -> None:
    """Make the folder. Raises `OutputError` if it already holds a report."""
    make_folder(folder)
    for kind in ("json", "md", "html"):
        check_output(folder / f"report.{kind}", overwrite=overwrite)


def to_markdown(report: Report) -> str:
    """Return tables of scores, best thresholds and worst scenes."""
    shown = shown_scores(report)
    rows = [["Model", "Threshold", *(COLUMNS[name] for name in shown)]]
    rows += [[model.name, f"{model.threshold:.3g}", *(_cell(model, name) for name in shown)] for model in report.models]
    parts = ["# Cloud mask evaluation", "", summary(report), "", *_markdown_table(rows), "", INTERVALS_NOTE, ""]
    parts += ["## Largest F-scores over all thresholds", "", BEST_NOTE, "", *_markdown_table(best_rows(report)), ""]
    for model in report.models:
        parts += [f"## Worst scenes: {model.name}", "", *_markdown_table(scene_rows(model)), ""]
    return "\n".join(parts)


def _cell(model: ModelScores, name: str) -> str:
    interval = model.intervals.get(name)
    between = f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else ""
    return number(model.scores.get(name)) + between


def _markdown_table(rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON does not have, with None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
