"""``spectf-cloud deploy-trt``: one scene to a cloud mask by a TensorRT engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli import deploy_options as options
from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose
from spectf_cloud.files.reading import READ_TIMEOUT_S


def deploy_trt(
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
    engine: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Engine of spectf-cloud export engine; default: from the cache, built when there is none.",
            envvar=f"{options.ENV}ENGINE",
            rich_help_panel=options.MODEL,
        ),
    ] = None,
    threshold: options.Threshold = None,
    weights: options.Weights = "builtin",
    irradiance: options.Irradiance = None,
    arch_spec: options.ArchSpec = None,
    keep_bands: options.KeepBands = False,
    device: Annotated[
        str,
        typer.Option(help="GPU number, or auto.", envvar=f"{options.ENV}DEVICE", rich_help_panel=options.MODEL),
    ] = "0",
    fidelity: options.Fidelity = options.FidelityChoice.faithful,
    memory_limit: options.MemoryLimit = None,
    read_timeout: options.ReadTimeout = READ_TIMEOUT_S,
    config: ConfigFile = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Mask the clouds of one scene with NVIDIA TensorRT.

    As deploy-pt, by an engine for this GPU, these weights and the bands of the scene.
    """
    options.mask(context, Reporter(json, quiet, verbose), device=f"tensorrt:{device}", engine=engine)
