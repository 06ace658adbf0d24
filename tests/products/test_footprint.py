"""Where scenes lie on the ground: hulls in degrees, cut at the antimeridian, around the poles."""

import numpy as np
import pytest
from rasterio.crs import CRS
from shapely.geometry import Point, shape

from spectf_cloud.products.footprint import bounds, footprint, outline
from spectf_cloud.scene import Grid

from small_scenes import WGS84, make_scene, nearest_glt, sheared_location


def crs_text(epsg):
    return CRS.from_epsg(epsg).to_wkt()


def inside(ring, points, slack=2e-6):
    """Whether points lie in an anticlockwise convex ring."""
    ring, points = np.array(ring), np.array(points)
    edges = np.diff(ring, axis=0)
    offsets = points[:, None] - ring[None, :-1]
    cross = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    return (cross >= -slack * np.hypot(*edges.T)).all(axis=1)


def area(ring):
    x, y = np.array(ring).T
    return 0.5 * (x[:-1] @ y[1:] - y[:-1] @ x[1:])


def test_a_footprint_holds_every_seen_cell_and_little_else():
    location = sheared_location(60, 40)
    glt = nearest_glt(location)
    found = footprint(make_scene(60, 40, glt=glt), glt)
    assert found["type"] == "Polygon"
    row, column = np.nonzero(glt.line >= 0)
    west, step, _, north, _, _ = glt.geotransform
    for right in (0, 1):
        for down in (0, 1):
            corners = np.stack([west + step * (column + right), north - step * (row + down)], axis=1)
            assert inside(found["coordinates"][0], corners).all()
    cells = len(row) * step**2
    assert cells <= area(found["coordinates"][0]) < 1.1 * cells


def test_without_a_table_the_pixels_centres_make_the_footprint():
    location = sheared_location(20, 10)
    found = footprint(make_scene(20, 10, location=location), None)
    points = np.stack([location.lon_deg.ravel(), location.lat_deg.ravel()], axis=1)
    assert inside(found["coordinates"][0], points).all()
    assert footprint(make_scene(20, 10), None) is None
    location.lon_deg[...] = -9999
    assert footprint(make_scene(20, 10, location=location), None) is None


def test_a_grid_in_metres_becomes_degrees():
    found = footprint(make_scene(100, 50, grid=Grid((500000.0, 60.0, 0, 0.0, 0, -60.0), crs_text(32633))), None)
    west, south, east, north = bounds(found)
    # At the equator on the central meridian: 3 km east, 6 km south, scale 0.9996.
    np.testing.assert_allclose([west, east, north], [15.0, 15 + 3000 / 0.9996 / 111319.49, 0.0], atol=2e-6)
    np.testing.assert_allclose(south, -6000 / 0.9996 / 110574.39, rtol=1e-4)


@pytest.mark.parametrize("lon0", [179.99, -180.01])
def test_a_footprint_across_the_antimeridian_has_two_parts(lon0):
    location = sheared_location(60, 40, lon0=lon0)
    glt = nearest_glt(location)
    found = footprint(make_scene(60, 40, glt=glt), glt)
    assert found["type"] == "MultiPolygon"
    east, west = (np.array(part[0]) for part in found["coordinates"])
    assert east[:, 0].max() == 180 and west[:, 0].min() == -180
    whole = footprint(
        make_scene(60, 40, glt=nearest_glt(sheared_location(60, 40))), nearest_glt(sheared_location(60, 40))
    )
    np.testing.assert_allclose(area(east) + area(west), area(whole["coordinates"][0]), rtol=0.02)
    box = bounds(found)
    assert box[0] > box[2]
    wrapped = np.where(location.lon_deg > 180, location.lon_deg - 360, location.lon_deg)
    location.lon_deg[...] = np.where(wrapped < -180, wrapped + 360, wrapped)
    assert footprint(make_scene(60, 40, location=location), None)["type"] == "MultiPolygon"


def test_a_grid_in_metres_across_the_antimeridian_is_no_belt_around_the_world():
    found = footprint(make_scene(100, 50, grid=Grid((770000.0, 60.0, 0, 6000000.0, 0, -60.0), crs_text(32760))), None)
    west, _, east, _ = bounds(found)
    assert found["type"] == "MultiPolygon"
    assert 179.99 < west <= 180 and -180 < east < -179.9
    assert shape(found).area < 0.01


@pytest.mark.parametrize(("epsg", "pole"), [(3413, 90), (3031, -90)])
def test_a_scene_around_a_pole_holds_it(epsg, pole):
    found = shape(footprint(make_scene(100, 100, grid=Grid((-30e3, 600.0, 0, 30e3, 0, -600.0), crs_text(epsg))), None))
    assert found.is_valid and found.bounds[0] == -180 and found.bounds[2] == 180
    for lon in (-180, -100, 0, 179):
        # Edges are 30 km from the pole, corners 42 km; a degree is 111 km.
        assert found.covers(Point(lon, pole)) and found.covers(Point(lon, np.sign(pole) * 89.74))
        assert not found.covers(Point(lon, np.sign(pole) * 89.6))


@pytest.mark.parametrize("west", [-180.0, 170.0, 180.0, 540.0])
def test_a_grid_that_ends_at_the_antimeridian_stays_whole(west):
    found = footprint(make_scene(10, 10, grid=Grid((west, 1.0, 0, 9.0, 0, -1.0), WGS84)), None)
    assert found["type"] == "Polygon"
    assert bounds(found) == [170, -1, 180, 9] if west == 170 else [-180, -1, -170, 9]


def test_what_spans_no_area_has_no_footprint():
    assert outline(np.array([[1.0, 2.0]])) is None
    assert outline(np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])) is None


def test_the_whole_world_is_a_box():
    found = footprint(make_scene(18, 36, grid=Grid((-180.0, 10.0, 0, 90.0, 0, -10.0), WGS84)), None)
    assert bounds(found) == [-180, -90, 180, 90]
