"""Shared by the commands that mask scenes: their options, and the way from one scene to its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from spectf_cloud.cli.config_file import explicit_value
from spectf_cloud.cli.fields import Shown
from spectf_cloud.cli.reporting import Reporter
from spectf_cloud.errors import UsageError
from spectf_cloud.files.reading import limit_reads
from spectf_cloud.mapping.stopwatch import STARTED

ENV = "SPECTF_DEPLOY_"
INPUTS, PRODUCTS, MODEL = "Inputs", "Products", "Model"

ReadTimeout = Annotated[
    float,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="Stop a read that makes no progress for this long; 0: never.",
        envvar="SPECTF_READ_TIMEOUT",
    ),
]


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene, in order or by name."""

    outfp: Path | None = None
    obsfp: Path | None = None
    rdnfp: Path | None = None
    out: Path | None = None
    obs: Path | None = None
    rdn: Path | None = None


#: Of `MaskOptions`.
MASKING = {
    "trust_input": Shown("Mask even implausible input, such as another scene's geometry.", INPUTS),
    "threshold": Shown("Cloud above this probability; default: the weights' own.", MODEL, min=0.0, max=1.0),
    "weights": Shown("Path, 'builtin', 'official:v0.1.0' or 'official:v0.0.1'.", MODEL, type=str),
    "irradiance": Shown(
        "Solar irradiance: published, astm-g173 or a .npy; default: the weights' own.", MODEL, type=Path
    ),
    "arch_spec": Shown("YAML of architecture and dropped bands.", MODEL),
    "keep_bands": Shown("Drop no bands.", MODEL),
    "device": Shown("-1 or cpu, a GPU number, mps, auto.", MODEL, type=str, default="-1"),
    "fidelity": Shown("Loosest agreement with float32 allowed.", MODEL),
    "memory_limit": Shown("Bound for resident memory, e.g. 1.5GB.", type=str),
}
#: Of `SceneFiles`, `Products` and `MaskOptions`.
DEPLOYING = {
    "outfp": Shown("Mask GeoTIFF to write.", argument=True),
    "obsfp": Shown("Observation geometry (OBS).", argument=True),
    "rdnfp": Shown("Radiance (RDN or RAD).", argument=True),
    "out": Shown("OUTFP by name.", INPUTS, env=False),
    "obs": Shown("OBSFP by name; default: found next to the radiance.", INPUTS, env=False),
    "rdn": Shown("RDNFP by name.", INPUTS, env=False),
    "probability": Shown("Also write OUT_prob.tif.", PRODUCTS, name="proba"),
    "ortho": Shown("Orthorectified mask, a COG.", PRODUCTS),
    "netcdf": Shown("EMIT L2A-mask-style file.", PRODUCTS),
    "quicklook": Shown("PNG to look at.", PRODUCTS),
    **MASKING,
}


def mask(context: typer.Context, files: SceneFiles, reporter: Reporter, **job: Any) -> None:
    """Mask the scene of the command of ``context``; ``job`` holds the other fields of a `DeployJob`."""
    limit_reads(context.params["read_timeout"])
    from spectf_cloud.mapping.deploy import DeployJob, deploy

    out, radiance, observation = _scene(context, files)
    with reporter.progress("masking", "pixels") as progress:
        report = deploy(DeployJob(out, radiance, observation, **job), progress, began=STARTED)
    cloud = "no data" if report.cloud_fraction is None else f"{report.cloud_fraction:.1%} cloud"
    lines = [f"{report.scene}: {cloud} above {report.threshold:g} in {report.valid_pixels:,} pixels"]
    lines += [f"  {kind:<12}{path}" for kind, path in report.outputs.items()]
    reporter.done(asdict(report), *lines)


def _scene(context: typer.Context, files: SceneFiles) -> tuple[Path, Path, Path | None]:
    """Return the mask to write, the radiance and the observation, given by name or in order."""
    out = explicit_value(context, "outfp", "out")
    observation, radiance = explicit_value(context, "obsfp", "obs"), explicit_value(context, "rdnfp", "rdn")
    # Two files given in order are OUT and the radiance; its OBS is found by name.
    if radiance is None:
        observation, radiance = files.obs, files.obsfp
    if out is None or radiance is None:
        raise UsageError(
            f"name the mask to write and the radiance: spectf-cloud {context.info_name} OUTFP [OBSFP] RDNFP"
        )
    return out, radiance, observation
