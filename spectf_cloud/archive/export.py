"""The ledger as a table for other programs."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spectf_cloud.archive.geoparquet import write_geoparquet
from spectf_cloud.archive.ledger import Ledger, Row
from spectf_cloud.errors import UsageError
from spectf_cloud.outputs import atomic_output, check_output

_COLUMNS = (
    "id", "state", "attempts", "error", "cloud_fraction", "valid_pixels", "lines", "samples", "seconds", "host",
    "finished", "recipe", "radiance", "observation", "mask",
)  # fmt: skip


def export_table(ledger: Ledger, folder: Path, file: Path, overwrite: bool = False) -> int:
    """Write all granules as .csv or .json, the done ones as .parquet (GeoParquet); returns how many.

    Raises `UsageError` for another suffix, `OutputError`.
    """
    if file.suffix not in (".csv", ".json", ".parquet"):
        raise UsageError(f"{file}: tables are .csv, .json or .parquet")
    check_output(file, overwrite=overwrite)
    if file.suffix == ".parquet":
        rows = list(ledger.rows("done"))
        write_geoparquet(rows, file, folder, overwrite)
        return len(rows)
    rows = list(ledger.rows())
    with atomic_output(file, overwrite=overwrite) as temporary:
        if file.suffix == ".json":
            temporary.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
        else:
            with temporary.open("w", newline="", encoding="utf-8") as stream:
                table = csv.DictWriter(stream, _COLUMNS)
                table.writeheader()
                table.writerows(_flat(row) for row in rows)
    return len(rows)


def _flat(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _COLUMNS if hasattr(row, name)}
    mask = row.outputs.get("mask")
    return values | {"seconds": row.seconds.get("whole"), "mask": mask and mask.path}
