"""``spectf-cloud dataset``: files of labelled spectra."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.cli.simulate import SIMULATING, PresetChoice
from spectf_cloud.cli.spectra_options import TrustInput
from spectf_cloud.errors import UsageError
from spectf_cloud.simulation.config import DatasetConfig

app = typer.Typer(help="Files of labelled spectra.")


@app.callback()
def _group() -> None:
    """Files of labelled spectra."""


_SIMULATING = {
    "scenes": Shown("Scenes to simulate.", min=1),
    "spectra_per_scene": Shown("Spectra to draw from each scene.", min=1),
    "presets": Shown("Kind of scene; give several to use them in turn.", name="preset", type=list[PresetChoice]),
    "seed": Shown("Seed of the first scene; later scenes count up from it.", min=0),
    "lines": Shown("Lines of a scene.", min=8),
    "samples": Shown("Samples of a scene.", min=8),
    "surfaces": SIMULATING["surfaces"],
    "irradiance": SIMULATING["irradiance"],
}


@app.command("simulate")
@takes(_SIMULATING)
def simulate(
    out: Annotated[Path, typer.Argument(readable=False, help="HDF5 file to write.")],
    config: DatasetConfig,
    *,
    overwrite: Overwrite = False,
    reporter: Reporter,
) -> None:
    """Simulate labelled TOA spectra in the schema of the published training data.

    Labels: 0 clear, 1 cloud, 2 cloud shadow; the scene of each spectrum is its fid.
    """
    from spectf_cloud.simulation.labelled_spectra import simulate_dataset

    with reporter.progress("simulating", "scenes") as progress:
        report = simulate_dataset(out, config, overwrite=overwrite, progress=progress)
    counts = f"{report.clear:,} clear, {report.cloud:,} cloud, {report.shadow:,} cloud shadow"
    reporter.done(asdict(report), f"{report.path}: {report.spectra:,} spectra, {counts}")


@app.command("info")
@takes()
def info(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.")],
    *,
    plot: Annotated[Path | None, typer.Option(help="PNG of typical spectra to write.")] = None,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    reporter: Reporter,
) -> None:
    """Check files of labelled spectra; count labels in total and by scene."""
    from spectf_cloud.data.spectra import open_spectra
    from spectf_cloud.data.spectra_check import doubts_of_labels, settle
    from spectf_cloud.data.spectra_info import describe, plot_spectra
    from spectf_cloud.files.atomic import check_output
    from spectf_cloud.files.extras import need

    if plot is not None:
        check_output(plot, overwrite=overwrite, inputs=dataset, form="PNG")
        need("plots", "--plot")
    with reporter.progress("reading", "spectra") as progress:
        spectra = open_spectra(dataset, progress=progress, trust=trust_input)
    settle(doubts_of_labels(f"{', '.join(map(str, dataset))}: the files", spectra.labels), trust=True)
    found = describe(spectra)
    if plot is not None:
        plot_spectra(spectra, plot)
    lines = [
        f"{found.spectra:,} spectra of {len(found.scenes):,} scenes, {found.bands} bands from {found.first_nm:.0f} to "
        f"{found.last_nm:.0f} nm: {found.clear:,} clear, {found.cloud:,} cloud, {found.shadow:,} cloud shadow",
        f"  solar irradiance: {found.irradiance or 'unknown; set it when training, with --irradiance'}",
        f"  {'scene':<24}{'clear':>10}{'cloud':>10}{'shadow':>10}",
    ]
    lines += [f"  {fid:<24}{clear:>10,}{cloud:>10,}{shadow:>10,}" for fid, clear, cloud, shadow in found.scenes]
    reporter.done(asdict(found), *lines)


@app.command("split")
@takes()
def split(
    dataset: Annotated[list[Path] | None, typer.Argument(help="HDF5 files of labelled spectra.")] = None,
    *,
    train_csv: Annotated[Path, typer.Option(help="List of training scenes to write.")] = Path("train.csv"),
    test_csv: Annotated[Path, typer.Option(help="List of test scenes to write.")] = Path("test.csv"),
    published: Annotated[
        bool, typer.Option("--published", help="Write the published split instead of a random one.")
    ] = False,
    test_fraction: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Share of the scenes to test on, in a random split.")
    ] = 0.15,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same random split.")] = 42,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    reporter: Reporter,
) -> None:
    """Split the scenes at random into training and test, as lists for train and cloud-eval.

    With --published, write the two lists of the published training data, downloaded and checked by SHA-256.
    """
    from spectf_cloud.data.spectra import open_spectra
    from spectf_cloud.data.split import draw_scenes
    from spectf_cloud.files.atomic import atomic_output, check_output
    from spectf_cloud.files.releases import PUBLISHED_SPLIT, fetch

    if published == bool(dataset):
        raise UsageError("give HDF5 files of labelled spectra to split, or --published without files")
    for path in (train_csv, test_csv):
        check_output(path, overwrite=overwrite, inputs=dataset or (), form="text")
    if dataset:
        train, test = draw_scenes(open_spectra(dataset, trust=trust_input).fids, test_fraction, seed)
    else:
        train, test = (fetch(file).read_text(encoding="utf-8").split() for file in PUBLISHED_SPLIT)
    for path, fids in ((train_csv, train), (test_csv, test)):
        with atomic_output(path, overwrite=overwrite) as temporary:
            temporary.write_text("".join(f"{fid}\n" for fid in fids), encoding="utf-8")
    counts = {"train": len(train), "test": len(test)}
    reporter.done(counts, f"{train_csv}: {len(train)} scenes", f"{test_csv}: {len(test)} scenes")


@app.command("fetch")
@takes()
def fetch(
    doi: Annotated[str, typer.Argument(help="DOI of a Zenodo record, such as 10.5281/zenodo.14607937.")],
    *,
    outdir: Annotated[Path, typer.Option(help="Folder to download to.")] = Path("datasets"),
    name: Annotated[list[str] | None, typer.Option(help="Only this file; can be given several times.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Only list the files.")] = False,
    reporter: Reporter,
) -> None:
    """Download labelled spectra by DOI; an interrupted download resumes where it stopped."""
    from spectf_cloud.files.download import fetch_file, list_record

    files = list_record(doi)
    unknown = sorted(set(name or ()) - {file.name for file in files})
    if unknown:
        raise UsageError(f"{doi} has no file {unknown[0]}; it has {', '.join(file.name for file in files)}")
    wanted = [file for file in files if not name or file.name in name]
    if listing:
        lines = [f"{file.name:<40}{file.size / 2**30:8.2f} GiB  {file.checksum}" for file in wanted]
        reporter.done({"files": [asdict(file) for file in wanted]}, *lines)
        return
    paths = []
    for file in wanted:
        with reporter.progress(file.name, "bytes") as progress:
            paths.append(fetch_file(file, outdir, progress))
    reporter.done({"files": paths}, *(str(path) for path in paths))
