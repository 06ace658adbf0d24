"""`simulate_granule`: a configuration in, the files of a granule out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import atomic_output, check_folder_name, check_output
from spectf_cloud.files.resources import resource
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import emit_netcdf, envi, geometry, overpass, truth
from spectf_cloud.simulation.config import Format, SimulationConfig
from spectf_cloud.simulation.draw_scene import draw_scene
from spectf_cloud.simulation.library import read_library
from spectf_cloud.simulation.presets import preset
from spectf_cloud.simulation.scene import SimulatedScene

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
#: Called with lines done and lines in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SimulatedGranule:
    """What was written.

    Attributes
    ----------
    files
        By role: ``truth``, and ``radiance``, ``observation`` (netCDF), and ``envi_radiance``,
        ``envi_observation``, ``envi_location`` with a ``…_header`` each.
    cloud_fraction
        Share of valid pixels that the truth calls cloud.
    """

    files: dict[str, Path]
    cloud_fraction: float


def simulate_scene(config: SimulationConfig) -> SimulatedScene:
    """Draw the scene of a configuration, without computing its radiance."""
    return _draw(config, _place(config))


def simulate_granule(
    outdir: Path, config: SimulationConfig, *, overwrite: bool = False, progress: Progress | None = None
) -> SimulatedGranule:
    """Simulate a scene and write it as an EMIT granule with its truth.

    Radiance is computed and written line by line; a full granule needs less than 1 GB. Nothing is left behind
    on failure.

    Parameters
    ----------
    outdir
        Folder, made if missing.
    progress
        Called with lines done and lines in all.

    Raises
    ------
    UsageError
        When ``like`` comes with a size or a time, or the folder is named like a file.
    OutputError
        When a file exists and ``overwrite`` is false, or cannot be written.
    InputError
        When ``like``, ``surfaces`` or ``irradiance`` of the configuration cannot be used.
    """
    check_folder_name(outdir)
    place = _place(config)
    try:
        outdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{outdir}: cannot make this folder: {error.strerror}") from error
    files = {role: outdir / name for role, name in _file_names(config.format, place.start).items()}
    for path in files.values():
        check_output(path, overwrite=overwrite, inputs=filter(None, (config.like, config.surfaces, config.irradiance)))
    _check_space(outdir, config, place)
    scene = _draw(config, place)
    with ExitStack() as stack:
        into = {role: stack.enter_context(atomic_output(path, overwrite=overwrite)) for role, path in files.items()}
        layers = scene.truth()
        attributes = {"simulation": _summary(config, place)}
        truth.write_truth(into["truth"], layers, {"simulated": emit_netcdf.SIMULATED, **attributes})
        lines = radiance_lines(scene, config.workers, config.significant_bits, progress)
        _write(scene, lines, into, attributes, config.compressed)
    return SimulatedGranule(files, float(layers["mask"][scene.geometry.valid].mean()))


def _write(
    scene: SimulatedScene,
    lines: Iterator[Float32Array],
    into: dict[str, Path],
    attributes: dict[str, str],
    compressed: bool,
) -> None:
    """Write radiance, observation and location in every form asked for, in one pass over the lines."""
    if "envi_radiance" in into:
        envi.write_radiance_header(into["envi_radiance_header"], scene.shape, scene.sensor)
        envi.write_observation(into["envi_observation"], into["envi_observation_header"], scene.geometry)
        envi.write_location(into["envi_location"], into["envi_location_header"], scene.geometry)
        lines = envi.teed(into["envi_radiance"], lines)
    if "radiance" in into:
        emit_netcdf.write_observation(into["observation"], scene.geometry, attributes, compressed)
        emit_netcdf.write_radiance(into["radiance"], scene.geometry, scene.sensor, lines, attributes, compressed)
    else:
        for _ in lines:
            pass


def radiance_lines(
    scene: SimulatedScene, workers: int = 1, significant_bits: int | None = None, progress: Progress | None = None
) -> Iterator[Float32Array]:
    """The radiance of a scene line by line: (samples, bands) float32, uW cm-2 sr-1 nm-1."""
    lines = scene.shape[0]

    def compute(line: int) -> Float32Array:
        return _rounded(scene.radiance_line(line), significant_bits)

    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Float32Array]] = []
        for line in range(lines + 2 * workers):
            if line < lines:
                waiting.append(pool.submit(compute, line))
            if line >= 2 * workers:
                yield waiting.pop(0).result()
                if progress:
                    progress(line - 2 * workers + 1, lines)


def _place(config: SimulationConfig) -> geometry.Geometry:
    kind = preset(config.preset)
    if config.like is not None:
        place = geometry.read_obs(config.like)
        config.check_like(config.like)
        return place
    rng = np.random.default_rng([config.seed, 2])
    path = overpass.draw_overpass(rng, config.start, kind.latitude_deg, kind.relief_m)
    return overpass.synthesise(config.shape, path, rng)


def _draw(config: SimulationConfig, place: geometry.Geometry) -> SimulatedScene:
    irradiance = read_irradiance(config.irradiance or resource("irr.npy"))
    sensor = Sensor.emit()
    library = read_library(config.surfaces, sensor.wavelength_nm) if config.surfaces else None
    return draw_scene(sensor, place, irradiance, preset(config.preset), config.seed, library)


def _check_space(outdir: Path, config: SimulationConfig, place: geometry.Geometry) -> None:
    """Refuse what cannot fit before hours of work: HDF5 notices a full disk late or never."""
    values = place.obs.shape[0] * place.obs.shape[1] * (Sensor.emit().bands + 11)
    needed = 4 * values * (2 if config.format == "both" else 1)
    if config.compressed and config.format == "netcdf":
        needed //= 4
    free = shutil.disk_usage(outdir).free
    if free < needed:
        raise OutputError(f"{outdir}: {needed / 1e9:.2g} GB are needed but {free / 1e9:.2g} GB free; make room first")


def _file_names(form: Format, start: datetime) -> dict[str, str]:
    names = {"truth": "truth.tif"}
    if form != "envi":
        names["radiance"], names["observation"] = emit_netcdf.granule_names(start)
    if form != "netcdf":
        for role, kind in (("radiance", "rdn"), ("observation", "obs"), ("location", "loc")):
            stem = f"{emit_netcdf.flight_line(start)}_l1b_{kind}_b0106_v01"
            names[f"envi_{role}"], names[f"envi_{role}_header"] = f"{stem}.img", f"{stem}.hdr"
    return names


def _summary(config: SimulationConfig, place: geometry.Geometry) -> str:
    """What was simulated, for the files: the size is what came of the wishes."""
    told = asdict(config) | {"lines": place.shape[0], "samples": place.shape[1]}
    shown = {key: value for key, value in told.items() if key != "workers" and value is not None}
    return ", ".join(f"{key}={os.fspath(v) if isinstance(v, Path) else v}" for key, v in shown.items())


def _rounded(radiance: Float32Array, significant_bits: int | None) -> Float32Array:
    """Round the mantissa to some bits, half to even upwards; -9999 stays itself."""
    if significant_bits is None or significant_bits >= 23:
        return radiance
    drop = 23 - significant_bits
    bits = radiance.view(np.uint32)
    rounded = ((bits + np.uint32(1 << (drop - 1))) >> np.uint32(drop)) << np.uint32(drop)
    return np.where(radiance == geometry.NODATA, radiance, rounded.view(np.float32))
