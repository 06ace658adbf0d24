"""``spectf-cloud deploy-pt``: one scene to a cloud mask."""

from __future__ import annotations

from typing import Annotated

import typer

from spectf_cloud.cli import deploy_options as options
from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose


def deploy_pt(
    context: typer.Context,
    outfp: options.OutFp = None,
    obsfp: options.ObsFp = None,
    rdnfp: options.RdnFp = None,
    out: options.Out = None,
    obs: options.Obs = None,
    rdn: options.Rdn = None,
    proba: options.Proba = False,
    ortho: options.Ortho = None,
    netcdf: options.Netcdf = None,
    quicklook: options.Quicklook = None,
    overwrite: Overwrite = False,
<<<<<<< HEAD
    trust_input: Annotated[
        bool,
        typer.Option(
            "--trust-input",
            help="Mask even what cannot be right, such as another scene's geometry.",
            envvar=f"{_ENV}TRUST_INPUT",
            rich_help_panel=_INPUTS,
        ),
    ] = False,
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
=======
    threshold: options.Threshold = None,
    weights: options.Weights = "builtin",
    irradiance: options.Irradiance = None,
    arch_spec: options.ArchSpec = None,
    keep_bands: options.KeepBands = False,
>>>>>>> main
    device: Annotated[
        str,
        typer.Option(
            help="-1 or cpu, a GPU number, mps, auto.", envvar=f"{options.ENV}DEVICE", rich_help_panel=options.MODEL
        ),
    ] = "-1",
    fidelity: options.Fidelity = options.FidelityChoice.faithful,
    memory_limit: options.MemoryLimit = None,
    config: ConfigFile = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Mask the clouds of one scene.

    spectf-cloud deploy-pt mask.tif EMIT_L1B_RAD_….nc finds the OBS file beside the radiance;
    spectf-cloud deploy-pt OUT.tif OBS.hdr RDN.hdr --proba is the published call.
    """
<<<<<<< HEAD
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
        trust_input=trust_input,
    )
    with reporter.progress("masking", "pixels") as progress:
        report = deploy(job, progress, began=STARTED)
    cloud = "no data" if report.cloud_fraction is None else f"{report.cloud_fraction:.1%} cloud"
    lines = [f"{report.scene}: {cloud} above {report.threshold:g} in {report.valid_pixels:,} pixels"]
    lines += [f"  {kind:<12}{path}" for kind, path in report.outputs.items()]
    reporter.done(asdict(report), *lines)
=======
    options.mask(context, Reporter(json, quiet, verbose), device=device)
>>>>>>> main
