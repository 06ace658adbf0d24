"""What ``deploy-pt`` and ``deploy-trt`` share: their options, and the way from them to a job and its report."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectf_cloud.cli.config_file import stronger
from spectf_cloud.cli.reporting import Reporter
from spectf_cloud.errors import UsageError
from spectf_cloud.files.reading import limit_reads
from spectf_cloud.mapping.stopwatch import STARTED

if TYPE_CHECKING:
    from spectf_cloud.mapping.deploy import DeployJob

ENV = "SPECTF_DEPLOY_"
INPUTS, PRODUCTS, MODEL = "Inputs", "Products", "Model"


class FidelityChoice(StrEnum):
    """Tiers as the command line offers them."""

    exact = "exact"
    faithful = "faithful"
    fast = "fast"


OutFp = Annotated[Path | None, typer.Argument(readable=False, help="Mask GeoTIFF to write.", envvar=f"{ENV}OUTFP")]
ObsFp = Annotated[Path | None, typer.Argument(readable=False, help="Observation geometry (OBS).", envvar=f"{ENV}OBSFP")]
RdnFp = Annotated[Path | None, typer.Argument(readable=False, help="Radiance (RDN or RAD).", envvar=f"{ENV}RDNFP")]

Out = Annotated[Path | None, typer.Option(readable=False, help="OUTFP by name.", rich_help_panel=INPUTS)]
Obs = Annotated[
    Path | None,
    typer.Option(readable=False, help="OBSFP by name; else found beside the radiance.", rich_help_panel=INPUTS),
]
Rdn = Annotated[Path | None, typer.Option(readable=False, help="RDNFP by name.", rich_help_panel=INPUTS)]

Proba = Annotated[
    bool, typer.Option("--proba", help="Also write OUT_prob.tif.", envvar=f"{ENV}PROBA", rich_help_panel=PRODUCTS)
]
Ortho = Annotated[
    Path | None,
    typer.Option(readable=False, help="Orthorectified mask, a COG.", envvar=f"{ENV}ORTHO", rich_help_panel=PRODUCTS),
]
Netcdf = Annotated[
    Path | None,
    typer.Option(readable=False, help="EMIT L2A-mask-style file.", envvar=f"{ENV}NETCDF", rich_help_panel=PRODUCTS),
]
Quicklook = Annotated[
    Path | None,
    typer.Option(readable=False, help="PNG to look at.", envvar=f"{ENV}QUICKLOOK", rich_help_panel=PRODUCTS),
]

Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Cloud above this probability; default: the weights' own.",
        envvar=f"{ENV}THRESHOLD",
        rich_help_panel=MODEL,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        help="Path, 'builtin', 'official:v0.1.0' or 'official:v0.0.1'.", envvar=f"{ENV}WEIGHTS", rich_help_panel=MODEL
    ),
]
Irradiance = Annotated[
    Path | None,
    typer.Option(
        readable=False,
        help="Solar irradiance .npy; default: the weights' own.",
        envvar=f"{ENV}IRRADIANCE",
        rich_help_panel=MODEL,
    ),
]
ArchSpec = Annotated[
    Path | None,
    typer.Option(
        readable=False,
        help="YAML of architecture and dropped bands.",
        envvar=f"{ENV}ARCH_SPEC",
        rich_help_panel=MODEL,
    ),
]
KeepBands = Annotated[
    bool, typer.Option("--keep-bands", help="Drop no bands.", envvar=f"{ENV}KEEP_BANDS", rich_help_panel=MODEL)
]
Fidelity = Annotated[
    FidelityChoice,
    typer.Option(help="Loosest agreement with float32 allowed.", envvar=f"{ENV}FIDELITY", rich_help_panel=MODEL),
]
MemoryLimit = Annotated[
    str | None, typer.Option(help="Bound for resident memory, e.g. 1.5GB.", envvar=f"{ENV}MEMORY_LIMIT")
]

ReadTimeout = Annotated[
    float,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="End a read that makes no progress for so long; 0: never.",
        envvar="SPECTF_READ_TIMEOUT",
    ),
]

TrustInput = Annotated[
    bool,
    typer.Option(
        "--trust-input",
        help="Mask even what cannot be right, such as another scene's geometry.",
        envvar=f"{ENV}TRUST_INPUT",
        rich_help_panel=INPUTS,
    ),
]


def mask(context: typer.Context, reporter: Reporter, **more: Any) -> None:
    """Run the command that ``context`` belongs to; ``more`` are fields of its job that are not plain options."""
    limit_reads(context.params["read_timeout"])
    from spectf_cloud.mapping.deploy import deploy

    job = _job(context, **more)
    with reporter.progress("masking", "pixels") as progress:
        report = deploy(job, progress, began=STARTED)
    cloud = "no data" if report.cloud_fraction is None else f"{report.cloud_fraction:.1%} cloud"
    lines = [f"{report.scene}: {cloud} above {report.threshold:g} in {report.valid_pixels:,} pixels"]
    lines += [f"  {kind:<12}{path}" for kind, path in report.outputs.items()]
    reporter.done(asdict(report), *lines)


def _job(context: typer.Context, **more: Any) -> DeployJob:
    mask_to = stronger(context, "outfp", "out")
    observation = stronger(context, "obsfp", "obs")
    radiance = stronger(context, "rdnfp", "rdn")
    given = context.params
    # Two files given in order are OUT and the radiance; its OBS is found by name.
    if radiance is None:
        observation, radiance = (None, given["obsfp"]) if given["obs"] is None else (given["obs"], given["obsfp"])
    if mask_to is None or radiance is None:
        raise UsageError(
            f"name the mask to write and the radiance: spectf-cloud {context.info_name} OUTFP [OBSFP] RDNFP"
        )
    from spectf_cloud.mapping.deploy import DeployJob

    plain = ("weights", "irradiance", "arch_spec", "threshold", "keep_bands", "ortho", "netcdf", "quicklook", "config")
    return DeployJob(
        out=mask_to,
        radiance=radiance,
        observation=observation,
        fidelity=FidelityChoice(given["fidelity"]).value,
        probability=given["proba"],
        overwrite=given["overwrite"],
        memory_limit=given["memory_limit"],
        trust_input=given["trust_input"],
        **{name: given[name] for name in plain},
        **more,
    )
