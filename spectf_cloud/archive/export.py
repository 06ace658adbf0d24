"""The ledger as a table for other programs."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spectf_cloud.archive.geoparquet import write_geoparquet
from spectf_cloud.archive.ledger import Ledger, Row
from spectf_cloud.archive.receipts import granule_folder, place_in_table
from spectf_cloud.errors import UsageError
from spectf_cloud.files.atomic import atomic_output, check_output

_COLUMNS = (
    "id", "state", "attempts", "error", "cloud_fraction", "valid_pixels", "lines", "samples", "seconds", "host",
    "finished", "recipe", "radiance", "observation", "mask",
)  # fmt: skip


def export_table(ledger: Ledger, folder: Path, file: Path, overwrite: bool = False) -> int:
    """Write all granules, whatever came of them, as .csv, .json or .parquet (GeoParquet); returns how many.

    Paths of outputs are as of `place_in_table`. Raises `UsageError` for another suffix, `OutputError`.
    """
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".json", ".parquet"):
        raise UsageError(f"{file}: tables are .csv, .json or .parquet")
    check_output(file, overwrite=overwrite)
    rows = list(ledger.rows())
    if suffix == ".parquet":
        write_geoparquet(rows, file, folder, overwrite)
        return len(rows)
    with atomic_output(file, overwrite=overwrite) as temporary:
        if suffix == ".json":
            entries = [asdict(row) | {"mask": _mask(row, file, folder)} for row in rows]
            temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        else:
            with temporary.open("w", newline="", encoding="utf-8") as stream:
                table = csv.DictWriter(stream, _COLUMNS)
                table.writeheader()
                table.writerows(_flat(row, _mask(row, file, folder)) for row in rows)
    return len(rows)


def _flat(row: Row, mask: str | None) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _COLUMNS if hasattr(row, name)}
    return values | {"seconds": row.seconds.get("whole"), "mask": mask}


def _mask(row: Row, file: Path, folder: Path) -> str | None:
    if "mask" not in row.outputs:
        return None
    return place_in_table(granule_folder(folder, row.id) / row.outputs["mask"].path, file, folder)
