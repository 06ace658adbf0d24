"""``spectf-cloud deploy-many``: many scenes to cloud masks, a ledger and a catalogue."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.archive_progress import shown
from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.deploy_options import FidelityChoice
from spectf_cloud.cli.reporting import Json, Quiet, Reporter, Verbose
from spectf_cloud.errors import UsageError

_SEARCH, _PRODUCTS, _MODEL, _ENGINE, _RERUN = "Search", "Products", "Model", "Engine", "Running again"


class EngineChoice(StrEnum):
    """Engines as the command line offers them."""

    dask = "dask"
    serial = "serial"


def deploy_many(
    out: Annotated[Path, typer.Option(readable=False, help="Folder of outputs, ledger and catalogue.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUTS]...",
            help="Files, folders, patterns, lists (.txt, .csv, .tsv, .parquet), STAC catalogues (.json) or APIs.",
        ),
    ] = None,
    trust_input: Annotated[
        bool, typer.Option("--trust-input", help="As for deploy-pt: mask even what cannot be right.")
    ] = False,
    collection: Annotated[
        str | None,
        typer.Option(help="STAC collection; without INPUTS, a search at NASA (EMITL1BRAD).", rich_help_panel=_SEARCH),
    ] = None,
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Area, degrees.", rich_help_panel=_SEARCH)] = None,
    datetime: Annotated[
        str | None,
        typer.Option(metavar="TIME[/TIME]", help="2024-07-01 or 2024-07-01/2024-07-31.", rich_help_panel=_SEARCH),
    ] = None,
    cloud_cover: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Largest percentage that the catalogue states.", rich_help_panel=_SEARCH),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Also probability.", rich_help_panel=_PRODUCTS)] = False,
    ortho: Annotated[
        bool,
        typer.Option("--ortho", help="Also orthorectified masks, where there is a GLT.", rich_help_panel=_PRODUCTS),
    ] = False,
    netcdf: Annotated[
        bool, typer.Option("--netcdf", help="Also EMIT L2A-mask-style files.", rich_help_panel=_PRODUCTS)
    ] = False,
    quicklook: Annotated[
        bool, typer.Option("--quicklook", help="Also large pictures.", rich_help_panel=_PRODUCTS)
    ] = False,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="As for deploy-pt.", rich_help_panel=_MODEL)
    ] = None,
    weights: Annotated[str, typer.Option(help="As for deploy-pt.", rich_help_panel=_MODEL)] = "builtin",
    irradiance: Annotated[
        Path | None, typer.Option(readable=False, help="As for deploy-pt.", rich_help_panel=_MODEL)
    ] = None,
    arch_spec: Annotated[
        Path | None, typer.Option(readable=False, help="As for deploy-pt.", rich_help_panel=_MODEL)
    ] = None,
    keep_bands: Annotated[bool, typer.Option("--keep-bands", help="Drop no bands.", rich_help_panel=_MODEL)] = False,
    device: Annotated[str, typer.Option(help="As for deploy-pt; of each worker.", rich_help_panel=_MODEL)] = "-1",
    fidelity: Annotated[
        FidelityChoice, typer.Option(help="As for deploy-pt.", rich_help_panel=_MODEL)
    ] = FidelityChoice.faithful,
    memory_limit: Annotated[
        str | None, typer.Option(help="Bound for the memory of each worker, e.g. 1.5GB.", rich_help_panel=_MODEL)
    ] = None,
    engine: Annotated[
        EngineChoice, typer.Option(help="dask, or serial: one scene after the other.", rich_help_panel=_ENGINE)
    ] = EngineChoice.dask,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|FILE", help="A dask cluster that runs: tcp://… or its file.", rich_help_panel=_ENGINE
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; default: all it can.", rich_help_panel=_ENGINE)
    ] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=N", help="What a scene takes of a worker, as GPU=1.", rich_help_panel=_ENGINE),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="Further tries of a scene that failed by chance.", rich_help_panel=_ENGINE)
    ] = 2,
    time_limit: Annotated[
        float,
        typer.Option(min=1, help="Seconds a scene may take on a worker (dask).", rich_help_panel=_ENGINE),
    ] = 7200.0,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder for fetched granules, on each worker.", rich_help_panel=_ENGINE)
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Reopen outputs that are done; redo broken ones.", rich_help_panel=_RERUN)
    ] = False,
    keep_stale: Annotated[
        bool,
        typer.Option("--keep-stale", help="Accept outputs of other weights, options or code.", rich_help_panel=_RERUN),
    ] = False,
    retry_poison: Annotated[
        bool, typer.Option("--retry-poison", help="Try scenes again that were set aside.", rich_help_panel=_RERUN)
    ] = False,
    config: ConfigFile = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Mask the clouds of many scenes; run again to go on or to add.

    spectf-cloud deploy-many granules/ --out masks masks what is missing, failed or stale, and keeps a ledger
    (spectf-cloud archive status masks) and a catalogue (masks/browse.html) of all that is done.
    """
    reporter = Reporter(json, quiet, verbose)

    from spectf_cloud.archive.fingerprint import Settings
    from spectf_cloud.archive.run import ArchiveJob, run_archive
    from spectf_cloud.catalogue.search import Search, parse_box, parse_interval

    job = ArchiveJob(
        sources=tuple(inputs or ()),
        out=out,
        settings=Settings(
            weights=_for_all_workers(weights),
            irradiance=irradiance and irradiance.resolve(),
            arch_spec=arch_spec and arch_spec.resolve(),
            threshold=threshold,
            device=device,
            fidelity=fidelity.value,
            keep_bands=keep_bands,
            probability=proba,
            ortho=ortho,
            netcdf=netcdf,
            quicklook=quicklook,
            memory_limit=memory_limit,
            trust_input=trust_input,
        ),
        search=Search(
            collection,
            None if bbox is None else parse_box(bbox),
            None if datetime is None else parse_interval(datetime),
            cloud_cover,
        ),
        engine=engine.value,
        scheduler=scheduler,
        workers=workers,
        resources=tuple(_resource(text) for text in resource or ()),
        retries=retries,
        verify=verify,
        keep_stale=keep_stale,
        retry_poison=retry_poison,
        time_limit_s=time_limit,
        scratch=scratch,
    )
    with shown(reporter) as progress:
        report = run_archive(job, progress)
    lines = [f"{report.granules:,} granules: {report.masked:,} masked now, {report.unchanged:,} done before"]
    if report.cloud_fraction is not None:
        lines[0] += f"; {report.cloud_fraction:.1%} cloud in those masked"
    if report.repeated:
        lines.append(f"  {len(report.repeated):,} files left out: their granule was given already")
    not_done = report.failed + report.set_aside
    if not_done:
        lines.append(f"  {not_done:,} failed or set aside: spectf-cloud archive failures {out} says why")
    lines.append(f"  browse      {out / 'browse.html'}")
    reporter.done(asdict(report), *lines)
    if not_done:
        raise typer.Exit(1)


def _for_all_workers(weights: str) -> str:
    """A path that holds wherever a worker was started; names stay names."""
    return str(Path(weights).resolve()) if Path(weights).is_file() else weights


def _resource(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        return name, float(amount)
    except ValueError:
        raise UsageError(f"--resource {text!r} is not understood; write for example GPU=1") from None
