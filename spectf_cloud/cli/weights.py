"""``spectf-cloud weights``: the named releases, and facts about any weights file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectf_cloud.cli.reporting import Json, Quiet, Reporter, Verbose
from spectf_cloud.errors import WeightsError

if TYPE_CHECKING:
    from spectf_cloud.weights import Checkpoint

app = typer.Typer(help="List, fetch, verify and describe weights.")

#: A tensor that every SpecTf network has.
_OF_ALL_NETWORKS = "spectral_embed.linear.weight"

Name = Annotated[str, typer.Argument(help="Path, 'builtin', 'official:v0.1.0' or 'official:v0.0.1'.")]


@app.command("list")
def list_weights(json: Json = False, verbose: Verbose = 0, quiet: Quiet = False) -> None:
    """List the weights known by name, and which are on this machine."""
    reporter = Reporter(json, quiet, verbose)
    from spectf_cloud.weights import BUILTIN, RELEASES, find_weights, local_path

    builtin = find_weights(BUILTIN)
    rows = [{"name": BUILTIN, "threshold": builtin.threshold, "path": builtin.path}]
    for release in RELEASES.values():
        path = local_path(release.weights)
        rows.append({"name": release.name, "threshold": release.threshold, "path": path if path.is_file() else None})
    lines = [f"{row['name']:<18}threshold {row['threshold']}  {row['path'] or 'not fetched yet'}" for row in rows]
    reporter.done({"weights": rows}, *lines)


@app.command()
def fetch(name: Name, json: Json = False, verbose: Verbose = 0, quiet: Quiet = False) -> None:
    """Download a release to the cache, checked against its published checksum."""
    _describe(name, Reporter(json, quiet, verbose))


@app.command()
def verify(name: Name, json: Json = False, verbose: Verbose = 0, quiet: Quiet = False) -> None:
    """Read all weights and check names, shapes, values and checksum."""
    reporter = Reporter(json, quiet, verbose)

    from spectf_cloud.sensor import Sensor
    from spectf_cloud.tokens import shown_bands
    from spectf_cloud.weights import find_weights

    found = find_weights(name)
    from spectf_cloud.models.load import load_numpy

    sensor = Sensor.emit()
    network = load_numpy(found, sensor.wavelength_nm[shown_bands(sensor)])
    parameters = sum(value.size for value in network.tensors.values())
    reporter.done(
        {"name": found.name, "path": found.path, "sha256": found.sha256, "parameters": parameters},
        f"{found.path} is good: {found.name}, {parameters:,} parameters, sha256 {found.sha256}",
    )


@app.command()
def info(name: Name = "builtin", json: Json = False, verbose: Verbose = 0, quiet: Quiet = False) -> None:
    """Show where weights are, and the threshold and irradiance that belong to them."""
    _describe(name, Reporter(json, quiet, verbose))


def _check_content(found: Checkpoint) -> None:
    """Raise `WeightsError` for a file that holds something else."""
    names = list(found.tensors())
    if _OF_ALL_NETWORKS not in names:
        shown = ", ".join(names[:3]) or "none"
        raise WeightsError(f"{found.path} holds tensors of another network ({shown}, …), not SpecTf weights")


def _describe(name: str, reporter: Reporter) -> None:
    from spectf_cloud.weights import BUILTIN, RELEASES, find_weights

    found = find_weights(name)
    if name not in (BUILTIN, *RELEASES):  # these are known by their checksum
        _check_content(found)
    fields: dict[str, str | float | Path] = {
        "name": found.name,
        "path": found.path,
        "sha256": found.sha256,
        "threshold": found.threshold,
        "irradiance": found.irradiance_path,
        "trained_with": found.irradiance_name,
    }
    reporter.done(fields, *(f"{key:<14}{value}" for key, value in fields.items()))
