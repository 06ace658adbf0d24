"""Writes EMIT L1B granules: radiance (RAD) and observation geometry (OBS) netCDF in the delivered layout."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation.geometry import NODATA, OBS_BANDS, Geometry
from spectf_cloud.simulation.overpass import LINE_S

Float32Array = NDArray[np.float32]

SIMULATED = "SIMULATED by spectf-cloud: no measurement, no NASA product; for tests, training and demonstration only"
_LINES_PER_CHUNK = 16
_STORAGE: dict[bool, dict[str, Any]] = {
    False: {},
    True: {"compression": "gzip", "compression_opts": 5, "shuffle": True},
}


def granule_names(start: datetime) -> tuple[str, str]:
    """Delivered names of the RAD and OBS file of a granule that starts then: orbit is year, day and orbit of day."""
    stem = f"001_{start:%Y%m%dT%H%M%S}_{start:%y%j}{_orbit_of_day(start):02d}_001"
    return f"EMIT_L1B_RAD_{stem}.nc", f"EMIT_L1B_OBS_{stem}.nc"


def flight_line(start: datetime) -> str:
    """Name of the flight line of a granule that starts then."""
    return f"emit{start:%Y%m%dt%H%M%S}_o{start:%y%j}{_orbit_of_day(start):02d}_s001"


def _orbit_of_day(start: datetime) -> int:
    return int((start.hour * 60 + start.minute) / 92.9) + 1


def write_radiance(
    path: Path,
    geometry: Geometry,
    sensor: Sensor,
    lines: Iterable[Float32Array],
    attributes: dict[str, str],
    compressed: bool,
) -> None:
    """Write a RAD file from radiance lines (samples, bands) float32, uW cm-2 sr-1 nm-1, as they come."""
    with h5netcdf.File(path, "w", libver="earliest") as file:
        _describe(file, geometry, attributes, "EMIT L1B At-Sensor Calibrated Radiance Data 60 m V001")
        file.dimensions["bands"] = sensor.bands
        bands = file.create_group("sensor_band_parameters")
        for name, values, title in (
            ("wavelengths", sensor.wavelength_nm, "Wavelength Centers"),
            ("fwhm", sensor.fwhm_nm, "Full Width at Half Max"),
        ):
            _put(bands, name, ("bands",), values.astype(np.float32), long_name=title, units="nm")
        _put_location(file, geometry, compressed)
        chunks = (min(_LINES_PER_CHUNK, geometry.shape[0]), geometry.shape[1], 32) if compressed else None
        radiance = file.create_variable(
            "radiance", ("downtrack", "crosstrack", "bands"), np.float32, fillvalue=np.float32(NODATA),
            chunks=chunks, fill_time="never", **_STORAGE[compressed],
        )  # fmt: skip
        radiance.attrs["long_name"] = "Radiance Data"
        radiance.attrs["units"] = "uW/cm^2/SR/nm"
        _stream(radiance, lines, _LINES_PER_CHUNK)


def write_observation(path: Path, geometry: Geometry, attributes: dict[str, str], compressed: bool) -> None:
    """Write the OBS file that goes with a RAD file."""
    with h5netcdf.File(path, "w", libver="earliest") as file:
        _describe(file, geometry, attributes, "EMIT L1B Observation Data 60 m V001")
        file.dimensions["bands"] = len(OBS_BANDS)
        bands = file.create_group("sensor_band_parameters")
        names = np.array(OBS_BANDS, dtype=object)
        bands.create_variable("observation_bands", ("bands",), h5py.string_dtype(), data=names)
        _put_location(file, geometry, compressed)
        _put(
            file, "obs", ("downtrack", "crosstrack", "bands"), geometry.obs, compressed, np.float32(NODATA),
            long_name="Observation Data", units="unitless",
        )  # fmt: skip


def _stream(variable: h5netcdf.Variable, lines: Iterable[Float32Array], count: int) -> None:
    """Write lines in the order they come, whole chunks at a time."""
    block: list[Float32Array] = []
    start = 0
    for line in lines:
        block.append(line)
        if len(block) == count or start + len(block) == variable.shape[0]:
            variable[start : start + len(block)] = np.stack(block)
            start += len(block)
            block = []


def _describe(file: h5netcdf.File, geometry: Geometry, attributes: dict[str, str], title: str) -> None:
    lines, samples = geometry.shape
    rows, columns = geometry.glt_x.shape
    file.dimensions.update({"downtrack": lines, "crosstrack": samples, "ortho_y": rows, "ortho_x": columns})
    start = geometry.start
    stop = start + timedelta(seconds=lines * LINE_S)
    good = geometry.lon > NODATA
    file.attrs.update(
        {
            "title": f"{title} (simulated)",
            "summary": SIMULATED,
            "simulated": SIMULATED,
            "Conventions": "CF-1.63",
            "sensor": "EMIT (Earth Surface Mineral Dust Source Investigation)",
            "instrument": "EMIT",
            "platform": "ISS",
            "institution": "none: simulated data",
            "flight_line": flight_line(start),
            "time_coverage_start": f"{start:%Y-%m-%dT%H:%M:%S}+0000",
            "time_coverage_end": f"{stop:%Y-%m-%dT%H:%M:%S}+0000",
            "product_version": "V001",
            "day_night_flag": "Day",
            "westernmost_longitude": geometry.lon[good].min(),
            "easternmost_longitude": geometry.lon[good].max(),
            "southernmost_latitude": geometry.lat[good].min(),
            "northernmost_latitude": geometry.lat[good].max(),
            "spatialResolution": abs(geometry.geotransform[1]),
            "spatial_ref": geometry.spatial_ref,
            "geotransform": np.array(geometry.geotransform),
            **attributes,
        }
    )


def _put_location(file: h5netcdf.File, geometry: Geometry, compressed: bool) -> None:
    group = file.create_group("location")
    swath, ortho = ("downtrack", "crosstrack"), ("ortho_y", "ortho_x")
    fill = np.float64(NODATA)
    _put(group, "lon", swath, geometry.lon, compressed, fill, long_name="Longitude (WGS-84)", units="degrees east")
    _put(group, "lat", swath, geometry.lat, compressed, fill, long_name="Latitude (WGS-84)", units="degrees north")
    _put(group, "elev", swath, geometry.elev, compressed, fill, long_name="Surface Elevation", units="m")
    for name, table, axis in (("glt_x", geometry.glt_x, "X"), ("glt_y", geometry.glt_y, "Y")):
        title = f"GLT {'Sample' if axis == 'X' else 'Line'} Lookup"
        _put(group, name, ortho, table, compressed, np.int32(0), long_name=title, units="pixel location")


def _put(
    group: h5netcdf.Group,
    name: str,
    dimensions: tuple[str, ...],
    values: NDArray[Any],
    compressed: bool = False,
    fill: np.generic | None = None,
    **attributes: str,
) -> None:
    storage = _STORAGE[compressed]
    variable = group.create_variable(name, dimensions, values.dtype, data=values, fillvalue=fill, **storage)
    variable.attrs.update(attributes)
