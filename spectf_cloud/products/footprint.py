"""The area of a scene on the ground, as a GeoJSON polygon."""

from __future__ import annotations

import json
from typing import Any

import antimeridian
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.warp import transform

from spectf_cloud.products.geotiff import crs_of
from spectf_cloud.scene import NODATA, Glt, Grid, Scene

Points = NDArray[np.float64]
_WGS84 = "EPSG:4326"
# Seven centimetres on the ground.
_DECIMALS = 6
_POINTS_AROUND_POLE = 64


def footprint(scene: Scene, glt: Glt | None) -> dict[str, Any] | None:
    """Return the convex hull of the scene's pixels, longitude and latitude in degrees (WGS 84).

    It contains the whole cells of the grid or the seen ones of the look-up table, else pixel centres. None where the
    files give no position. Across the antimeridian it is a MultiPolygon, as in RFC 7946 (3.1.9).
    """
    place = scene.grid() or glt
    points: Points | None
    if isinstance(place, Grid):
        points = _to_degrees(_grid_corners(place, scene.lines, scene.samples), place, scene.name)
    elif place is not None and (seen := _seen_corners(place)) is not None:
        points = _to_degrees(seen, place, scene.name)
    else:
        points = _located(scene)
    return None if points is None else outline(points)


def outline(points: Points) -> dict[str, Any] | None:
    """Return the convex hull of points (n, 2), degrees east and north, as GeoJSON; None where they span no area."""
    lon, lat = points.T
    if np.ptp(lon) > 180:  # on both sides of the antimeridian, or around a pole
        lon = np.where(lon < 0, lon + 360, lon)
    around = np.ptp(lon) > 180
    north, south = bool(around and lat.min() > 0), bool(around and lat.max() < 0)
    if north or south:
        hull = _around_pole(np.radians(lon), lat)
    else:
        lon = (points[:, 0] if around else lon) - 360 * np.floor((lon.mean() + 180) / 360)
        hull = shapely.MultiPoint(np.stack([lon, lat], axis=1)).convex_hull
    if not isinstance(hull, shapely.Polygon):
        return None
    cut = antimeridian.fix_polygon(
        hull, great_circle=False, fix_winding=True, force_north_pole=north, force_south_pole=south
    )
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(shapely.transform(cut, lambda xy: xy.round(_DECIMALS))))
    return geometry


def bounds(geometry: dict[str, Any]) -> list[float]:
    """Return west, south, east, north of a footprint; west is greater than east across the antimeridian."""
    return antimeridian.bbox(geometry)


def _around_pole(lon_rad: Points, lat: Points) -> shapely.Polygon:
    """Return the hull in the plane of the azimuthal equidistant projection, with corners close to one another."""
    from_pole = 90 - np.abs(lat)
    plane = np.stack([from_pole * np.cos(lon_rad), from_pole * np.sin(lon_rad)], axis=1)
    hull = shapely.orient_polygons(shapely.MultiPoint(plane).convex_hull)
    x, y = shapely.get_coordinates(hull.segmentize(hull.length / _POINTS_AROUND_POLE)).T
    lon_lat = np.stack([np.degrees(np.arctan2(y, x)), np.sign(lat[0]) * (90 - np.hypot(x, y))], axis=1)
    return shapely.Polygon(lon_lat)


def _seen_corners(glt: Glt) -> Points | None:
    """Return map coordinates of the outer corners of the first and last seen cell of each row."""
    seen = glt.line >= 0
    rows = np.flatnonzero(seen.any(axis=1))
    if not len(rows):
        return None
    first = seen[rows].argmax(axis=1)
    last = seen.shape[1] - seen[rows, ::-1].argmax(axis=1)
    x = np.concatenate([first, first, last, last])
    y = np.concatenate([rows, rows + 1, rows, rows + 1])
    return _map(glt.geotransform, x, y)


def _grid_corners(grid: Grid, lines: int, samples: int) -> Points:
    # Edges may curve in another projection: several points on each.
    along = np.linspace(0, 1, 9)
    x = np.concatenate([along, along, np.zeros(9), np.ones(9)]) * samples
    y = np.concatenate([np.zeros(9), np.ones(9), along, along]) * lines
    return _map(grid.geotransform, x, y)


def _map(geotransform: tuple[float, ...], x: NDArray[Any], y: NDArray[Any]) -> Points:
    x0, dx_column, dx_row, y0, dy_column, dy_row = geotransform
    return np.stack([x0 + dx_column * x + dx_row * y, y0 + dy_column * x + dy_row * y], axis=1)


def _to_degrees(points: Points, place: Grid | Glt, source: str) -> Points:
    crs = crs_of(place, source)
    if crs.is_geographic:
        return points
    return np.array(transform(crs, _WGS84, points[:, 0], points[:, 1])).T


def _located(scene: Scene) -> Points | None:
    location = scene.location()
    if location is None:
        return None
    lon, lat = location.lon_deg, location.lat_deg
    known = (lon != NODATA) & (lat != NODATA) & np.isfinite(lon) & np.isfinite(lat)
    rows = np.flatnonzero(known.any(axis=1))
    if not len(rows):
        return None
    first, last = known[rows].argmax(axis=1), known.shape[1] - 1 - known[rows, ::-1].argmax(axis=1)
    rows, columns = np.concatenate([rows, rows]), np.concatenate([first, last])
    return np.stack([lon[rows, columns], lat[rows, columns]], axis=1)
