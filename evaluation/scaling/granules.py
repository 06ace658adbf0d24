"""Many small simulated granules to try an archive run on: mixed formats, ten broken in ten ways, two given twice."""

from __future__ import annotations

import argparse
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
    models = [_simulate(folder / ".models", kind, size) for kind in range(len(_PRESETS))]
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
    """A granule like ``model``, under the name of the overpass ``index``, dimmer by a part in a thousand of it."""
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


def _empty(granule: Path) -> None:
    _find(granule, "*RAD*.nc").write_bytes(b"")


def _no_header(granule: Path) -> None:
    _find(granule, "*_rdn_*.hdr").unlink()


def _truncated(granule: Path) -> None:
    path = _find(granule, "*RAD*.nc")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _no_data_file(granule: Path) -> None:
    _find(granule, "*_rdn_*.img").unlink()


def _web_page(granule: Path) -> None:
    _find(granule, "*RAD*.nc").write_text("<html><body>401 Unauthorized</body></html>")


def _garbled_header(granule: Path) -> None:
    header = _find(granule, "*_rdn_*.hdr")
    header.write_text(header.read_text().replace("lines", "lions"))


def _no_observation(granule: Path) -> None:
    _find(granule, "*OBS*.nc").unlink()


def _short_data_file(granule: Path) -> None:
    path = _find(granule, "*_rdn_*.img")
    path.write_bytes(path.read_bytes()[:-100])


def _geometry_as_radiance(granule: Path) -> None:
    shutil.copy(_find(granule, "*OBS*.nc"), _find(granule, "*RAD*.nc"))


def _no_wavelengths(granule: Path) -> None:
    header = _find(granule, "*_rdn_*.hdr")
    kept, inside = [], False
    for line in header.read_text().splitlines():
        inside = inside or line.lower().startswith(("wavelength", "fwhm"))
        if not inside:
            kept.append(line)
        if "}" in line or "units" in line:
            inside = False
    header.write_text("\n".join(kept) + "\n")


def _sun_far_away(granule: Path) -> None:
    with h5py.File(_find(granule, "*OBS*.nc"), "r+") as file:
        file["obs"][..., 10] = 5.2


_BREAKERS: tuple[Callable[[Path], None], ...] = (
    _empty,
    _no_header,
    _truncated,
    _no_data_file,
    _web_page,
    _garbled_header,
    _no_observation,
    _short_data_file,
    _geometry_as_radiance,
    _no_wavelengths,
    _sun_far_away,
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", type=int, default=12)
    arguments = parser.parse_args()
    make_granules(arguments.folder, arguments.count, size=arguments.size)
