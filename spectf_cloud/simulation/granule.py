"""`simulate_granule`: a configuration in, the files of a granule out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import atomic_output, check_folder_name, check_output
from spectf_cloud.files.resources import PUBLISHED, irradiance_file
from spectf_cloud.readers.irradiance import NAME_ATTRIBUTE, SHA256_ATTRIBUTE, named_irradiance, read_irradiance
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import emit_netcdf, envi, geometry, geotiff, map_grid, overpass, truth
from spectf_cloud.simulation.band_nodes import choose_bands
from spectf_cloud.simulation.config import EMIT_PIXEL_M, Format, SimulationConfig
from spectf_cloud.simulation.draw_scene import draw_scene
from spectf_cloud.simulation.lines import Progress, radiance_lines, reflectance_lines
from spectf_cloud.simulation.presets import preset
from spectf_cloud.simulation.scene import SimulatedScene

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class SimulatedGranule:
    """What was written.

    Attributes
    ----------
    files
        By role: ``truth``, and ``radiance``, ``observation`` (netCDF), and ``envi_radiance``,
        ``envi_observation``, ``envi_location`` with a ``…_header`` each; or ``reflectance`` and ``truth_layers``.
    cloud_fraction
        Share of valid pixels that the two-class truth calls cloud.
    class_shares
        Of a map: share of valid pixels in each class of its truth, by name, and of those left out.
    bands_left_out
        Of a map: bands of the sensor that cannot be simulated.
    """

    files: dict[str, Path]
    cloud_fraction: float
    class_shares: dict[str, float] = field(default_factory=dict)
    bands_left_out: tuple[str, ...] = ()


def simulate_scene(config: SimulationConfig) -> SimulatedScene:
    """Draw the scene of a configuration, without computing its radiance."""
    irradiance = _irradiance(config)
    return _draw(config, _place(config), choose_bands(config.sensor, irradiance)[0], irradiance)


def simulate_granule(
    outdir: Path, config: SimulationConfig, *, overwrite: bool = False, progress: Progress | None = None
) -> SimulatedGranule:
    """Simulate a scene and write it as an EMIT granule, or as a map of any sensor, with its truth.

    It is computed and written line by line; a full granule needs less than 1 GB. Nothing is left behind
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
        When ``like`` comes with a size or a time, the folder is named like a file, or there is no such sensor.
    OutputError
        When a file exists and ``overwrite`` is false, or cannot be written.
    InputError
        When ``like``, ``surfaces`` or ``irradiance`` of the configuration cannot be used.
    """
    check_folder_name(outdir)
    irradiance = _irradiance(config)
    sensor, left_out = choose_bands(config.sensor, irradiance)
    place = _place(config)
    try:
        outdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{outdir}: cannot make this folder: {error.strerror}") from error
    files = {role: outdir / name for role, name in _file_names(config.format, place.start).items()}
    for path in files.values():
        check_output(path, overwrite=overwrite, inputs=config.inputs)
    _check_space(outdir, config, place, sensor.bands)
    scene = _draw(config, place, sensor, irradiance)
    with ExitStack() as stack:
        into = {role: stack.enter_context(atomic_output(path, overwrite=overwrite)) for role, path in files.items()}
        sunlight = _sunlight(config)
        attributes = {"simulated": emit_netcdf.SIMULATED, "simulation": _summary(config, place, sensor), **sunlight}
        cloud_fraction, shares = _write_truth(scene, into, attributes)
        if "reflectance" in into:
            lines = reflectance_lines(scene, config.workers, progress)
            geotiff.write_reflectance(into["reflectance"], scene, lines, config.dtype, attributes)
        else:
            lines = radiance_lines(scene, config.workers, config.significant_bits, progress)
            _write_granule(scene, lines, into, attributes, sunlight, config.compressed)
    return SimulatedGranule(files, cloud_fraction, shares, left_out)


def _write_truth(
    scene: SimulatedScene, into: dict[str, Path], attributes: dict[str, str]
) -> tuple[float, dict[str, float]]:
    """Write the truth; of a map also its classes. Returns the share of cloud, and of each class."""
    layers, valid = scene.truth(), scene.geometry.valid
    cloud_fraction = float(layers["mask"][valid].mean())
    if "truth_layers" not in into:
        truth.write_truth(into["truth"], layers, attributes, {})
        return cloud_fraction, {}
    on_map, classes = geotiff.map_options(scene.geometry), truth.class_truth(scene)
    truth.write_truth(into["truth_layers"], layers, attributes, on_map)
    truth.write_classes(into["truth"], classes, on_map, attributes)
    return cloud_fraction, truth.class_shares(classes, valid)


def _write_granule(
    scene: SimulatedScene,
    lines: Iterator[Float32Array],
    into: dict[str, Path],
    attributes: dict[str, str],
    sunlight: dict[str, str],
    compressed: bool,
) -> None:
    """Write radiance, observation and location in every form asked for, in one pass over the lines."""
    if "envi_radiance" in into:
        envi.write_radiance_header(into["envi_radiance_header"], scene.shape, scene.sensor, sunlight)
        envi.write_observation(into["envi_observation"], into["envi_observation_header"], scene.geometry)
        envi.write_location(into["envi_location"], into["envi_location_header"], scene.geometry)
        lines = envi.teed(into["envi_radiance"], lines)
    if "radiance" in into:
        emit_netcdf.write_observation(into["observation"], scene.geometry, attributes, compressed)
        emit_netcdf.write_radiance(into["radiance"], scene.geometry, scene.sensor, lines, attributes, compressed)
    else:
        for _ in lines:
            pass


def _place(config: SimulationConfig) -> geometry.Geometry:
    kind = preset(config.preset)
    if config.like is not None:
        place = geometry.read_obs(config.like)
        config.check_like(config.like)
        return place
    rng = np.random.default_rng([config.seed, 2])
    path = overpass.draw_overpass(rng, config.start, kind.latitude_deg, kind.relief_m)
    if config.format != "tif":
        return overpass.synthesise(config.shape, path, rng)
    # Land is as rough at every scale: over a shorter way it rises less, by the power that its spectrum says.
    relief_m = path.relief_m * (config.map_pixel_m / EMIT_PIXEL_M) ** 0.9
    return map_grid.lay_out(config.shape, replace(path, pixel_m=config.map_pixel_m, relief_m=relief_m), rng)


def _irradiance(config: SimulationConfig) -> NDArray[np.float64]:
    return read_irradiance(irradiance_file(config.irradiance or PUBLISHED))


def _draw(
    config: SimulationConfig, place: geometry.Geometry, sensor: Sensor, irradiance: NDArray[np.float64]
) -> SimulatedScene:
    return draw_scene(sensor, place, irradiance, preset(config.preset), config.seed, config.surfaces)


def _sunlight(config: SimulationConfig) -> dict[str, str]:
    """Return the attributes that name the solar irradiance of a scene."""
    irradiance = named_irradiance(str(config.irradiance or PUBLISHED))
    return {NAME_ATTRIBUTE: irradiance.name, SHA256_ATTRIBUTE: irradiance.sha256}


def _check_space(outdir: Path, config: SimulationConfig, place: geometry.Geometry, bands: int) -> None:
    """Refuse what cannot fit before hours of work: HDF5 notices a full disk late or never."""
    values = place.obs.shape[0] * place.obs.shape[1] * (bands + 11)
    needed = 4 * values * (2 if config.format == "both" else 1)
    if config.compressed and config.format == "netcdf":
        needed //= 4
    free = shutil.disk_usage(outdir).free
    if free < needed:
        raise OutputError(f"{outdir}: {needed / 1e9:.2g} GB are needed but {free / 1e9:.2g} GB free; make room first")


def _file_names(form: Format, start: datetime) -> dict[str, str]:
    names = {"truth": "truth.tif"}
    if form == "tif":
        return {"reflectance": "reflectance.tif", "truth_layers": "truth_layers.tif", **names}
    if form != "envi":
        names["radiance"], names["observation"] = emit_netcdf.granule_names(start)
    if form != "netcdf":
        for role, kind in (("radiance", "rdn"), ("observation", "obs"), ("location", "loc")):
            stem = f"{emit_netcdf.flight_line(start)}_l1b_{kind}_b0106_v01"
            names[f"envi_{role}"], names[f"envi_{role}_header"] = f"{stem}.img", f"{stem}.hdr"
    return names


def _summary(config: SimulationConfig, place: geometry.Geometry, sensor: Sensor) -> str:
    """What was simulated, for the files: the size is what came of the wishes."""
    told = asdict(replace(config, sensor=None)) | {"lines": place.shape[0], "samples": place.shape[1]}
    hidden = {"workers"}
    if config.format == "tif":
        told |= {"sensor": sensor.name, "pixel_m": config.map_pixel_m}
    else:
        hidden |= {"dtype"}
    shown = {key: value for key, value in told.items() if key not in hidden and value is not None}
    return ", ".join(f"{key}={os.fspath(v) if isinstance(v, Path) else v}" for key, v in shown.items())
