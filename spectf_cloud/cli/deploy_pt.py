"""``spectf-cloud deploy-pt``: one scene to a cloud mask."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.config_file import ConfigFile, stronger
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose
from spectf_cloud.errors import UsageError
from spectf_cloud.stopwatch import STARTED

_ENV = "SPECTF_DEPLOY_"
_INPUTS, _PRODUCTS, _MODEL = "Inputs", "Products", "Model"


class FidelityChoice(StrEnum):
    """Tiers as the command line offers them."""

    exact = "exact"
    faithful = "faithful"
    fast = "fast"


def deploy_pt(
    context: typer.Context,
    outfp: Annotated[
        Path | None, typer.Argument(readable=False, help="Mask GeoTIFF to write.", envvar=f"{_ENV}OUTFP")
    ] = None,
    obsfp: Annotated[
        Path | None, typer.Argument(readable=False, help="Observation geometry (OBS).", envvar=f"{_ENV}OBSFP")
    ] = None,
    rdnfp: Annotated[
        Path | None, typer.Argument(readable=False, help="Radiance (RDN or RAD).", envvar=f"{_ENV}RDNFP")
    ] = None,
    out: Annotated[Path | None, typer.Option(readable=False, help="OUTFP by name.", rich_help_panel=_INPUTS)] = None,
    obs: Annotated[
        Path | None,
        typer.Option(readable=False, help="OBSFP by name; else found beside the radiance.", rich_help_panel=_INPUTS),
    ] = None,
    rdn: Annotated[Path | None, typer.Option(readable=False, help="RDNFP by name.", rich_help_panel=_INPUTS)] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Also write OUT_prob.tif.", envvar=f"{_ENV}PROBA", rich_help_panel=_PRODUCTS)
    ] = False,
    ortho: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Orthorectified mask, a COG.", envvar=f"{_ENV}ORTHO", rich_help_panel=_PRODUCTS
        ),
    ] = None,
    netcdf: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="EMIT L2A-mask-style file.", envvar=f"{_ENV}NETCDF", rich_help_panel=_PRODUCTS
        ),
    ] = None,
    quicklook: Annotated[
        Path | None,
        typer.Option(readable=False, help="PNG to look at.", envvar=f"{_ENV}QUICKLOOK", rich_help_panel=_PRODUCTS),
    ] = None,
    overwrite: Overwrite = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Cloud above this probability; default: the weights' own.",
            envvar=f"{_ENV}THRESHOLD",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Path, 'builtin', 'official:v0.1.0' or 'official:v0.0.1'.",
            envvar=f"{_ENV}WEIGHTS",
            rich_help_panel=_MODEL,
        ),
    ] = "builtin",
    irradiance: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Solar irradiance .npy; default: the weights' own.",
            envvar=f"{_ENV}IRRADIANCE",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    arch_spec: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="YAML of architecture and dropped bands.",
            envvar=f"{_ENV}ARCH_SPEC",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    keep_bands: Annotated[
        bool, typer.Option("--keep-bands", help="Drop no bands.", envvar=f"{_ENV}KEEP_BANDS", rich_help_panel=_MODEL)
    ] = False,
    device: Annotated[
        str,
        typer.Option(help="-1 or cpu, a GPU number, mps, auto.", envvar=f"{_ENV}DEVICE", rich_help_panel=_MODEL),
    ] = "-1",
    fidelity: Annotated[
        FidelityChoice,
        typer.Option(help="Loosest agreement with float32 allowed.", envvar=f"{_ENV}FIDELITY", rich_help_panel=_MODEL),
    ] = FidelityChoice.faithful,
    memory_limit: Annotated[
        str | None, typer.Option(help="Bound for resident memory, e.g. 1.5GB.", envvar=f"{_ENV}MEMORY_LIMIT")
    ] = None,
    config: ConfigFile = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Mask the clouds of one scene.

    spectf-cloud deploy-pt mask.tif EMIT_L1B_RAD_….nc finds the OBS file beside the radiance;
    spectf-cloud deploy-pt OUT.tif OBS.hdr RDN.hdr --proba is the published call.
    """
    reporter = Reporter(json, quiet, verbose)
    mask_to = stronger(context, "outfp", "out")
    observation = stronger(context, "obsfp", "obs")
    radiance = stronger(context, "rdnfp", "rdn")
    # Two files given in order are OUT and the radiance; its OBS is found by name.
    if radiance is None:
        observation, radiance = (None, obsfp) if obs is None else (obs, obsfp)
    if mask_to is None or radiance is None:
        raise UsageError("name the mask to write and the radiance: spectf-cloud deploy-pt OUTFP [OBSFP] RDNFP")

    from spectf_cloud.deploy import DeployJob, deploy

    job = DeployJob(
        out=mask_to,
        radiance=radiance,
        observation=observation,
        weights=weights,
        irradiance=irradiance,
        arch_spec=arch_spec,
        threshold=threshold,
        device=device,
        fidelity=fidelity.value,
        keep_bands=keep_bands,
        probability=proba,
        ortho=ortho,
        netcdf=netcdf,
        quicklook=quicklook,
        config=config,
        overwrite=overwrite,
        memory_limit=memory_limit,
    )
    with reporter.progress("masking", "pixels") as progress:
        report = deploy(job, progress, began=STARTED)
    cloud = "no data" if report.cloud_fraction is None else f"{report.cloud_fraction:.1%} cloud"
    lines = [f"{report.scene}: {cloud} above {report.threshold:g} in {report.valid_pixels:,} pixels"]
    lines += [f"  {kind:<12}{path}" for kind, path in report.outputs.items()]
    reporter.done(asdict(report), *lines)
