"""A scene on a map: the geometry of an overpass on a north-up grid in UTM."""

from __future__ import annotations

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform

from spectf_cloud.simulation.geometry import NODATA, Geometry
from spectf_cloud.simulation.overpass import Overpass, observed

_WGS84 = CRS.from_epsg(4326)


def lay_out(shape: tuple[int, int], overpass: Overpass, rng: np.random.Generator) -> Geometry:
    """Return the geometry of an overpass whose lines go south and samples east.

    Corners of pixels are multiples of their size in UTM.
    """
    zone = int((overpass.lon_deg + 180) // 6) % 60 + 1
    crs = CRS.from_epsg((32600 if overpass.lat_deg >= 0 else 32700) + zone)
    (east,), (north,) = transform(_WGS84, crs, [overpass.lon_deg], [overpass.lat_deg])
    size = overpass.pixel_m
    west, top = ((side // size) * size for side in (east - shape[1] / 2 * size, north + shape[0] / 2 * size))
    line, sample = np.indices(shape)
    x, y = west + (sample + 0.5) * size, top - (line + 0.5) * size
    lon, lat = (np.reshape(values, shape) for values in transform(crs, _WGS84, x.ravel(), y.ravel()))
    # Where grid north points: to the east of true north on the eastern side of a northern zone.
    off_meridian = np.deg2rad(overpass.lon_deg - (6 * zone - 183))
    convergence_deg = np.rad2deg(np.arctan(np.tan(off_meridian) * np.sin(np.deg2rad(overpass.lat_deg))))
    place, obs = observed(overpass, 180 + float(convergence_deg), lon, lat, rng)
    seen = place[2] != NODATA
    glt_x, glt_y = (np.where(seen, index + 1, 0).astype(np.int32) for index in (sample, line))
    geotransform = (float(west), size, 0.0, float(top), 0.0, -size)
    return Geometry(obs, *place, glt_x, glt_y, geotransform, crs.to_wkt(), overpass.start)
