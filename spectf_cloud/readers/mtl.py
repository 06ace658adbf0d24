"""Metadata files of Landsat (MTL) in their three forms: text, JSON and XML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from spectf_cloud.errors import InputError
from spectf_cloud.readers.metadata_xml import read_xml

Groups = Mapping[str, Mapping[str, str]]

#: What the whole file is called: in Collection 2, in Collection 1.
_ROOTS = ("LANDSAT_METADATA_FILE", "L1_METADATA_FILE")


@dataclass(frozen=True)
class Mtl:
    """A metadata file of Landsat: its entries as text, by group."""

    source: str
    groups: Groups

    def find(self, key: str, groups: tuple[str, ...]) -> str | None:
        """Return an entry from the first of the groups that has it; None where none does."""
        return next((self.groups[group][key] for group in groups if key in self.groups.get(group, ())), None)

    def text(self, key: str, groups: tuple[str, ...]) -> str:
        """Return an entry. Raises `InputError` where it is missing."""
        if not (found := self.find(key, groups)):
            raise InputError(f"{self.source} has no {key} in {groups[0]}; is it complete?")
        return found

    def number(self, key: str, groups: tuple[str, ...]) -> float | None:
        """Return an entry as a number, None where it is missing. Raises `InputError` where it is not a number."""
        if (found := self.find(key, groups)) is None:
            return None
        try:
            value = float(found)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{self.source}: {key} is {found[:40]!r}, not a number")
        return value


def read_mtl(content: bytes, source: str) -> Mtl:
    """Read an MTL file in any of its three forms: text, JSON or XML. Raises `InputError` naming ``source``."""
    start = content.lstrip()[:1]
    groups = (_of_xml if start == b"<" else _of_json if start == b"{" else _of_text)(content, source)
    if groups is None:
        raise InputError(f"{source} is not a whole Landsat metadata file; copy or download it again")
    return Mtl(source, groups)


def _of_xml(content: bytes, source: str) -> Groups | None:
    root = read_xml(content, source)
    if root.tag not in _ROOTS:
        return None
    return {group.tag: {entry.tag: (entry.text or "").strip() for entry in group} for group in root}


def _of_json(content: bytes, source: str) -> Groups | None:
    try:
        held = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not whole JSON ({error}); copy or download it again") from error
    root = next((held[name] for name in _ROOTS if name in held), None)
    if not isinstance(root, dict) or not all(isinstance(entries, dict) for entries in root.values()):
        return None
    return {group: {key: str(value) for key, value in entries.items()} for group, entries in root.items()}


def _of_text(content: bytes, source: str) -> Groups | None:
    """Read ``KEY = VALUE`` lines in nested groups; None where a group is not closed."""
    groups: dict[str, dict[str, str]] = {}
    inside: list[str] = []
    for line in content.decode("utf-8", "replace").splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if key == "GROUP":
            inside.append(value)
        elif key == "END_GROUP":
            if not inside or inside.pop() != value:
                return None
            if value in _ROOTS and not inside:
                return groups
        elif equals and inside:
            groups.setdefault(inside[-1], {})[key] = value.strip('"')
    return None
