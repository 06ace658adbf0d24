"""``spectf-cloud sensors``: the sensors known by name, and which of them a file's bands fit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Reporter

app = typer.Typer(help="Sensors known by name, and which of them a file's bands fit.")

_MAX_MATCHES = 5
_MAX_NAMED = 8

# Its default is sensors.TOLERANCE_NM, with which NumPy would come.
Tolerance = Annotated[float, typer.Option(min=0.1, help="How far apart the centres of two bands may be, nm.")]


@app.command("list")
@takes()
def list_sensors(*, reporter: Reporter) -> None:
    """Show the sensors known by name."""
    from spectf_cloud.readers.sensor_yaml import known_sensors

    rows, lines = [], []
    for name, sensor in known_sensors().items():
        low, high = float(sensor.wavelength_nm.min()), float(sensor.wavelength_nm.max())
        row = {"name": name, "title": sensor.title, "aliases": sensor.aliases, "kind": sensor.kind}
        rows.append(row | {"bands": sensor.bands, "first_nm": low, "last_nm": high})
        lines.append(f"{name:<23}{sensor.bands:>4} bands {low:>5.0f}–{high:<5.0f}nm  {sensor.title}")
    reporter.done({"sensors": rows}, *lines)


@app.command()
@takes()
def show(
    name: Annotated[str, typer.Argument(help="Name of a sensor, or a file that describes one.")],
    *,
    reporter: Reporter,
) -> None:
    """Show a sensor's bands as YAML, which can be saved, changed and given wherever a sensor is named."""
    from spectf_cloud.readers.sensor_yaml import to_mapping, to_yaml
    from spectf_cloud.sensors import find_sensor

    sensor = find_sensor(name)
    reporter.done({"sensor": to_mapping(sensor)}, to_yaml(sensor).rstrip("\n"))


@app.command()
@takes()
def match(
    file: Annotated[
        Path, typer.Argument(readable=False, help="GeoTIFF, ENVI header, EMIT granule or YAML with wavelengths.")
    ],
    *,
    tolerance:
    # Its default is sensors.TOLERANCE_NM, with which NumPy would come.
    Tolerance = 10.0,
    reporter: Reporter,
) -> None:
    """Compare a file's bands with every known sensor's, the best fit first."""
    from spectf_cloud.sensors import find_sensor
    from spectf_cloud.sensors import match as matches

    sensor = find_sensor(file)
    found = matches(sensor, tolerance)[:_MAX_MATCHES]
    lines = [f"{file}: {sensor.bands} bands, {sensor.wavelength_nm.min():.0f}–{sensor.wavelength_nm.max():.0f} nm"]
    for each in found:
        of_known = each.fitting + len(each.absent)
        lines.append(
            f"  {each.name:<23}{each.fitting} of the file's {sensor.bands} and of its own {of_known} bands fit, "
            f"{each.mean_nm:.1f} nm apart"
        )
        lines += [f"    only in the file: {_few(each.unknown)}"] if each.unknown else []
        lines += [f"    not in the file: {_few(each.absent)}"] if each.absent else []
    if not found:
        lines.append(f"  no known sensor has a band within {tolerance:g} nm of one of them")
    reporter.done({"file": file, "bands": sensor.bands, "matches": [asdict(each) for each in found]}, *lines)


def _few(names: tuple[str, ...]) -> str:
    """List the first names and how many more there are."""
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
