"""The outputs as one GeoParquet table (version 1.1.0), with footprints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
from shapely.geometry import shape

from spectf_cloud.archive.ledger import Row
from spectf_cloud.archive.receipts import granule_folder, place_in_table
from spectf_cloud.catalogue.granules import acquired
from spectf_cloud.files.atomic import atomic_output

_TYPES = {
    "id": "string",
    "state": "string",
    "error": "string",
    "datetime": "datetime64[ms, UTC]",
    "cloud_fraction": "float64",
    "valid_pixels": "Int64",
    "lines": "Int32",
    "samples": "Int32",
    "weights": "string",
    "threshold": "float64",
    "version": "string",
    "finished": "string",
    "radiance": "string",
    "observation": "string",
}


def write_geoparquet(rows: Sequence[Row], path: Path, out: Path, overwrite: bool = True) -> None:
    """Write one row per granule: id, state, time, cloud, size, provenance, paths of outputs, footprint.

    Paths are relative if the table is in ``out``, the archive's folder, else absolute; ``bbox`` holds the ranges of
    longitude and latitude. Raises `OutputError`.
    """
    kinds = sorted({"mask", *(kind for row in rows for kind in row.outputs)})
    types = _TYPES | dict.fromkeys(kinds, "string")
    records = [_record(row) | _places(row, path, out) for row in rows]
    footprints = [None if row.footprint is None else shape(row.footprint) for row in rows]
    table = pd.DataFrame(records, columns=list(types)).astype(types)
    with atomic_output(path, overwrite=overwrite) as temporary:
        geopandas.GeoDataFrame(table, geometry=footprints, crs="OGC:CRS84").to_parquet(
            temporary, index=False, compression="zstd", schema_version="1.1.0", write_covering_bbox=True
        )


def _record(row: Row) -> dict[str, Any]:
    tags = {"weights": "SPECTF_WEIGHTS", "threshold": "SPECTF_THRESHOLD", "version": "SPECTF_VERSION"}
    values = {name: getattr(row, name) for name in _TYPES if hasattr(row, name)}
    return values | {"datetime": acquired(row.id)} | {name: row.tags.get(tag) for name, tag in tags.items()}


def _places(row: Row, table: Path, out: Path) -> dict[str, str]:
    folder = granule_folder(out, row.id)
    return {kind: place_in_table(folder / record.path, table, out) for kind, record in row.outputs.items()}
