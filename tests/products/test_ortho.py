from __future__ import annotations

import h5py
import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from spectf_cloud.errors import InputError
from spectf_cloud.products.ortho import through_glt
from spectf_cloud.scene import Glt, Grid

from small_scenes import TAGS, make_mask, make_scene, nearest_glt, sheared_location


@pytest.fixture
def located():
    location = sheared_location(40, 50)
    return make_scene(40, 50, location=location, glt=nearest_glt(location))


def test_ortho_is_a_valid_cog_with_the_masks_values(located, tmp_path):
    mask = make_mask(located)
    path = tmp_path / "ortho.tif"
    mask.to_ortho(path)
    valid, errors, warnings = cog_validate(path, strict=True)
    assert valid, (errors, warnings)
    glt = located.glt()
    with rasterio.open(path) as dataset:
        assert dataset.dtypes == ("uint8",) and dataset.nodata == 255
        assert dataset.compression.value == "LZW" and dataset.crs.to_epsg() == 4326
        assert dataset.transform.to_gdal() == pytest.approx(glt.geotransform, abs=1e-12)
        assert TAGS.items() <= dataset.tags().items()
        assert dataset.colormap(1)[1] == (255, 255, 255, 255)
        values = dataset.read(1)
    for row, column in np.ndindex(values.shape):
        line, sample = glt.line[row, column], glt.sample[row, column]
        assert values[row, column] == (255 if line < 0 else mask.mask[line, sample])


def test_each_ortho_pixel_lies_within_a_pixel_of_what_it_shows(located, tmp_path):
    mask = make_mask(located)
    mask.to_ortho(tmp_path / "ortho.tif")
    glt, location = located.glt(), located.location()
    with rasterio.open(tmp_path / "ortho.tif") as dataset:
        row, column = np.nonzero(glt.line >= 0)
        x, y = dataset.xy(row, column)
        step = dataset.res[0]
    line, sample = glt.line[row, column], glt.sample[row, column]
    assert np.abs(x - location.lon_deg[line, sample]).max() < step
    assert np.abs(y - location.lat_deg[line, sample]).max() < step


def test_a_large_ortho_has_nearest_overviews(tmp_path):
    line, sample = np.mgrid[:600, :700].astype(np.int32)
    glt = Glt(line, sample, (0.0, 0.01, 0.0, 10.0, 0.0, -0.01), rasterio.crs.CRS.from_epsg(4326).to_wkt())
    make_mask(make_scene(600, 700, glt=glt), preview=False).to_ortho(tmp_path / "ortho.tif")
    assert cog_validate(tmp_path / "ortho.tif", strict=True)[0]
    with rasterio.open(tmp_path / "ortho.tif") as dataset:
        assert dataset.overviews(1)
    with rasterio.open(tmp_path / "ortho.tif", OVERVIEW_LEVEL=0) as overview:
        assert set(np.unique(overview.read(1))) == {0, 1, 255}


def test_a_scene_on_a_grid_is_written_on_it(tmp_path):
    grid = Grid((400000.0, 30.0, 0.0, 4000000.0, 0.0, -30.0), rasterio.crs.CRS.from_epsg(32633).to_wkt())
    mask = make_mask(make_scene(12, 11, grid=grid))
    mask.to_ortho(tmp_path / "ortho.tif")
    assert cog_validate(tmp_path / "ortho.tif", strict=True)[0]
    with rasterio.open(tmp_path / "ortho.tif") as dataset:
        assert dataset.crs.to_epsg() == 32633 and dataset.transform.to_gdal() == grid.geotransform
        np.testing.assert_array_equal(dataset.read(1), mask.mask)


def test_without_a_table_the_error_names_the_files_and_nothing_is_written(tmp_path):
    mask = make_mask(make_scene(5, 6))
    with pytest.raises(InputError, match=r"EMIT_L1B_RAD.*look-up table.*sensor grid"):
        mask.to_ortho(tmp_path / "ortho.tif")
    assert not list(tmp_path.iterdir())


def test_a_table_of_another_granule_is_refused(located, tmp_path):
    glt = located.glt()
    glt.line[3, 3] = 40
    with pytest.raises(InputError, match=r"line 41.*40 lines"):
        make_mask(located).to_ortho(tmp_path / "ortho.tif")


def test_real_table_lands_within_a_pixel_of_its_longitude_and_latitude(reference):
    """The values brought through are the coordinates themselves: what arrives must be where it is."""
    (path,) = (reference / "emit").glob("EMIT_L1B_OBS_*.nc")
    with h5py.File(path) as file:
        lon, lat = file["location/lon"][:], file["location/lat"][:]
        glt_x, glt_y = np.abs(file["location/glt_x"][:]), np.abs(file["location/glt_y"][:])
        geotransform = tuple(file.attrs["geotransform"])
        wkt = file.attrs["spatial_ref"].decode()
    glt = Glt(glt_y.astype(np.int32) - 1, glt_x.astype(np.int32) - 1, geotransform, wkt)
    seen = glt.line >= 0
    row, column = np.nonzero(seen)
    x, y = rasterio.transform.xy(rasterio.Affine.from_gdal(*geotransform), row, column)
    off_x = (through_glt(lon, glt, np.nan, "lon")[seen] - x) / geotransform[1]
    off_y = (through_glt(lat, glt, np.nan, "lat")[seen] - y) / geotransform[5]
    assert seen.sum() > 50_000
    # The delivered table itself strays up to 1.1 pixels; an index one off would move the medians beyond half.
    for off in (off_x, off_y):
        assert abs(np.median(off)) < 0.5
        assert np.abs(off).max() < 1.2
    assert (np.maximum(np.abs(off_x), np.abs(off_y)) < 1).mean() > 0.9
