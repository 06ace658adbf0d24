"""``spectf-cloud simulate``: an EMIT-format granule, or a map of any sensor, with a known truth."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.errors import UsageError
from spectf_cloud.simulation.config import SimulationConfig


class PresetChoice(StrEnum):
    """Kinds of scenes as the command line offers them."""

    clear = "clear"
    scattered = "scattered"
    broken = "broken"
    overcast = "overcast"
    cirrus = "cirrus"
    snow = "snow"
    desert = "desert"
    ocean = "ocean"
    mixed = "mixed"


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start {text!r} is not a time; write it as 2024-07-01T10:30:00Z") from None


#: Of `SimulationConfig`.
SIMULATING = {
    "lines": Shown("Lines (down-track); default: 1280.", min=8),
    "samples": Shown("Samples (cross-track); default: 1242.", min=8),
    "preset": Shown("Kind of scene.", type=PresetChoice),
    "seed": Shown("The same seed gives the same scene.", min=0),
    "start": Shown("Time of the first line, such as 2024-07-01T10:30:00Z.", metavar="TIME", type=str, make=_parse_time),
    "format": Shown("Files to write: an EMIT granule in netCDF or ENVI, or a map as GeoTIFF."),
    "sensor": Shown("Sensor of a tif: name, YAML or ENVI header; default: EMIT.", metavar="NAME", type=str),
    "pixel_m": Shown("Pixel size of a tif, m; default: 60.", name="pixel_size", metavar="M", type=float),
    "dtype": Shown("Numbers of a tif: reflectance, or whole numbers with a scale of 0.0001."),
    "compressed": Shown("Compress the netCDF files."),
    "significant_bits": Shown("Round radiance to this many bits: smaller with --compressed.", min=1, max=23),
    "like": Shown("Take size, time, geometry, location and GLT from this EMIT OBS netCDF.", metavar="OBS"),
    "surfaces": Shown("Library of surface reflectance: ENVI or CSV.", metavar="FILE"),
    "irradiance": Shown("Solar irradiance: published (default), astm-g173 or a .npy."),
    "workers": Shown("Threads; they change no byte of the output.", min=1),
}


@takes(SIMULATING)
def simulate(
    outdir: Annotated[Path, typer.Argument(readable=False, help="Folder to write the granule and its truth to.")],
    config: SimulationConfig,
    *,
    overwrite: Overwrite = False,
    reporter: Reporter,
) -> None:
    """Simulate an EMIT granule, or a map of any sensor, with clouds, shadows and truth.

    Writes radiance and observation geometry under delivered names, and truth.tif: optical thickness, phase,
    top height, surface class, shadow and mask. The files say that they are simulated.

    --format tif writes a map instead: reflectance.tif, TOA reflectance without noise; truth.tif, the class of
    each pixel, 255 where it is between clear and thin cloud; truth_layers.tif, the layers named above.
    """
    from spectf_cloud.simulation.granule import simulate_granule

    with reporter.progress("simulating", "lines") as progress:
        granule = simulate_granule(outdir, config, overwrite=overwrite, progress=progress)
    report = [f"{config.preset} scene, seed {config.seed}: {granule.cloud_fraction:.1%} cloud"]
    facts: dict[str, Any] = {"cloud_fraction": granule.cloud_fraction, "outputs": granule.files}
    if granule.class_shares:
        facts |= {"classes": granule.class_shares, "bands_left_out": granule.bands_left_out}
        shares = ", ".join(f"{name} {share:.1%}" for name, share in granule.class_shares.items())
        report = [f"{config.preset} scene, seed {config.seed}: {shares}"]
    if granule.bands_left_out:
        report += [f"  bands outside of what can be simulated, left out: {', '.join(granule.bands_left_out)}"]
    report += [f"  {role:<26}{path}" for role, path in granule.files.items()]
    reporter.done(facts, *report)
