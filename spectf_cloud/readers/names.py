"""What names say: of files when they were taken, of bands what they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

# EMIT_L1B_RAD_001_20240203T040506_…, emit20240203t040506_…, ang20170323t202244_…, AV320230418t211703_000_….
_SECOND = re.compile(r"(?:(?<!\d)|(?<=av\d))(\d{8})t(\d{6})(?!\d)(?:_(\d{3})(?=_))?", re.IGNORECASE)
# AVIRIS Classic: f130503t01p00r09rdn_e, f970620t01p02_r03_…: date, flight, part and run.
_CLASSIC = re.compile(r"(?<![a-z0-9])f(\d{6})(t\d{2}p\d{2})_?(r\d{2})(?!\d)", re.IGNORECASE)
_AIRBORNE = re.compile(r"(?:ang|av\d)\d{8}t", re.IGNORECASE)

# A path of an address has lost one of its two slashes.
_ADDRESS = re.compile(r"((?:/vsi[a-z0-9_]+/)?[a-z][a-z0-9+.-]+:)/+(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Acquisition:
    """When something was seen, as its name tells: the day (UTC), and where it is told the second and the run.

    `run` is what tells pieces of one flight apart: flight, part and run of AVIRIS Classic, the segment of later ones.
    """

    day: date
    time: datetime | None = None
    run: str | None = None

    def __str__(self) -> str:
        when = f"{self.day:%F}" if self.time is None else f"{self.time:%F %T}"
        return when if self.run is None else f"{when} {self.run}"

    def contradicts(self, other: Acquisition) -> bool:
        """Whether both cannot be of one scene; what only one of them tells is no contradiction."""
        pairs = ((self.day, other.day), (self.time, other.time), (self.run, other.run))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)


def acquired(name: str) -> Acquisition | None:
    """What a file name tells of when it was seen; None where it tells nothing.

    >>> print(acquired("f130503t01p00r09rdn_e"), "|", acquired("AV320230418t211703_003_L1B_RDN"))
    2013-05-03 t01p00r09 | 2023-04-18 21:17:03 003
    """
    try:
        if found := _SECOND.search(name):
            time = datetime.strptime(found[1] + found[2], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            return Acquisition(time.date(), time, found[3] if _AIRBORNE.match(name) else None)
        if found := _CLASSIC.search(name):
            century = "19" if found[1] >= "80" else "20"
            day = datetime.strptime(century + found[1], "%Y%m%d").replace(tzinfo=UTC).date()
            return Acquisition(day, None, (found[2] + found[3]).lower())
    except ValueError:
        pass
    return None


def address_of(path: Path) -> str | None:
    """The address that was taken for a path, as it was typed; None where it is none."""
    text = str(path)
    if found := _ADDRESS.fullmatch(text):
        return f"{found[1]}//{found[2]}"
    return text if text.startswith("/vsi") else None


def plain(name: str) -> str:
    """A band's name without what is spelled differently: case, blanks, hyphens, punctuation.

    >>> plain("To-sun zenith (0 to 90 degrees)")
    'tosunzenith0to90degrees'
    """
    return "".join(character for character in name.casefold() if character.isalnum())


def telling(names: Sequence[str]) -> tuple[str, ...]:
    """The names of bands, unless they only count them, in order: Band 1, Band 2, …; then nothing.

    >>> telling(["obs:Band 1", "obs:Band 2"]), telling(["Band 2", "Band 1"])
    ((), ('Band 2', 'Band 1'))
    """
    words = {re.sub(r"\d+", "", name).strip() for name in names}
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in names if name.strip()]
    says_nothing = len(names) > 1 and len(words - {""}) <= 1 and numbers == sorted(numbers)
    return () if says_nothing else tuple(names)
