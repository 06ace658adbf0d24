"""``spectf-cloud threshold``: a new mask from a probability file, without inference."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Overwrite, Reporter


@takes()
def threshold(
    probability: Annotated[
        Path, typer.Argument(readable=False, metavar="PROB", help="File that deploy-pt wrote with --proba or --netcdf.")
    ],
    out: Annotated[Path, typer.Argument(readable=False, help="Mask GeoTIFF to write.")],
    *,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Cloud above this probability; default: the threshold noted in PROB."),
    ] = None,
    buffer: Annotated[int, typer.Option(min=0, help="Also mask this many pixels around cloud.")] = 0,
    overwrite: Overwrite = False,
    reporter: Reporter,
) -> None:
    """Mask again with another threshold or a buffer, without inference."""
    from spectf_cloud.products.rethreshold import rethreshold

    report = rethreshold(probability, out, threshold, buffer, overwrite)
    cloud = "no data" if report.cloud_fraction is None else f"{report.cloud_fraction:.1%} cloud"
    reporter.done(
        asdict(report),
        f"{report.probability.name}: {cloud} above {report.threshold:g} with a buffer of {buffer} pixels",
        f"  {'mask':<12}{report.out}",
    )
