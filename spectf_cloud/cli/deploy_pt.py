"""``spectf-cloud deploy-pt``: one scene to a cloud mask."""

from __future__ import annotations

from typing import Annotated

import typer

from spectf_cloud.cli import deploy_options as options
from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose
from spectf_cloud.files.reading import READ_TIMEOUT_S


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
    trust_input: options.TrustInput = False,
    threshold: options.Threshold = None,
    weights: options.Weights = "builtin",
    irradiance: options.Irradiance = None,
    arch_spec: options.ArchSpec = None,
    keep_bands: options.KeepBands = False,
    device: Annotated[
        str,
        typer.Option(
            help="-1 or cpu, a GPU number, mps, auto.", envvar=f"{options.ENV}DEVICE", rich_help_panel=options.MODEL
        ),
    ] = "-1",
    fidelity: options.Fidelity = options.FidelityChoice.faithful,
    memory_limit: options.MemoryLimit = None,
    read_timeout: options.ReadTimeout = READ_TIMEOUT_S,
    config: ConfigFile = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Mask the clouds of one scene.

    spectf-cloud deploy-pt mask.tif EMIT_L1B_RAD_….nc finds the OBS file beside the radiance;
    spectf-cloud deploy-pt OUT.tif OBS.hdr RDN.hdr --proba is the published call.
    """
    options.mask(context, Reporter(json, quiet, verbose), device=device)
