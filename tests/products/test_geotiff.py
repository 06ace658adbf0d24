from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.transform import GCPTransformer

from spectf_cloud.products.geotiff import ground_control_points
from spectf_cloud.scene import NODATA, Grid, Location

from small_scenes import TAGS, WGS84, make_mask, make_scene, sheared_location


def check_common(dataset):
    assert dataset.driver == "GTiff"
    assert dataset.compression.value == "LZW"
    assert dataset.block_shapes == [(256, 256)]
    assert dataset.units == ("1",)
    assert TAGS.items() <= dataset.tags().items()


def test_mask_reopens_with_its_values_colours_and_tags(tmp_path):
    mask = make_mask(make_scene(300, 280, location=sheared_location(300, 280)))
    mask.to_geotiff(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        check_common(dataset)
        assert dataset.dtypes == ("uint8",) and dataset.nodata == 255
        np.testing.assert_array_equal(dataset.read(1), mask.mask)
        assert dataset.descriptions == ("SpecTf cloud mask",)
        assert dataset.tags(1)["flag_meanings"] == "clear cloud no_data"
        colours = dataset.colormap(1)
        assert colours[1] == (255, 255, 255, 255) and colours[0] != colours[1] != colours[255]
        assert dataset.overviews(1) == [2]
    with rasterio.open(tmp_path / "mask.tif", OVERVIEW_LEVEL=0) as overview:
        assert overview.shape == (150, 140)
        assert set(np.unique(overview.read(1))) <= {0, 1, 255}


def test_probability_reopens_bit_for_bit(tmp_path):
    mask = make_mask(make_scene(300, 280, location=sheared_location(300, 280)))
    mask.to_probability_geotiff(tmp_path / "prob.tif")
    with rasterio.open(tmp_path / "prob.tif") as dataset:
        check_common(dataset)
        assert dataset.dtypes == ("float32",) and dataset.nodata == -9999
        assert dataset.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
        np.testing.assert_array_equal(dataset.read(1), mask.probability)
    with rasterio.open(tmp_path / "prob.tif", OVERVIEW_LEVEL=0) as overview:
        values = overview.read(1)
        assert ((values == NODATA) | ((values >= 0) & (values <= 1))).all()


@pytest.mark.parametrize(("lines", "samples", "overviews"), [(1, 1, 1), (10, 10, 1), (513, 20, 2), (30, 1100, 3)])
def test_any_size_has_overviews_down_to_a_tile(lines, samples, overviews, tmp_path):
    make_mask(make_scene(lines, samples, location=sheared_location(lines, samples))).to_geotiff(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        assert len(dataset.overviews(1)) == overviews


def test_control_points_put_every_pixel_in_its_place(tmp_path):
    location = sheared_location(50, 60)
    make_mask(make_scene(50, 60, location=location)).to_geotiff(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        gcps, crs = dataset.gcps
    assert crs.to_epsg() == 4326 and len(gcps) == 64
    with GCPTransformer(gcps) as transformer:
        line, sample = np.mgrid[:50, :60]
        lon, lat = transformer.xy(line.ravel(), sample.ravel(), offset="center")
    np.testing.assert_allclose(lon, location.lon_deg.ravel(), atol=1e-7)
    np.testing.assert_allclose(lat, location.lat_deg.ravel(), atol=1e-7)


def test_control_points_leave_out_unknown_places_and_continue_past_the_date_line():
    location = sheared_location(20, 20, lon0=179.995)
    wrapped = np.where(location.lon_deg > 180, location.lon_deg - 360, location.lon_deg)
    wrapped[:, 0] = NODATA
    gcps = ground_control_points(Location(wrapped, location.lat_deg, location.elevation_m))
    assert len(gcps) == 7 * 8
    assert max(point.x for point in gcps) - min(point.x for point in gcps) < 1
    for point in gcps:
        assert point.x == pytest.approx(location.lon_deg[int(point.row), int(point.col)])


def test_an_orthorectified_scene_keeps_its_grid(tmp_path):
    grid = Grid((400000.0, 30.0, 0.0, 4000000.0, 0.0, -30.0), rasterio.crs.CRS.from_epsg(32633).to_wkt())
    make_mask(make_scene(9, 8, grid=grid)).to_geotiff(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform.to_gdal() == grid.geotransform


def test_a_scene_without_a_place_is_written_without_one_and_without_a_warning(tmp_path, recwarn):
    mask = make_mask(make_scene(9, 8))
    mask.to_geotiff(tmp_path / "mask.tif")
    assert not recwarn.list
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(tmp_path / "mask.tif") as dataset:
        assert dataset.crs is None
        np.testing.assert_array_equal(dataset.read(1), mask.mask)


def test_wgs84_text_of_the_tests_is_what_it_says():
    assert rasterio.crs.CRS.from_wkt(WGS84).to_epsg() == 4326
