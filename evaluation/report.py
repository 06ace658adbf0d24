"""Fill the tables of Markdown pages from results.

    python -m evaluation.report [PAGE ...]

A table stands between ``<!-- table FILE: NAME -->`` and ``<!-- end -->``. NAME is a result's name in which ``{label}``
stands for the parts that make the rows and ``*`` for the one that makes the columns.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from evaluation.results import BETWEEN, ROOT, Result, read

_TABLE = re.compile(r"(<!-- table ([^:\n]+): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
#: Units that a heading leaves out.
_PLAIN = {"", "share", "p", "AUC", "×"}


def fill(page: Path, results_in: Path | None = None) -> str:
    """Return a page with its tables made anew; files of results are named from the folder of the page."""

    def made(match: re.Match[str]) -> str:
        begin, file, pattern, end = match.groups()
        results = read(results_in or page.parent / file).values()
        if not results:
            return match[0]
        return f"{begin}{table(results, pattern)}\n{end}"

    return _TABLE.sub(made, page.read_text(encoding="utf-8"))


def table(results: Iterable[Result], pattern: str) -> str:
    """Return the Markdown table of the results that a pattern names, and a line that says where they come from."""
    wanted = pattern.split(BETWEEN)
    labels = [part.strip("{}") for part in wanted if part.startswith("{")]
    cells: dict[tuple[str, ...], dict[str, Result]] = {}
    for one in results:
        if _fits(one.parts, wanted):
            paired = list(zip(one.parts, wanted, strict=True))
            row = tuple(part for part, want in paired if want.startswith("{"))
            column = next((part for part, want in paired if want == "*"), "measured")
            cells.setdefault(row, {})[column] = one
    columns = dict.fromkeys(name for row in cells.values() for name in row)
    units = {name: {row[name].unit for row in cells.values() if name in row} for name in columns}
    common = {name: found.pop() if len(found) == 1 else None for name, found in units.items()}
    head = [*labels, *(f"{name}, {unit}" if unit and unit not in _PLAIN else name for name, unit in common.items())]
    rows = [[*row, *(_cell(made.get(name), unit) for name, unit in common.items())] for row, made in cells.items()]
    lines = [head, ["---"] * len(labels) + ["---:"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n" + _origin(cells.values())


def shown(number: float, unit: str) -> str:
    """Return a number as tables show it, its unit left out."""
    if unit == "AUC":
        return f"{number:.4f}"
    if unit == "share":
        return f"{100 * number:.3g} %"
    if abs(number) >= 1e9:
        return f"{number:.3g}"
    return f"{number:,.0f}" if number == int(number) or abs(number) >= 100 else f"{number:.3g}"


def _fits(parts: tuple[str, ...], wanted: list[str]) -> bool:
    pairs = zip(parts, wanted, strict=False)
    return len(parts) == len(wanted) and all(want in (part, "*") or want[0] == "{" for part, want in pairs)


def _cell(one: Result | None, common: str | None) -> str:
    if one is None:
        return ""
    text = shown(one.number, one.unit)
    if isinstance(one.value, list) and len(one.value) > 1:
        text += f" ({shown(min(one.value), one.unit)}–{shown(max(one.value), one.unit)})"
    return text if common is not None or one.unit in _PLAIN else f"{text} {one.unit}"


def _origin(rows: Iterable[dict[str, Result]]) -> str:
    """Return when, where and on which commits the results of a table were measured."""
    found = [one for row in rows for one in row.values()]
    said = ([*dict.fromkeys(getattr(one, key) for one in found)] for key in ("date", "machine", "commit"))
    dates, machines, commits = (", ".join(values) for values in said)
    return f"Measured {dates} on {machines}; at {commits}."


def main(pages: list[Path]) -> None:
    """Write every page whose tables have changed."""
    for page in pages or sorted((ROOT / "evaluation").rglob("*.md")):
        if (text := fill(page)) != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
