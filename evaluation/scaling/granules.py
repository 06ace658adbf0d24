"""Make many small simulated granules to try an archive run on: both formats, ten broken in ten ways, two twice."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np

from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.emit_netcdf import flight_line, granule_names
from spectf_cloud.simulation.granule import simulate_granule

_FIRST = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)
_APART = timedelta(hours=7, seconds=12)
_EAST_DEG = 23.7
_PRESETS = ("mixed", "scattered", "clear", "broken", "overcast", "ocean", "desert", "cirrus")


def make_granules(folder: Path, count: int, *, size: int = 12, broken: int = 10, twice: int = 2) -> None:
    """Write ``count`` granules of ``size`` × ``size`` pixels: ``broken`` of them unusable, ``twice`` copies of others.

    netCDF and ENVI take turns. One scene of each kind is simulated; the granules are these, each a little dimmer than
    the one before, under names of their own. Copies lie in another folder: one in the same format, one in the other.
    """
    models = [_simulate(folder / ".models", kind, size) for kind in range(min(count, len(_PRESETS)))]
    for index in range(count - twice):
        form = ("netcdf", "envi")[index % 2]
        _derive(models[index % len(models)], folder / f"{index:04d}", index, form)
    for copy in range(twice):
        index = count - twice - 1 - copy
        _derive(models[index % len(models)], folder / "copies", index, ("netcdf", "envi")[(index + copy) % 2])
    for index in range(broken):
        _BREAKERS[index % len(_BREAKERS)](folder / f"{index:04d}")
    shutil.rmtree(folder / ".models")


def _simulate(folder: Path, kind: int, size: int) -> dict[str, Path]:
    config = SimulationConfig(lines=size, samples=size, seed=kind, preset=_PRESETS[kind], start=_FIRST, format="both")
    return simulate_granule(folder / str(kind), config).files


def _derive(model: dict[str, Path], folder: Path, index: int, form: str) -> None:
    """Write a granule like ``model``, under the name of the overpass ``index``, dimmer by a thousandth."""
    folder.mkdir(parents=True, exist_ok=True)
    start, scale = _FIRST + index * _APART, np.float32(1 - index / 1000)
    if form == "netcdf":
        radiance, observation = (folder / name for name in granule_names(start))
        shutil.copy(model["radiance"], radiance)
        shutil.copy(model["observation"], observation)
        for path in (radiance, observation):
            with h5py.File(path, "r+") as file:
                # Each a little further round the Earth, so that they do not lie on one another.
                west, *rest = file.attrs["geotransform"]
                file.attrs["geotransform"] = [(west + _EAST_DEG * index + 180) % 360 - 180, *rest]
                if path == radiance:
                    file["radiance"][...] *= scale
        return
    for role in ("radiance", "radiance_header", "observation", "observation_header"):
        source = model[f"envi_{role}"]
        target = folder / (flight_line(start) + source.name[source.name.index("_l1b_") :])
        shutil.copy(source, target)
        if role == "radiance":
            (np.fromfile(target, "<f4") * scale).tofile(target)


def _find(granule: Path, pattern: str) -> Path:
    return next(granule.glob(pattern))


def _write(pattern: str, content: bytes) -> Callable[[Path], object]:
    return lambda granule: _find(granule, pattern).write_bytes(content)


def _cut(pattern: str, share: float) -> Callable[[Path], object]:
    """Return what cuts a file down to a share of its size."""
    return lambda granule: os.truncate(path := _find(granule, pattern), int(share * path.stat().st_size))


def _remove(pattern: str) -> Callable[[Path], object]:
    return lambda granule: _find(granule, pattern).unlink()


def _edit(pattern: str, change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda granule: (path := _find(granule, pattern)).write_text(change(path.read_text()))


def _geometry_as_radiance(granule: Path) -> None:
    shutil.copy(_find(granule, "*OBS*.nc"), _find(granule, "*RAD*.nc"))


def _without_wavelengths(header: str) -> str:
    return re.sub(r"^(wavelength|fwhm).*?(\}|nanometers)[^\n]*\n", "", header, flags=re.MULTILINE | re.DOTALL | re.I)


#: In turn for a netCDF and for an ENVI granule.
_BREAKERS: tuple[Callable[[Path], object], ...] = (
    _write("*RAD*.nc", b""),
    _remove("*_rdn_*.hdr"),
    _cut("*RAD*.nc", 0.5),
    _remove("*_rdn_*.img"),
    _write("*RAD*.nc", b"<html><body>401 Unauthorized</body></html>"),
    _edit("*_rdn_*.hdr", lambda header: header.replace("lines", "lions")),
    _remove("*OBS*.nc"),
    _cut("*_rdn_*.img", 0.99),
    _geometry_as_radiance,
    _edit("*_rdn_*.hdr", _without_wavelengths),
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", type=int, default=12)
    arguments = parser.parse_args()
    make_granules(arguments.folder, arguments.count, size=arguments.size)
