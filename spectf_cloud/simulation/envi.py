"""Writes the ENVI form of a granule: radiance (RDN), observation (OBS) and location (LOC), as delivered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation.emit_netcdf import SIMULATED
from spectf_cloud.simulation.geometry import NODATA, OBS_BANDS, Geometry

Float32Array = NDArray[np.float32]

_LOCATION_BANDS = ("Longitude (WGS-84)", "Latitude (WGS-84)", "Elevation (m)")
_DATA_TYPES = {"float32": 4, "float64": 5}


def teed(path: Path, lines: Iterable[Float32Array]) -> Iterator[Float32Array]:
    """Pass on lines (samples, bands), writing each to an ENVI BIL file on the way."""
    with path.open("wb") as file:
        for line in lines:
            file.write(np.ascontiguousarray(line.T, dtype="<f4").data)
            yield line


def write_radiance_header(path: Path, shape: tuple[int, int], sensor: Sensor, more: dict[str, str]) -> None:
    """Header of a float32 BIL radiance cube, uW cm-2 sr-1 nm-1, with centres and widths in nm, and ``more`` entries."""
    names = [f"{centre:.2f}" for centre in sensor.wavelength_nm]
    _write_header(
        path,
        shape,
        "float32",
        names,
        {
            "wavelength units": "Nanometers",
            # Every digit of the float32 that the netCDF holds: a scene has the same bits in both formats.
            "wavelength": _listed(map(repr, sensor.wavelength_nm.astype(np.float32).tolist())),
            "fwhm": _listed(map(repr, sensor.fwhm_nm.astype(np.float32).tolist())),
            **more,
        },
    )


def write_observation(path: Path, header: Path, geometry: Geometry) -> None:
    """Observation geometry, float64 BIL, with band names."""
    _write_bil(path, geometry.obs)
    _write_header(header, geometry.shape, "float64", OBS_BANDS)


def write_location(path: Path, header: Path, geometry: Geometry) -> None:
    """Longitude, latitude and elevation, float64 BIL."""
    _write_bil(path, np.stack([geometry.lon, geometry.lat, geometry.elev], axis=2))
    _write_header(header, geometry.shape, "float64", _LOCATION_BANDS)


def _write_bil(path: Path, cube: NDArray[np.floating]) -> None:
    with path.open("wb") as file:
        for line in cube:
            file.write(np.ascontiguousarray(line.T, dtype="<f8").data)


def _write_header(
    path: Path, shape: tuple[int, int], dtype: str, names: Iterable[str], more: dict[str, Any] | None = None
) -> None:
    names = list(names)
    fields = {
        "description": f"{{{SIMULATED}}}",
        "samples": shape[1],
        "lines": shape[0],
        "bands": len(names),
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": _DATA_TYPES[dtype],
        "interleave": "bil",
        "byte order": 0,
        "data ignore value": int(NODATA),
        "band names": _listed(names),
        **(more or {}),
    }
    path.write_text("ENVI\n" + "".join(f"{key} = {value}\n" for key, value in fields.items()))


def _listed(values: Iterable[str]) -> str:
    return "{ " + ", ".join(values) + " }"
