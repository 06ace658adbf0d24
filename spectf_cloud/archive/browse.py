"""A page to browse the outputs: map, thumbnails, filters. One HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectf_cloud.archive.ledger import Row
from spectf_cloud.archive.receipts import granule_folder
from spectf_cloud.catalogue.granules import acquired
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.flags import SIMULATED_TAG

_TEMPLATE = Path(__file__).with_name("browse.html")
_PLACE = "/*DATA*/null"
# Eleven metres, enough for a map on a page.
_DECIMALS = 4


def write_page(done: Sequence[Row], failed: Sequence[Row], path: Path, out: Path) -> None:
    """Write the page; thumbnails and masks are linked by paths below ``out``. Raises `OutputError`."""
    content = {
        "done": [_entry(row, out) for row in done],
        "failed": [{"id": row.id, "state": row.state, "error": row.error} for row in failed],
    }
    # A name may hold anything, even "</script>".
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    page = _TEMPLATE.read_text(encoding="utf-8").replace(_PLACE, data)
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _entry(row: Row, out: Path) -> dict[str, Any]:
    """Return a granule's entry; keys are short because an archive has a hundred thousand of them."""
    when = acquired(row.id)
    mark = {"s": 1} if SIMULATED_TAG in row.tags else {}
    return {
        **mark,
        "id": row.id,
        "t": None if when is None else f"{when:%Y-%m-%d %H:%M:%S}",
        "c": None if row.cloud_fraction is None else round(row.cloud_fraction, 4),
        "n": row.valid_pixels,
        "d": granule_folder(out, row.id).relative_to(out).as_posix(),
        "o": {kind: record.path for kind, record in row.outputs.items()},
        "g": _rings(row.footprint),
    }


def _rings(footprint: dict[str, Any] | None) -> list[list[list[float]]]:
    if footprint is None:
        return []
    polygons = footprint["coordinates"] if footprint["type"] == "MultiPolygon" else [footprint["coordinates"]]
    return [[[round(x, _DECIMALS), round(y, _DECIMALS)] for x, y in polygon[0]] for polygon in polygons]
