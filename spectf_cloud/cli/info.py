"""``spectf-cloud info``: what is installed here; with a file, what that is and what can be done with it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Annotated

import typer

from spectf_cloud.cli.deploy_options import ReadTimeout
from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Reporter
from spectf_cloud.errors import UsageError
from spectf_cloud.files.reading import READ_TIMEOUT_S, limit_reads

Backends = Annotated[bool, typer.Option("--backends", help="Which inference backends there are, and why not.")]
File = Annotated[
    str | None,
    typer.Argument(help="Scene, image, product folder, archive, address, labelled spectra, weights or a mask."),
]
SensorName = Annotated[
    str | None, typer.Option("--sensor", help="Sensor of an image that does not say its bands: a name or a YAML file.")
]
QuantityName = Annotated[
    str | None,
    typer.Option("--quantity", metavar="QUANTITY", help="What it holds: toa_reflectance or surface_reflectance."),
]
ScaleFactor = Annotated[
    float | None, typer.Option("--scale", help="What makes reflectance of its numbers, such as 0.0001.")
]


@takes()
def info(
    file: File = None,
    *,
    sensor: SensorName = None,
    quantity: QuantityName = None,
    scale: ScaleFactor = None,
    backends: Backends = False,
    read_timeout: ReadTimeout = READ_TIMEOUT_S,
    reporter: Reporter,
) -> None:
    """What a file is, what can be done with it and what is missing; without one, what is installed here."""
    if file is not None:
        limit_reads(read_timeout)
        from spectf_cloud.cli.file_info import describe

        found = describe(file, sensor, quantity, scale)
        reporter.done(found.fields, *found.lines)
        return
    if sensor or quantity or scale is not None:
        raise UsageError("--sensor, --quantity and --scale say what is in a file; name the file")
    _installation(backends, reporter)


def _installation(backends: bool, reporter: Reporter) -> None:
    from spectf_cloud.files.cache import cache_folder

    fields: dict[str, object] = {
        "spectf_cloud": version("spectf-cloud"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cache": str(cache_folder()),
    }
    lines = [f"{name:<14}{value}" for name, value in fields.items()]
    if backends:
        from spectf_cloud.inference.available import backends as find

        found = find()
        fields["backends"] = [{"name": b.name, "available": b.available, "reason": b.reason} for b in found]
        lines += [f"{'yes' if b.available else 'no ':<4}{b.name:<24}{b.reason}" for b in found]
    reporter.done(fields, *lines)
