"""What the package stands on: exact versions, licences, known vulnerabilities."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

_ROOT = Path(__file__).resolve().parents[2]
#: Of one's own, or that ask for their own source back: none of these may come in unnoticed.
_STRICT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|proprietary|SSPL|commercial)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Dependency:
    """One installed package that a plain installation needs."""

    name: str
    version: str
    licence: str
    pinned: bool

    @property
    def strict(self) -> bool:
        """Whether its licence needs a decision by a person."""
        return bool(_STRICT.search(self.licence)) and "LGPL" not in self.licence


def dependencies() -> list[Dependency]:
    """Everything that ``pip install spectf-cloud`` brings on this system, found from the installed metadata."""
    pins = _pins()
    seen: dict[str, Dependency] = {}
    todo = list(_requirements("spectf-cloud"))
    while todo:
        name = todo.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another system or Python
        if _canonical(name) in seen:
            continue
        seen[_canonical(name)] = Dependency(
            found.metadata["Name"], found.version, _licence(found), pins.get(_canonical(name)) is not None
        )
        todo += _requirements(name)
    return sorted(seen.values(), key=lambda dependency: dependency.name.lower())


def _requirements(name: str) -> Iterator[str]:
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _pins() -> dict[str, str]:
    rows = (_ROOT / "constraints.txt").read_text().splitlines()
    pairs = (row.split("==") for row in rows if "==" in row and not row.startswith("#"))
    return {_canonical(name): version for name, version in pairs}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(found: object) -> str:
    metadata = found.metadata  # type: ignore[attr-defined]
    classified = [row.rpartition("::")[2].strip() for row in metadata.get_all("Classifier") or () if "License" in row]
    plain = (metadata.get("License") or "").strip().splitlines()
    stated = metadata.get("License-Expression") or "; ".join(classified) or (plain[0] if plain else "")
    return str(stated)[:60] or "not stated"


def audit(timeout_s: float = 300) -> dict[str, list[str]] | str:
    """Known vulnerabilities by package, from PyPI's own list by way of pip-audit; or why it could not be asked."""
    pins = _ROOT / "constraints.txt"
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-f", "json", "-r", str(pins)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        found = json.loads(run.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        return f"could not be asked here ({type(error).__name__})"
    asked = [row for row in found if "skip_reason" not in row]
    if not asked:
        return f"could not be asked here: the package index has no such service ({len(found)} packages passed over)"
    return {row["name"]: [item["id"] for item in row["vulns"]] for row in asked if row["vulns"]}
