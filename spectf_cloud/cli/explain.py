"""``spectf-cloud explain``: which wavelengths decided one pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.deploy_options import MASKING, ReadTimeout
from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.errors import UsageError
from spectf_cloud.files.reading import READ_TIMEOUT_S, limit_reads
from spectf_cloud.inference.options import MaskOptions

_WEIGHTS = {name: replace(MASKING[name], panel=None) for name in ("weights", "irradiance")}


@takes(_WEIGHTS)
def explain(
    scene: Annotated[Path, typer.Argument(readable=False, help="Radiance (RDN or RAD).")],
    pixel: Annotated[str, typer.Option(metavar="LINE,SAMPLE", help="Pixel, counted from 0.")],
    out: Annotated[Path, typer.Option(readable=False, help="PNG to write.")],
    *,
    obs: Annotated[
        Path | None, typer.Option(readable=False, help="Observation geometry; default: found next to the radiance.")
    ] = None,
    options: MaskOptions,
    overwrite: Overwrite = False,
    read_timeout: ReadTimeout = READ_TIMEOUT_S,
    reporter: Reporter,
) -> None:
    """Show which wavelengths a pixel's decision rests on: attention, max-pool winners, occlusion."""
    line, sample = _parse_pixel(pixel)
    limit_reads(read_timeout)

    from spectf_cloud.dataset import open_scene
    from spectf_cloud.files.atomic import check_output
    from spectf_cloud.files.extras import need
    from spectf_cloud.mapping.explain import explain_pixel

    opened = open_scene(scene, obs)
    check_output(out, overwrite=overwrite, inputs=opened.files, form="PNG")
    need("plots", "the picture of an explanation")
    found = explain_pixel(opened, line, sample, weights=options.weights, irradiance=options.irradiance)
    title = f"{'SIMULATED ' if opened.simulated else ''}{opened.name} at {line},{sample}"
    found.to_png(out, title=title, overwrite=overwrite)
    kind = "cloud" if found.probability > found.threshold else "clear"
    strongest = sorted(range(len(found.occlusion)), key=lambda band: -abs(found.occlusion[band]))[0]
    fields = {
        "probability": found.probability,
        "threshold": found.threshold,
        "wavelength_nm": found.wavelength_nm.tolist(),
        "toa": found.toa.tolist(),
        "attention": found.attention.tolist(),
        "wins": None if found.wins is None else found.wins.tolist(),
        "occlusion": found.occlusion.tolist(),
        "output": out,
    }
    reporter.done(
        fields,
        f"{opened.name} at {line},{sample}: {kind}, probability {found.probability:.3f}; most of it rests on "
        f"{found.wavelength_nm[strongest]:.0f} nm",
        f"  {'picture':<12}{out}",
    )


def _parse_pixel(text: str) -> tuple[int, int]:
    try:
        line, sample = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--pixel {text!r} is not LINE,SAMPLE such as 120,64") from None
    return line, sample
