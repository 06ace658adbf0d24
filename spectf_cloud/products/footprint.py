"""Where a scene lies on the ground, as a GeoJSON polygon."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform

from spectf_cloud.products.geotiff import crs_of
from spectf_cloud.scene import NODATA, Glt, Grid, Scene

Points = NDArray[np.float64]
_WGS84 = "EPSG:4326"
# Seven centimetres on the ground.
_DECIMALS = 6


def footprint(scene: Scene, glt: Glt | None) -> dict[str, Any] | None:
    """The convex hull of the scene's pixels, longitude and latitude in degrees (WGS 84).

    From the grid or the look-up table, whose seen cells lie in it whole, else from pixel centres; None where the
    files give no place. Across the antimeridian it is a MultiPolygon, as RFC 7946 (3.1.9) has it.
    """
    place = scene.grid() or glt
    points: Points | None
    if isinstance(place, Grid):
        points = _to_degrees(_grid_corners(place, scene.lines, scene.samples), place, scene.name)
    elif place is not None and (seen := _seen_corners(place)) is not None:
        points = _to_degrees(seen, place, scene.name)
    else:
        points = _located(scene)
    hull = None if points is None else convex_hull(points)
    return None if hull is None or len(hull) < 3 else _geometry(hull)


def convex_hull(points: Points) -> Points:
    """Corners (n, 2) of the convex hull of points (m, 2), anticlockwise (Andrew's monotone chain, 1979)."""
    ordered = np.unique(points, axis=0)
    if len(ordered) < 3:
        return ordered

    def chain(line: Points) -> list[Any]:
        corners: list[Any] = []
        for point in line:
            while len(corners) > 1 and _turn(corners[-2], corners[-1], point) <= 0:
                corners.pop()
            corners.append(point)
        return corners[:-1]

    return np.array(chain(ordered) + chain(ordered[::-1]))


def bounds(geometry: dict[str, Any]) -> list[float]:
    """West, south, east, north of a footprint; west is greater than east across the antimeridian."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    boxes = [np.array(polygon[0]) for polygon in polygons]
    south, north = min(box[:, 1].min() for box in boxes), max(box[:, 1].max() for box in boxes)
    # In two parts the eastern one, which ends at 180°, comes first.
    return [float(boxes[0][:, 0].min()), float(south), float(boxes[-1][:, 0].max()), float(north)]


def _turn(origin: Points, a: Points, b: Points) -> float:
    return float((a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0]))


def _geometry(hull: Points) -> dict[str, Any]:
    """GeoJSON, cut at ±180° where the hull goes beyond."""
    middle = np.floor((hull[:, 0].mean() + 180) / 360) * 360
    hull = hull - np.array([middle, 0.0])
    parts = []
    for limit, side, shift in ((180.0, 1, 0.0), (180.0, -1, -360.0), (-180.0, 1, 360.0), (-180.0, -1, 0.0)):
        beyond = hull[:, 0].max() > 180 if limit > 0 else hull[:, 0].min() < -180
        if beyond:
            parts.append(_cut(hull, limit, side) + np.array([shift, 0.0]))
    parts = sorted(parts or [hull], key=lambda part: -part[:, 0].max())
    rings = [[[round(float(x), _DECIMALS), round(float(y), _DECIMALS)] for x, y in (*part, part[0])] for part in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": [rings[0]]}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def _cut(hull: Points, longitude: float, side: int) -> Points:
    """The part of a convex polygon west (side 1) or east (−1) of a meridian."""
    corners: list[Points] = []
    for start, end in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        inside, next_inside = side * start[0] <= side * longitude, side * end[0] <= side * longitude
        if inside:
            corners.append(start)
        if inside != next_inside:
            share = (longitude - start[0]) / (end[0] - start[0])
            corners.append(np.array([longitude, start[1] + share * (end[1] - start[1])]))
    return np.array(corners)


def _seen_corners(glt: Glt) -> Points | None:
    """Map coordinates of the outer corners of the first and last seen cell of each row."""
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
    points = np.stack([lon[rows, columns], lat[rows, columns]], axis=1)
    if np.ptp(points[:, 0]) > 180:
        points = np.where(points[:, :1] < 0, points + np.array([360.0, 0.0]), points)
    return points
