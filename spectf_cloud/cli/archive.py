"""``spectf-cloud archive``: what the ledger of a ``deploy-many`` run says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Overwrite, Reporter

app = typer.Typer(help="Results of many scenes.")

Folder = Annotated[Path, typer.Argument(readable=False, metavar="DIR", help="The --out folder of deploy-many.")]


@app.callback()
def _group() -> None:
    """Results of many scenes."""


@app.command("status")
@takes()
def status(folder: Folder, reporter: Reporter) -> None:
    """Show how many granules are done, failed or waiting, how much cloud they have, and what the scenes cost."""
    from spectf_cloud.archive.ledger import read_ledger
    from spectf_cloud.archive.publish import summarise

    with read_ledger(folder) as ledger:
        found = summarise(ledger)
    counts = found.counts
    lines = [
        f"{counts.total:,} granules: {counts.done:,} done, {counts.failed:,} failed, {counts.poison:,} set aside, "
        f"{counts.pending:,} waiting"
    ]
    if counts.cloud_fraction is not None:
        lines.append(f"  {counts.cloud_fraction:.1%} cloud in {counts.valid_pixels:,} pixels")
    lines += [f"  {stage:<10}{seconds:8.2f} s a scene" for stage, seconds in found.seconds_per_scene.items()]
    lines += [f"  {number:,} with {recipe}" for recipe, number in found.recipes.items()]
    reporter.done(asdict(found), *lines)


@app.command("failures")
@takes()
def failures(folder: Folder, reporter: Reporter) -> None:
    """List the granules that could not be masked, and why."""
    from spectf_cloud.archive.ledger import read_ledger

    with read_ledger(folder) as ledger:
        rows = list(ledger.rows("failed", "poison"))
    lines = [f"{row.id}  {row.state}, {row.attempts} attempts: {row.error}" for row in rows]
    fields = [
        {"granule": row.id, "state": row.state, "attempts": row.attempts, "error": row.error, "host": row.host}
        for row in rows
    ]
    reporter.done({"failures": fields}, *(lines or ["no granule failed"]))


@app.command("export")
@takes()
def export(
    folder: Folder,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(readable=False, help="Table: .csv, .json or .parquet; without it, the catalogue is renewed."),
    ] = None,
    overwrite: Overwrite = False,
    reporter: Reporter,
) -> None:
    """Write the ledger as a table, or renew the STAC catalogue, the GeoParquet index and the page to browse.

    A table holds all granules, failed ones with their error. Its paths of outputs are relative to DIR if the table is
    in it, else absolute.
    """
    from spectf_cloud.archive.ledger import read_ledger
    from spectf_cloud.archive.publish import export_table, publish

    with read_ledger(folder) as ledger:
        if file is not None:
            written = export_table(ledger, folder, file, overwrite)
            reporter.done({"file": file, "granules": written}, f"{file}: {written:,} granules")
            return
        catalogue = publish(ledger, folder)
    reporter.done(asdict(catalogue), *(str(path) for path in asdict(catalogue).values() if path))
