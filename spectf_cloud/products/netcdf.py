"""A netCDF file in the layout of EMIT's L2A mask, with SpecTf's three bands."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.distance import CUTOFF_PIXELS, distance_pixels
from spectf_cloud.products.flags import CLOUD, MASK_NODATA, SIMULATED, Masked
from spectf_cloud.scene import NODATA, Glt, Location, Scene

#: The names in EMIT's L2A mask since V002.
BANDS = ("SpecTf-Cloud Probability", "SpecTf-Cloud Flag", "SpecTf-Buffer Distance")

_COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
_LINES_PER_CHUNK = 256
_GRANULE = re.compile(r"(?P<date>\d{8})[tT](?P<time>\d{6})(?:_(?P<orbit>\d{7})_(?P<scene>\d{3}))?")


def write_netcdf(mask: Masked, path: Path, overwrite: bool = False) -> None:
    """Write probability (0 to 1), flag (0, 1) and distance to cloud (pixels, −1 beyond 50) as float32 bands.

    No data is −9999. Location and look-up table are copied from the scene, without the signs by which EMIT marks
    interpolated look-up pixels. Raises `OutputError`.
    """
    scene, glt, location = mask.scene, mask.scene.glt(), mask.scene.location()
    content = io.BytesIO()  # in memory first: on a full disk HDF5 cannot close its file
    with h5netcdf.File(content, "w") as file:
        file.dimensions = {"downtrack": scene.lines, "crosstrack": scene.samples, "bands": len(BANDS)}
        if glt is not None:
            file.dimensions["ortho_y"], file.dimensions["ortho_x"] = glt.line.shape
        file.attrs.update(_root_attributes(mask, glt))
        _write_bands(file, mask, located=location is not None)
        if location is not None:
            _write_location(file, location)
        if glt is not None:
            _write_glt(file, glt)
    with atomic_output(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content.getbuffer())


def _write_bands(file: h5netcdf.File, mask: Masked, *, located: bool) -> None:
    dims = ("downtrack", "crosstrack", "bands")
    shape = (mask.scene.lines, mask.scene.samples)
    chunks = (min(_LINES_PER_CHUNK, shape[0]), shape[1], 1)
    variable = file.create_variable("mask", dims, np.float32, fillvalue=NODATA, chunks=chunks, **_COMPRESSION)
    variable.attrs.update({"long_name": "Masks", "units": "unitless"})
    if located:
        variable.attrs["coordinates"] = "/location/lon /location/lat"
    flag = mask.mask
    valid = flag != MASK_NODATA
    distance = distance_pixels(flag == CLOUD)
    bands: tuple[NDArray[Any], ...] = (mask.probability, flag, distance)
    for band, values in enumerate(bands):
        variable[:, :, band] = np.where(valid, values, np.float32(NODATA)).astype(np.float32)
    names = file.create_variable("/sensor_band_parameters/mask_bands", ("bands",), h5py.string_dtype())
    names[:] = np.array(BANDS, dtype=object)
    names.attrs["long_name"] = "Mask Band Names"


def _write_location(file: h5netcdf.File, location: Location) -> None:
    dims = ("downtrack", "crosstrack")
    for name, values, attributes in (
        ("lon", location.lon_deg, _named("Longitude (WGS-84)", "degrees_east", "longitude")),
        ("lat", location.lat_deg, _named("Latitude (WGS-84)", "degrees_north", "latitude")),
        ("elev", location.elevation_m, _named("Surface Elevation", "m", "surface_altitude")),
    ):
        _write_grid(file, f"/location/{name}", dims, values, NODATA, attributes)


def _write_glt(file: h5netcdf.File, glt: Glt) -> None:
    """Write the table as EMIT does: counted from 1, 0 where nothing was seen."""
    for name, values, long_name in (
        ("glt_x", glt.sample, "GLT Sample Lookup"),
        ("glt_y", glt.line, "GLT Line Lookup"),
    ):
        attributes = {"long_name": long_name, "units": "pixel location"}
        _write_grid(file, f"/location/{name}", ("ortho_y", "ortho_x"), values + np.int32(1), 0, attributes)


def _write_grid(
    file: h5netcdf.File,
    name: str,
    dims: tuple[str, str],
    values: NDArray[np.generic],
    fill: float,
    attributes: Mapping[str, Any],
) -> None:
    chunks = (min(_LINES_PER_CHUNK, values.shape[0]), values.shape[1])
    file.create_variable(
        name, dims, values.dtype, data=values, fillvalue=fill, chunks=chunks, **_COMPRESSION
    ).attrs.update(attributes)


def _named(long_name: str, units: str, standard_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units, "standard_name": standard_name}


def _root_attributes(mask: Masked, glt: Glt | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "Conventions": "CF-1.8",
        "title": mask.title,
        "summary": (
            "Cloud probability of a per-pixel spectral transformer (SpecTf), the flag where it exceeds the "
            f"threshold {mask.threshold:g}, and the distance in pixels to the nearest flagged pixel "
            f"(-1 beyond {CUTOFF_PIXELS} pixels)."
        ),
        "source": f"spectf-cloud {mask.tags.get('SPECTF_VERSION', '')}".strip(),
        **granule_attributes(mask.scene),
        **mask.tags,
    }
    if mask.simulated:
        attributes["comment"] = SIMULATED
    if glt is not None:
        attributes["spatial_ref"] = glt.crs_wkt
        attributes["geotransform"] = np.asarray(glt.geotransform, dtype=np.float64)
    return attributes


def granule_attributes(scene: Scene) -> dict[str, str]:
    """Return ``time_coverage_start`` and ``flight_line`` as far as the granule's name contains them."""
    found = _GRANULE.search(scene.name)
    if found is None:
        return {"flight_line": scene.name}
    day, time = found["date"], found["time"]
    start = f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}+0000"
    if found["orbit"] is None or not scene.name.startswith("EMIT"):
        return {"flight_line": scene.name, "time_coverage_start": start}
    # The orbit in a delivered name begins with the year; flight lines keep the last five digits.
    return {"flight_line": f"emit{day}t{time}_o{found['orbit'][2:]}_s{found['scene']}", "time_coverage_start": start}
