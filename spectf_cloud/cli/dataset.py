"""``spectf-cloud dataset``: files of labelled spectra."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose
from spectf_cloud.cli.simulate import PresetChoice

app = typer.Typer(help="Files of labelled spectra.")


@app.callback()
def _group() -> None:
    """Files of labelled spectra."""


@app.command("simulate")
def simulate(
    out: Annotated[Path, typer.Argument(readable=False, help="HDF5 file to write.")],
    scenes: Annotated[int, typer.Option(min=1, help="Scenes to simulate.")] = 20,
    spectra_per_scene: Annotated[int, typer.Option(min=1, help="Spectra to draw from each scene.")] = 1000,
    preset: Annotated[
        list[PresetChoice] | None, typer.Option(help="Kind of scene; give several to take them in turn.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene; each further one has the next.")] = 0,
    lines: Annotated[int, typer.Option(min=8, help="Lines of a scene.")] = 160,
    samples: Annotated[int, typer.Option(min=8, help="Samples of a scene.")] = 160,
    surfaces: Annotated[
        Path | None, typer.Option(readable=False, metavar="FILE", help="Library of surface reflectance: ENVI or CSV.")
    ] = None,
    irradiance: Annotated[
        Path | None, typer.Option(readable=False, help="Solar irradiance .npy; default: the built-in one.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Simulate labelled TOA spectra in the schema of the published training data.

    Labels: 0 clear, 1 cloud, 2 cloud shadow; the scene of each spectrum is its fid.
    """
    reporter = Reporter(json, quiet, verbose)

    from spectf_cloud.simulation.hdf5 import DatasetConfig, simulate_dataset

    config = DatasetConfig(
        scenes=scenes,
        spectra_per_scene=spectra_per_scene,
        presets=tuple(choice.value for choice in preset or [PresetChoice.mixed]),
        seed=seed,
        lines=lines,
        samples=samples,
        surfaces=surfaces,
        irradiance=irradiance,
    )
    with reporter.progress("simulating", "scenes") as progress:
        report = simulate_dataset(out, config, overwrite=overwrite, progress=progress)
    counts = f"{report.clear:,} clear, {report.cloud:,} cloud, {report.shadow:,} cloud shadow"
    reporter.done(asdict(report), f"{report.path}: {report.spectra:,} spectra, {counts}")
