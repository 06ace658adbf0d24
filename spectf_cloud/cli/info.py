"""``spectf-cloud info``: versions, places, and which inference backends this machine has."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Annotated

import typer

from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Reporter

Backends = Annotated[bool, typer.Option("--backends", help="Which inference backends there are, and why not.")]


@takes()
def info(backends: Backends = False, *, reporter: Reporter) -> None:
    """What is installed here and where files are kept."""
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
