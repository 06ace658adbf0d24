from __future__ import annotations

import numpy as np
import pytest
import rasterio

from spectf_cloud.errors import InputError, OutputError, UsageError
from spectf_cloud.products.distance import dilate
from spectf_cloud.products.rethreshold import rethreshold

from small_scenes import make_mask, make_scene, sheared_location


@pytest.fixture
def mask():
    return make_mask(make_scene(40, 50, location=sheared_location(40, 50)))


@pytest.fixture
def probability(mask, tmp_path):
    mask.to_probability_geotiff(tmp_path / "a_prob.tif")
    return tmp_path / "a_prob.tif"


def write(path, values, **options):
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(60, 0, 4e5, 0, -60, 5e6)}
    profile = {"driver": "GTiff", "height": values.shape[-2], "width": values.shape[-1], "count": 1, **place}
    with rasterio.open(path, "w", **{**profile, "dtype": values.dtype, **options}) as dataset:
        dataset.write(values, 1)
    return path


def test_the_noted_threshold_gives_the_mask_file_again(mask, probability, tmp_path):
    mask.to_geotiff(tmp_path / "mask.tif")
    report = rethreshold(probability, tmp_path / "again.tif")
    assert report.threshold == 0.5
    assert report.cloud_fraction == mask.cloud_fraction
    with rasterio.open(tmp_path / "mask.tif") as first, rasterio.open(tmp_path / "again.tif") as again:
        np.testing.assert_array_equal(again.read(1), first.read(1))
        assert again.profile == first.profile and again.colormap(1) == first.colormap(1)
        assert [point.asdict() | {"id": ""} for point in again.gcps[0]] == [
            point.asdict() | {"id": ""} for point in first.gcps[0]
        ]
        assert first.tags().items() <= again.tags().items()


def test_threshold_and_buffer_are_applied_and_noted(mask, probability, tmp_path):
    report = rethreshold(probability, tmp_path / "out.tif", 0.8, 3)
    expected = dilate(mask.with_threshold(0.8).mask, 3)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), expected)
        tags = dataset.tags()
    assert tags["SPECTF_THRESHOLD"] == "0.8" and tags["SPECTF_BUFFER_PIXELS"] == "3"
    assert tags["SPECTF_WEIGHTS"] == "v-test" and tags["SPECTF_PROBABILITY"] == "a_prob.tif"
    assert report.cloud_fraction == (expected == 1).sum() / (expected != 255).sum()


def test_a_map_grid_is_kept_and_another_nodata_understood(tmp_path):
    values = np.array([[0.1, 0.9], [-1, np.nan]], np.float64)
    path = write(tmp_path / "map_prob.tif", values, nodata=-1)
    rethreshold(path, tmp_path / "out.tif", 0.5)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.read(1).tolist() == [[0, 1], [255, 255]]
        assert dataset.crs.to_epsg() == 32633 and dataset.transform.c == 4e5


def test_nothing_but_nodata_is_no_error(tmp_path):
    path = write(tmp_path / "empty_prob.tif", np.full((3, 3), -9999, np.float32), nodata=-9999)
    assert rethreshold(path, tmp_path / "out.tif", 0.5, 2).cloud_fraction is None


def test_a_scene_without_a_place_can_be_masked_again(tmp_path):
    make_mask(make_scene(9, 8)).to_probability_geotiff(tmp_path / "prob.tif")
    rethreshold(tmp_path / "prob.tif", tmp_path / "out.tif")
    assert (tmp_path / "out.tif").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 1, 255]], np.uint8), "uint8 values from 0 to 255 without a scale are not a cloud probability"),
        (np.array([[0.2, 1.5]], np.float32), "from 0.2 to 1.5"),
        (np.array([[0.2, -0.5]], np.float32), "from -0.5 to 0.2"),
        (np.array([[0.2, np.inf]], np.float32), "to inf"),
    ],
)
def test_other_rasters_are_refused(values, message, tmp_path):
    path = write(tmp_path / "other.tif", values)
    with pytest.raises(InputError, match=message):
        rethreshold(path, tmp_path / "out.tif", 0.5)
    assert not (tmp_path / "out.tif").exists()


def test_unreadable_missing_and_truncated_files_are_named(probability, tmp_path):
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    truncated = tmp_path / "truncated.tif"
    make_mask(make_scene(600, 600), preview=False).to_probability_geotiff(tmp_path / "big.tif")
    content = (tmp_path / "big.tif").read_bytes()
    truncated.write_bytes(content[: len(content) // 3])
    for path in (text, truncated, tmp_path / "missing.tif"):
        with pytest.raises(InputError, match=path.name):
            rethreshold(path, tmp_path / "out.tif", 0.5)
    assert not (tmp_path / "out.tif").exists()


def test_arguments_that_make_no_sense(probability, tmp_path):
    with pytest.raises(OutputError, match="input of this run"):
        rethreshold(probability, probability, 0.5, overwrite=True)
    with pytest.raises(UsageError, match="0 to 1"):
        rethreshold(probability, tmp_path / "out.tif", 51)
    with pytest.raises(UsageError, match="0 or more"):
        rethreshold(probability, tmp_path / "out.tif", 0.5, -1)
    untagged = write(tmp_path / "untagged.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(UsageError, match="--threshold"):
        rethreshold(untagged, tmp_path / "out.tif")
