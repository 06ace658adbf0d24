"""One schema for everything that is measured, kept as JSON with one result a line."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median

from spectf_cloud.files.atomic import atomic_output

ROOT = Path(__file__).parents[1]
#: Between the parts of a name, which go from what was measured to the detail.
BETWEEN = " / "


@dataclass(frozen=True)
class Result:
    """One number, or those of repeated rounds, with where, when and on which commit it was measured."""

    name: str
    value: float | list[float]
    unit: str
    machine: str
    commit: str
    date: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the name."""
        return tuple(self.name.split(BETWEEN))

    @property
    def number(self) -> float:
        """The value, or the median of the rounds."""
        return float(median(self.value)) if isinstance(self.value, list) else self.value


def result(*parts: str, value: float | list[float], unit: str = "", machine: str = "") -> Result:
    """Return what was measured just now, here unless ``machine`` names another device."""
    return Result(
        BETWEEN.join(parts), value, unit, machine or this_machine(), commit(), f"{datetime.now(UTC):%Y-%m-%d}"
    )


def read(path: Path) -> dict[str, Result]:
    """Return the results of a file by name; none where there is no file."""
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {row["name"]: Result(**row) for row in rows}


def add(path: Path, new: Iterable[Result], *, replace: Iterable[str] = ()) -> dict[str, Result]:
    """Add results to a file and return all of them.

    Those of the same name give way, and those whose names begin with parts in ``replace``.
    """
    gone = tuple(f"{begin}{BETWEEN}" for begin in replace)
    kept = {name: old for name, old in read(path).items() if not name.startswith(gone)}
    results = kept | {one.name: one for one in new}
    rows = ",\n ".join(json.dumps(asdict(one), ensure_ascii=False) for one in results.values())
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(f"[{rows}]\n", encoding="utf-8")
    return results


@cache
def this_machine() -> str:
    """Return the processor and the number of cores at hand."""
    found = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*:\s*(.+)", found)
    return f"{os.cpu_count()} cores of {name[1] if name else platform.processor() or platform.machine()}"


@cache
def commit() -> str:
    """Return the commit at hand, marked where files differ from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=7"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
