"""What the package stands on has exact versions and licences that anyone may use."""

import re
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


def test_every_runtime_package_is_pinned_and_free_to_use():
    found = dependencies()
    names = {dependency.name.lower() for dependency in found}
    assert {"torch", "numpy", "h5py", "rasterio", "typer"} <= names
    assert [dependency.name for dependency in found if not dependency.pinned] == []
    assert [dependency.name for dependency in found if dependency.strict] == []
    assert [dependency.name for dependency in found if dependency.licence == "not stated"] == []
