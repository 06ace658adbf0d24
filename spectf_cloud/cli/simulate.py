"""``spectf-cloud simulate``: an EMIT-format granule with a known truth."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose
from spectf_cloud.errors import UsageError


class PresetChoice(StrEnum):
    """Kinds of scenes as the command line offers them."""

    clear = "clear"
    scattered = "scattered"
    broken = "broken"
    overcast = "overcast"
    cirrus = "cirrus"
    snow = "snow"
    desert = "desert"
    ocean = "ocean"
    mixed = "mixed"


class FormatChoice(StrEnum):
    """File formats as the command line offers them."""

    netcdf = "netcdf"
    envi = "envi"
    both = "both"


def simulate(
    outdir: Annotated[Path, typer.Argument(readable=False, help="Folder to write the granule and its truth to.")],
    lines: Annotated[int | None, typer.Option(min=8, help="Lines (down-track); default: 1280.")] = None,
    samples: Annotated[int | None, typer.Option(min=8, help="Samples (cross-track); default: 1242.")] = None,
    preset: Annotated[PresetChoice, typer.Option(help="Kind of scene.")] = PresetChoice.mixed,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same scene.")] = 0,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time of the first line, such as 2024-07-01T10:30:00Z.")
    ] = None,
    format: Annotated[FormatChoice, typer.Option(help="Files to write.")] = FormatChoice.netcdf,
    compressed: Annotated[bool, typer.Option("--compressed", help="Compress the netCDF files.")] = False,
    significant_bits: Annotated[
        int | None, typer.Option(min=1, max=23, help="Round radiance to so many bits: smaller with --compressed.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            readable=False, metavar="OBS", help="Take size, time, geometry, location and GLT from this EMIT OBS netCDF."
        ),
    ] = None,
    surfaces: Annotated[
        Path | None, typer.Option(readable=False, metavar="FILE", help="Library of surface reflectance: ENVI or CSV.")
    ] = None,
    irradiance: Annotated[
        Path | None, typer.Option(readable=False, help="Solar irradiance .npy; default: the built-in one.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads; they change no byte of the output.")] = 1,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Simulate an EMIT granule with clouds, shadows and truth.

    Writes radiance and observation geometry under delivered names, and truth.tif: optical thickness, phase,
    top height, surface class, shadow and mask. The files say that they are simulated.
    """
    reporter = Reporter(json, quiet, verbose)

    from spectf_cloud.simulation.config import SimulationConfig
    from spectf_cloud.simulation.granule import simulate_granule

    config = SimulationConfig(
        lines=lines,
        samples=samples,
        seed=seed,
        preset=preset.value,
        start=_parse_time(start),
        format=format.value,
        compressed=compressed,
        like=like,
        surfaces=surfaces,
        irradiance=irradiance,
        workers=workers,
        significant_bits=significant_bits,
    )
    with reporter.progress("simulating", "lines") as progress:
        granule = simulate_granule(outdir, config, overwrite=overwrite, progress=progress)
    report = [f"{preset.value} scene, seed {seed}: {granule.cloud_fraction:.1%} cloud"]
    report += [f"  {role:<26}{path}" for role, path in granule.files.items()]
    reporter.done({"cloud_fraction": granule.cloud_fraction, "outputs": granule.files}, *report)


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start {text!r} is not a time; write it as 2024-07-01T10:30:00Z") from None
    return time
