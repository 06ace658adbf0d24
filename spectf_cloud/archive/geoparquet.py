"""The outputs as one GeoParquet table (version 1.1.0), with footprints."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectf_cloud.archive.ledger import Row
from spectf_cloud.archive.receipts import granule_folder, place_in_table
from spectf_cloud.catalogue.granules import acquired
from spectf_cloud.files import extras
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.footprint import bounds

_GEOMETRY, _BOX = "geometry", "bbox"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_WKB_POLYGON, _WKB_MULTIPOLYGON = 3, 6


def write_geoparquet(rows: Sequence[Row], path: Path, out: Path, overwrite: bool = True) -> None:
    """Write one row a granule: id, state, time, cloud, size, provenance, paths of outputs, footprint.

    Paths count from the table's folder where it lies in ``out``, the archive's, and are absolute elsewhere. Raises
    `MissingExtraError` without pyarrow, `OutputError`.
    """
    extras.need("pyarrow", "GeoParquet")
    import pyarrow as pa
    from pyarrow import parquet

    kinds = sorted({"mask", *(kind for row in rows for kind in row.outputs)})
    boxes = [None if row.footprint is None else bounds(row.footprint) for row in rows]
    columns: dict[str, Any] = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "state": pa.array([row.state for row in rows], pa.string()),
        "error": pa.array([row.error for row in rows], pa.string()),
        "datetime": pa.array([acquired(row.id) for row in rows], pa.timestamp("ms", tz="UTC")),
        "cloud_fraction": pa.array([row.cloud_fraction for row in rows], pa.float64()),
        "valid_pixels": pa.array([row.valid_pixels for row in rows], pa.int64()),
        "lines": pa.array([row.lines for row in rows], pa.int32()),
        "samples": pa.array([row.samples for row in rows], pa.int32()),
        "weights": pa.array([row.tags.get("SPECTF_WEIGHTS") for row in rows], pa.string()),
        "threshold": pa.array([_number(row.tags.get("SPECTF_THRESHOLD")) for row in rows], pa.float64()),
        "version": pa.array([row.tags.get("SPECTF_VERSION") for row in rows], pa.string()),
        "finished": pa.array([row.finished for row in rows], pa.string()),
        "radiance": pa.array([row.radiance for row in rows], pa.string()),
        "observation": pa.array([row.observation for row in rows], pa.string()),
    }
    for kind in kinds:
        places = [_place(row, kind, path, out) for row in rows]
        columns[kind] = pa.array(places, pa.string())
    sides = pa.struct([(side, pa.float64()) for side in _SIDES])
    columns[_BOX] = pa.array([box and dict(zip(_SIDES, box, strict=True)) for box in boxes], sides)
    columns[_GEOMETRY] = pa.array([row.footprint and to_wkb(row.footprint) for row in rows], pa.binary())
    table = pa.table(columns).replace_schema_metadata({"geo": json.dumps(_metadata(rows, boxes))})
    with atomic_output(path, overwrite=overwrite) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def to_wkb(geometry: dict[str, Any]) -> bytes:
    """A GeoJSON Polygon or MultiPolygon as little-endian well-known binary (OGC 06-103r4, 8.2)."""
    if geometry["type"] == "Polygon":
        rings = [
            struct.pack("<I", len(ring)) + b"".join(struct.pack("<2d", *point) for point in ring)
            for ring in geometry["coordinates"]
        ]
        return struct.pack("<BII", 1, _WKB_POLYGON, len(rings)) + b"".join(rings)
    parts = [to_wkb({"type": "Polygon", "coordinates": rings}) for rings in geometry["coordinates"]]
    return struct.pack("<BII", 1, _WKB_MULTIPOLYGON, len(parts)) + b"".join(parts)


def _place(row: Row, kind: str, table: Path, out: Path) -> str | None:
    if kind not in row.outputs:
        return None
    return place_in_table(granule_folder(out, row.id) / row.outputs[kind].path, table, out)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _metadata(rows: Sequence[Row], boxes: Sequence[list[float] | None]) -> dict[str, Any]:
    """The ``geo`` key: no ``crs`` means OGC:CRS84, longitude and latitude on WGS 84."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted({row.footprint["type"] for row in rows if row.footprint is not None}),
        "covering": {"bbox": {side: [_BOX, side] for side in _SIDES}},
    }
    known = [box for box in boxes if box is not None]
    if known and all(box[0] <= box[2] for box in known):
        corners = list(zip(*known, strict=True))
        column["bbox"] = [min(corners[0]), min(corners[1]), max(corners[2]), max(corners[3])]
    return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}
