"""Everything that is derived from the ledger for others to use: STAC, GeoParquet and the page to browse."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from spectf_cloud.archive.browse import write_page
from spectf_cloud.archive.geoparquet import write_geoparquet
from spectf_cloud.archive.ledger import Ledger
from spectf_cloud.archive.stac_items import write_stac
from spectf_cloud.errors import MissingExtraError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Catalogue:
    """Paths of what was written; `table` is None without pyarrow."""

    collection: Path
    page: Path
    table: Path | None


def publish(ledger: Ledger, out: Path) -> Catalogue:
    """Write the catalogue of all granules that are done into ``out``. Raises `OutputError`."""
    rows = list(ledger.rows("done"))
    collection = write_stac(rows, out)
    page = out / "browse.html"
    write_page(rows, list(ledger.rows("failed", "poison")), page, out)
    table: Path | None = out / "index.parquet"
    try:
        write_geoparquet(rows, out / "index.parquet", out)
    except MissingExtraError as reason:
        logger.info("no GeoParquet index: %s", reason)
        table = None
    return Catalogue(collection, page, table)
