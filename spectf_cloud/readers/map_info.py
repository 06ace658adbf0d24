"""The ``map info`` of an ENVI header as a georeference."""

from __future__ import annotations

import logging
import math
import re
import warnings
from typing import Any
from uuid import uuid4

from spectf_cloud.errors import InputError
from spectf_cloud.readers.envi_header import EnviHeader, items
from spectf_cloud.scene import Grid

logger = logging.getLogger(__name__)

GeoTransform = tuple[float, float, float, float, float, float]

#: Place of "North" or "South" after the zone of UTM.
_HEMISPHERE = 8
_ROTATION = re.compile(r"rotation\s*=\s*(.*)", re.IGNORECASE)


def read_grid(header: EnviHeader) -> Grid | None:
    """Where the header ties its pixels; None where it does not say. Raises `InputError`.

    GDAL understands the projection and the unrotated grid. It would rotate about the first pixel, wherever the tie
    point is, and takes a half turn for lines that run north: so the rotation is done here.
    """
    if "map info" not in header.fields:
        return None
    info = items(header.fields["map info"])
    turns = [found[1] for item in info if (found := _ROTATION.fullmatch(item))]
    upright = [item for item in info if not _ROTATION.fullmatch(item)]
    if len(upright) > _HEMISPHERE and upright[_HEMISPHERE].lower() == "s":  # GDAL would take it for north
        upright[_HEMISPHERE] = "South"
    grid = _by_gdal(header, upright)
    if grid is None or not turns:
        return grid
    try:
        turn_deg, sample, line = float(turns[0]), float(upright[1]) - 1, float(upright[2]) - 1
    except ValueError:
        turn_deg = math.nan
    if not math.isfinite(turn_deg):
        raise InputError(f"{header.path}: the rotation {turns[0][:40]!r} of the map info is not a number of degrees")
    if abs(turn_deg) == 180:
        logger.warning("%s: rotation=180 is taken for a half turn; GDAL also means lines that run north", header.path)
    return Grid(_turned(grid.geotransform, turn_deg, sample, line), grid.crs_wkt)


def _turned(upright: GeoTransform, turn_deg: float, sample: float, line: float) -> GeoTransform:
    """The upright grid turned counter-clockwise about a point given in pixels from its outer corner."""
    x, x_per_sample, _, y, _, y_per_line = upright
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    east = (x_per_sample * cos, -y_per_line * sin)  # of a sample, of a line
    north = (x_per_sample * sin, y_per_line * cos)
    return (
        x + sample * (x_per_sample - east[0]) - line * east[1],
        *east,
        y + line * (y_per_line - north[1]) - sample * north[0],
        *north,
    )


def _by_gdal(header: EnviHeader, info: list[str]) -> Grid | None:
    """The grid as GDAL reads it from a header of nothing but the map: it sees no other file."""
    import rasterio
    from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    folder = f"spectf-{uuid4()}"
    try:
        with (
            warnings.catch_warnings(),
            MemoryFile(bytes(2), dirname=folder, filename="grid.img") as data,
            MemoryFile(_map_header(header, info), dirname=folder, filename="grid.hdr"),
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(data.name, driver="ENVI") as raster:
                return grid_of(raster)
    except (RasterioError, CRSError) as error:
        raise InputError(f"{header.path}: the map info cannot be used: {error}") from error


def grid_of(raster: Any) -> Grid | None:
    """The georeference of an open raster; None where it has none, or one that stands for none."""
    geotransform = raster.transform.to_gdal()
    if raster.crs is None or raster.transform.is_identity or not all(map(math.isfinite, geotransform)):
        return None
    return None if raster.transform.determinant == 0 else Grid(geotransform, raster.crs.to_wkt())


def _map_header(header: EnviHeader, info: list[str]) -> bytes:
    rows = ["ENVI", "samples = 1", "lines = 1", "bands = 1", "data type = 1", "interleave = bsq"]
    rows.append(f"map info = {{{', '.join(' '.join(item.split()) for item in info)}}}")
    for key in ("projection info", "coordinate system string"):
        if key in header.fields:
            rows.append(f"{key} = {' '.join(header.fields[key].split())}")
    return "\n".join(rows).encode("ascii", "replace") + b"\n"
