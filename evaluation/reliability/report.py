"""reliability.md: preface.md, a table of what was measured, found.md, and what the package stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def render(results: dict[str, Any]) -> str:
    """The page; what has not been measured is left out of it."""
    rows = [row for name, write in _ROWS.items() if name in results for row in write(results[name])]
    missing = [name for name in _ROWS if name not in results]
    if missing:
        note = f"\nNot run to the end yet: {', '.join(missing)}. Small versions of each run with the suite.\n"
    else:
        note = ""
    preface, found = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("preface.md", "found.md"))
    return preface + "".join(f"| {' | '.join(row)} |\n" for row in rows) + note + "\n" + found + _supply(results)


def _fuzz(result: dict[str, Any]) -> list[tuple[str, ...]]:
    runs = "; ".join(f"{name} {one['runs']:,} in {one['minutes']:.0f} min" for name, one in result.items())
    found = [f"{name}: {item}" for name, one in result.items() for item in one["found"]]
    outcome = "nothing escaped" if not found else "escaped: " + ", ".join(found)
    return [
        (
            "coverage-guided fuzzing (atheris)",
            runs,
            outcome,
            "`tests/hostile/cases/`, read again by `hostile/test_inputs.py`",
        )
    ]


def _kills(result: dict[str, Any]) -> list[tuple[str, ...]]:
    whole = ", ".join(f"{result.get(state, 0)} {state}" for state in ("absent", "old, whole", "new, whole"))
    cases = f"{result['runs']} runs, {result.get('killed', 0)} of them killed before they ended; 5 outputs each"
    strays = f"{result.get('strays left by the kill', 0)} strays, all gone after the next run"
    return [("kill -9 at random moments", cases, f"{whole}; none else; {strays}", "`test_crash_safety.py`")]


def _counted(title: str, test: str) -> Any:
    def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
        numbers = {key: value for key, value in result.items() if isinstance(value, int)}
        return [(title, str(sum(v for k, v in numbers.items() if ":" in k)), _listed(numbers), test)]

    return rows


def _listed(numbers: dict[str, int]) -> str:
    return "; ".join(f"{key} ({value})" for key, value in sorted(numbers.items()) if ":" in key)


def _false_alarms(result: dict[str, Any]) -> list[tuple[str, ...]]:
    outcome = "no doubt raised" if not result["alarms"] else "; ".join(result["alarms"])
    cases = f"{result['scenes']} scenes: every preset of the simulator, and the real AVIRIS-NG cube"
    return [("false alarms of the plausibility checks", cases, outcome, "`test_plausibility.py`")]


def _determinism(result: dict[str, Any]) -> list[tuple[str, ...]]:
    cases = f"{result['runs']} processes with other threads and hash seeds, five products"
    return [
        (
            "determinism",
            cases,
            "the same bytes in all" if result["different results"] == 1 else f"{result['different results']} results",
            "`test_determinism.py`, `test_masking.py`",
        )
    ]


def _load(result: dict[str, Any]) -> list[tuple[str, ...]]:
    growth = result["last_mb"] / result["first_mb"] - 1
    outcome = f"{result['first_mb']:.0f} MB after ten, {result['last_mb']:.0f} MB at the end: {growth:+.1%}"
    return [("load: scenes in one process", str(result["scenes"]), outcome, "`test_determinism.py` (slow)")]


def _network(result: dict[str, Any]) -> list[tuple[str, ...]]:
    asked = result["internet_sockets"]
    seen = "not traced" if asked is None else f"{len(asked)} internet sockets asked for"
    outcome = f"exit code {result['exit_code_without_network']} where there is none; {seen}"
    return [("network: a run without one, system calls traced", "2", outcome, "`test_determinism.py`")]


def _supply(results: dict[str, Any]) -> str:
    if "supply" not in results:
        return ""
    found = results["supply"]
    known = found["vulnerabilities"]
    audit = (
        known if isinstance(known, str) else f"{len(known)} packages with known vulnerabilities {known or ''}".strip()
    )
    lines = [
        "\n## What the package stands on\n",
        f"Runtime packages: {len(found['packages'])}. "
        f"Not pinned in constraints.txt: {', '.join(found['not pinned']) or 'none'}. "
        f"Licences that need a decision: {', '.join(found['strict']) or 'none'}. "
        f"pip-audit over constraints.txt: {audit}.\n",
        "| package | version | licence |\n|---|---|---|",
        *(f"| {name} | {version} | {licence} |" for name, version, licence, _ in found["packages"]),
    ]
    return "\n".join(lines) + "\n"


_ROWS: dict[str, Any] = {
    "fuzz": _fuzz,
    "kills": _kills,
    "disks": _counted("full disk, read-only folder", "`test_crash_safety.py`"),
    "writers": _counted("two processes, one output", "`test_crash_safety.py`"),
    "false_alarms": _false_alarms,
    "determinism": _determinism,
    "load": _load,
    "network": _network,
}
