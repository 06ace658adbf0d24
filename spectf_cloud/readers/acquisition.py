"""When a scene was seen, as file names tell it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

# EMIT_L1B_RAD_001_20240203T040506_…, emit20240203t040506_…, ang20170323t202244_…, AV320230418t211703_000_….
_SECOND = re.compile(r"(?:(?<!\d)|(?<=av\d))(\d{8})t(\d{6})(?!\d)(?:_(\d{3})(?=_))?", re.IGNORECASE)
# AVIRIS Classic: f130503t01p00r09rdn_e, f970620t01p02_r03_…: date, flight, part and run.
_CLASSIC = re.compile(r"(?<![a-z0-9])f(\d{6})(t\d{2}p\d{2})_?(r\d{2})(?!\d)", re.IGNORECASE)
_AIRBORNE = re.compile(r"(?:ang|av\d)\d{8}t", re.IGNORECASE)


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
