"""``spectf-cloud deploy-many``: many scenes to cloud masks, a ledger and a catalogue."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spectf_cloud.archive.job import ArchiveJob
from spectf_cloud.catalogue.search import parse_box, parse_interval
from spectf_cloud.cli.archive_progress import shown
from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.deploy_options import MASKING, MODEL, PRODUCTS
from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Reporter
from spectf_cloud.errors import UsageError
from spectf_cloud.files.resources import irradiance_file

if TYPE_CHECKING:
    from spectf_cloud.archive.run import ArchiveReport

_SEARCH, _ENGINE, _RERUN = "Search", "Engine", "Rerunning"


def _for_all_workers(weights: str) -> str:
    """Return a path as absolute, so that it holds on every worker; names stay names."""
    return str(Path(weights).resolve()) if Path(weights).is_file() else weights


def _resource(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        return name, float(amount)
    except ValueError:
        raise UsageError(f"--resource {text!r} is not understood; write for example GPU=1") from None


_OPTIONS = {
    "out": Shown("Folder of outputs, ledger and catalogue."),
    "sources": Shown(
        "Files, folders, patterns, lists (.txt, .csv, .tsv, .parquet), STAC catalogues (.json) or APIs.",
        name="inputs", metavar="[INPUTS]...", default=(), argument=True,
    ),
    "trust_input": replace(MASKING["trust_input"], panel=None),
    "collection": Shown("STAC collection; without INPUTS, a search at NASA (EMITL1BRAD).", _SEARCH),
    "box_deg": Shown("Area, degrees.", _SEARCH, name="bbox", metavar="W,S,E,N", type=str, make=parse_box),
    "interval": Shown(
        "2024-07-01 or 2024-07-01/2024-07-31.", _SEARCH,
        name="datetime", metavar="TIME[/TIME]", type=str, make=parse_interval,
    ),
    "cloud_cover": Shown("Largest cloud percentage that the catalogue states.", _SEARCH, min=0, max=100),
    "probability": Shown("Also probability.", PRODUCTS, name="proba"),
    "ortho": Shown("Also orthorectified masks, where there is a GLT.", PRODUCTS),
    "netcdf": Shown("Also EMIT L2A-mask-style files.", PRODUCTS),
    "quicklook": Shown("Also large pictures.", PRODUCTS),
    **{name: row for name, row in MASKING.items() if name != "trust_input"},
    "weights": replace(MASKING["weights"], make=_for_all_workers),
    "irradiance": replace(MASKING["irradiance"], make=lambda typed: irradiance_file(typed).resolve()),
    "arch_spec": replace(MASKING["arch_spec"], make=Path.resolve),
    "device": replace(MASKING["device"], help="-1 or cpu, a GPU number, mps, auto; of each worker."),
    "memory_limit": Shown("Bound for the memory of each worker, e.g. 1.5GB.", MODEL, type=str),
    "engine": Shown("dask, or serial: one scene after another.", _ENGINE),
    "scheduler": Shown("A running dask cluster: tcp://… or its scheduler file.", _ENGINE, metavar="ADDRESS|FILE"),
    "workers": Shown("Processes on this machine; default: as many as fit.", _ENGINE, min=1),
    "resources": Shown(
        "What a scene takes of a worker, e.g. GPU=1.", _ENGINE,
        name="resource", metavar="NAME=N", type=list[str], make=_resource,
    ),
    "retries": Shown("Retries after transient failures (network, disk, memory).", _ENGINE, min=0),
    "time_limit_s": Shown("Seconds a scene may take on a worker (dask).", _ENGINE, name="time_limit", min=1),
    "scratch": Shown("Folder for fetched granules, on each worker.", _ENGINE),
    "verify": Shown("Reopen finished outputs; redo broken ones.", _RERUN),
    "keep_stale": Shown("Accept outputs of other weights, options or code.", _RERUN),
    "retry_poison": Shown("Retry scenes that were set aside.", _RERUN),
}  # fmt: skip


@takes(_OPTIONS)
def deploy_many(job: ArchiveJob, *, config: ConfigFile = None, reporter: Reporter) -> None:
    """Mask the clouds of many scenes; rerun to continue or to add scenes.

    spectf-cloud deploy-many granules/ --out masks masks what is missing, failed or stale, and keeps a ledger
    (spectf-cloud archive status masks) and a catalogue (masks/browse.html) of all finished scenes.
    """
    from spectf_cloud.archive.run import run_archive

    with shown(reporter) as progress:
        report = run_archive(job, progress)
    reporter.done(asdict(report), *_in_words(report))
    if report.failed + report.set_aside:
        raise typer.Exit(1)


def _in_words(report: ArchiveReport) -> list[str]:
    lines = [f"{report.granules:,} granules: {report.masked:,} masked now, {report.unchanged:,} done before"]
    if report.cloud_fraction is not None:
        lines[0] += f"; {report.cloud_fraction:.1%} cloud in those masked"
    if report.repeated:
        lines.append(f"  {len(report.repeated):,} files left out: their granule was already given")
    if not_done := report.failed + report.set_aside:
        lines.append(f"  {not_done:,} failed or set aside: spectf-cloud archive failures {report.out} says why")
    return [*lines, f"  browse      {report.out / 'browse.html'}"]
