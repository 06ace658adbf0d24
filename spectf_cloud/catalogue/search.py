"""Bounds of a search in any kind of catalogue: collection, area, time and cloud cover."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time

from spectf_cloud.errors import UsageError

Box = tuple[float, float, float, float]
Interval = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Search:
    """What to look for; None sets no bound.

    `box_deg` is west, south, east, north (WGS 84; west is greater than east across the antimeridian). `interval`
    includes both ends, in UTC; None is an open end. `cloud_cover` is the largest percentage, for items that state one.
    """

    collection: str | None = None
    box_deg: Box | None = None
    interval: Interval | None = None
    cloud_cover: float | None = None

    def admits(self, collection: str | None, box_deg: Box | None, when: datetime | None, cover: float | None) -> bool:
        """Return whether an item is within the bounds; a property that it does not state cannot exclude it."""
        if self.collection is not None and collection is not None and collection != self.collection:
            return False
        if self.box_deg is not None and box_deg is not None and not _overlap(self.box_deg, box_deg):
            return False
        if self.cloud_cover is not None and cover is not None and cover > self.cloud_cover:
            return False
        first, last = self.interval or (None, None)
        return when is None or ((first is None or when >= first) and (last is None or when <= last))


def parse_box(text: str) -> Box:
    """Read ``west,south,east,north`` in degrees. Raises `UsageError`.

    >>> parse_box("170,-10,-170,10")
    (170.0, -10.0, -170.0, 10.0)
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bbox {text!r} is not understood; write west,south,east,north in degrees") from None
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise UsageError(f"--bbox {text!r} is not an area; write west,south,east,north in degrees")
    return west, south, east, north


def parse_interval(text: str) -> Interval:
    """Read ``2024-07-01``, ``2024-07-01/2024-07-31``, ``2024-07-01T10:00Z/..``; days count whole. Raises `UsageError`.

    >>> first, last = parse_interval("2024-07-01")
    >>> str(first), str(last)
    ('2024-07-01 00:00:00+00:00', '2024-07-01 23:59:59.999999+00:00')
    """
    start, slash, end = text.partition("/")
    try:
        first, last = _moment(start, time.min), _moment(end if slash else start, time.max)
    except ValueError:
        raise UsageError(f"--datetime {text!r} is not understood; write 2024-07-01 or 2024-07-01/2024-07-31") from None
    if first and last and first > last:
        raise UsageError(f"--datetime {text!r} ends before it starts; write the earlier time first")
    return first, last


def _moment(text: str, of_day: time) -> datetime | None:
    if text.strip() in ("", ".."):
        return None
    moment = datetime.fromisoformat(text.strip())
    if len(text.strip()) <= len("2024-07-01"):
        moment = datetime.combine(moment, of_day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _overlap(one: Box, other: Box) -> bool:
    if one[1] > other[3] or other[1] > one[3]:
        return False
    return any(a[0] <= b[1] and b[0] <= a[1] for a in _spans(one) for b in _spans(other))


def _spans(box: Box) -> list[tuple[float, float]]:
    """Return ranges of longitude: two across the antimeridian."""
    west, _, east, _ = box
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
