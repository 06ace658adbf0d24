"""Outputs of the ledger: a summary, a table, and the catalogue (STAC, GeoParquet, the page to browse)."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spectf_cloud.archive.browse import write_page
from spectf_cloud.archive.ledger import Counts, Ledger, Row
from spectf_cloud.archive.receipts import granule_folder, place_in_table
from spectf_cloud.errors import UsageError
from spectf_cloud.files.atomic import atomic_output, check_output
from spectf_cloud.files.extras import need

_COLUMNS = (
    "id", "state", "attempts", "error", "cloud_fraction", "valid_pixels", "lines", "samples", "seconds", "host",
    "finished", "recipe", "radiance", "observation", "mask",
)  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """Paths of the catalogue's files."""

    collection: Path
    page: Path
    table: Path


@dataclass(frozen=True)
class Summary:
    """Counts by state, mean wall-clock seconds per scene by stage, and granules by recipe in words."""

    counts: Counts
    seconds_per_scene: Mapping[str, float]
    recipes: Mapping[str, int]


def publish(ledger: Ledger, out: Path) -> Catalogue:
    """Write the catalogue of all finished granules to ``out``. Raises `MissingExtraError`, `OutputError`."""
    need("stac", "a catalogue of the masks")
    from spectf_cloud.archive.geoparquet import write_geoparquet
    from spectf_cloud.archive.stac_items import write_stac

    rows = list(ledger.rows("done"))
    made = Catalogue(write_stac(rows, out), out / "browse.html", out / "index.parquet")
    write_page(rows, list(ledger.rows("failed", "poison")), made.page, out)
    write_geoparquet(rows, made.table, out)
    return made


def export_table(ledger: Ledger, folder: Path, file: Path, overwrite: bool = False) -> int:
    """Write all granules, done or not, as .csv, .json or .parquet (GeoParquet); return their number.

    `place_in_table` gives the paths of outputs. Raises `UsageError` for another suffix, `MissingExtraError` for
    GeoParquet without geopandas, `OutputError`.
    """
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".json", ".parquet"):
        raise UsageError(f"{file}: a table must end in .csv, .json or .parquet")
    check_output(file, overwrite=overwrite)
    rows = list(ledger.rows())
    if suffix == ".parquet":
        need("stac", "GeoParquet")
        from spectf_cloud.archive.geoparquet import write_geoparquet

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


def summarise(ledger: Ledger) -> Summary:
    """Return a summary of the ledger."""
    seconds: Counter[str] = Counter()
    by_recipe: Counter[str] = Counter()
    for row in ledger.rows("done"):
        seconds.update(row.seconds)
        by_recipe[row.recipe or ""] += 1
    known = ledger.recipes()
    words: Counter[str] = Counter()
    for key, number in by_recipe.items():
        recipe = known.get(key, {})
        words[
            f"{recipe.get('weights')} above {recipe.get('threshold')}, {recipe.get('fidelity')}, "
            f"spectf-cloud {recipe.get('version')} (recipe {key})"
        ] += number
    done = by_recipe.total()
    return Summary(ledger.counts(), {stage: total / done for stage, total in seconds.items()}, dict(words))


def _flat(row: Row, mask: str | None) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _COLUMNS if hasattr(row, name)}
    return values | {"seconds": row.seconds.get("whole"), "mask": mask}


def _mask(row: Row, file: Path, folder: Path) -> str | None:
    if "mask" not in row.outputs:
        return None
    return place_in_table(granule_folder(folder, row.id) / row.outputs["mask"].path, file, folder)
