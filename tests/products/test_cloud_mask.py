from __future__ import annotations

import base64
import io
import math
import re
import signal
import sys

import numpy as np
import pytest
from PIL import Image

from spectf_cloud.errors import InputError, MissingExtraError, OutputError, UsageError
from spectf_cloud.products import CloudMask
from spectf_cloud.scene import NODATA

from small_scenes import TAGS, make_mask, make_scene, nearest_glt, sheared_location


def one_row(values, threshold=0.5):
    probability = np.array([values], np.float32)
    return CloudMask(make_scene(*probability.shape), probability, threshold, TAGS)


def test_cloud_is_strictly_above_the_threshold_and_nodata_is_neither():
    mask = one_row([0, 0.5, np.nextafter(np.float32(0.5), 1), 1, NODATA, np.nan])
    assert mask.mask.dtype == np.uint8
    assert mask.mask.tolist() == [[0, 0, 1, 1, 255, 255]]
    assert mask.cloud_fraction == 0.5


def test_cloud_fraction_without_data_is_nan():
    assert math.isnan(one_row([NODATA, NODATA]).cloud_fraction)


def test_another_threshold_changes_mask_and_tag_only():
    mask = one_row([0.2, 0.6, NODATA])
    lower = mask.with_threshold(0.1)
    assert lower.mask.tolist() == [[1, 1, 255]]
    assert lower.tags == {**TAGS, "SPECTF_THRESHOLD": "0.1"}
    assert mask.threshold == 0.5 and mask.tags["SPECTF_THRESHOLD"] == "0.5"
    assert lower.probability is mask.probability


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(UsageError, match="0 to 1"):
        one_row([0.5], threshold)


def test_probability_of_another_scene_is_refused():
    with pytest.raises(InputError, match="different scenes"):
        CloudMask(make_scene(3, 4), np.zeros((4, 3), np.float32), 0.5, TAGS)


@pytest.mark.parametrize("method", ["to_geotiff", "to_probability_geotiff", "to_ortho", "to_netcdf", "to_quicklook"])
def test_no_product_replaces_an_input(method, tmp_path):
    radiance = tmp_path / "radiance.nc"
    radiance.write_bytes(b"precious")
    mask = make_mask(make_scene(8, 9, path=radiance))
    with pytest.raises(OutputError, match="input of this run"):
        getattr(mask, method)(radiance, overwrite=True)
    assert radiance.read_bytes() == b"precious"


@pytest.mark.parametrize("method", ["to_geotiff", "to_probability_geotiff", "to_netcdf", "to_quicklook"])
def test_each_product_is_the_same_bytes_again_and_needs_overwrite(method, tmp_path):
    mask = make_mask(make_scene(20, 30, location=sheared_location(20, 30)))
    path = tmp_path / "product.tif"
    getattr(mask, method)(path)
    first = path.read_bytes()
    with pytest.raises(OutputError, match="overwrite"):
        getattr(mask, method)(path)
    getattr(mask, method)(str(path), overwrite=True)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["product.tif"]


@pytest.mark.parametrize("method", ["to_geotiff", "to_probability_geotiff", "to_ortho", "to_netcdf", "to_quicklook"])
def test_a_full_disk_is_an_error_that_leaves_nothing(method, tmp_path):
    resource = pytest.importorskip("resource")
    location = sheared_location(20, 30)
    mask = make_mask(make_scene(20, 30, location=location, glt=nearest_glt(location)))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OutputError, match=r"product\.tif: could not be written"):
            getattr(mask, method)(tmp_path / "product.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())


def test_xarray_holds_probability_mask_and_place():
    scene = make_scene(6, 20, location=sheared_location(6, 20))
    mask = make_mask(scene)
    dataset = mask.to_xarray()
    assert dataset.cloud_probability.dims == ("downtrack", "crosstrack")
    missing = mask.probability == NODATA
    assert np.isnan(dataset.cloud_probability.values[missing]).all()
    np.testing.assert_array_equal(dataset.cloud_probability.values[~missing], mask.probability[~missing])
    np.testing.assert_array_equal(dataset.cloud_mask, mask.mask)
    np.testing.assert_array_equal(dataset.lat, scene.location().lat_deg)
    assert dataset.attrs["SPECTF_WEIGHTS"] == "v-test"


def test_without_xarray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match="pip install xarray"):
        one_row([0.5]).to_xarray()


def test_notebook_form_holds_the_picture_and_escapes_names():
    mask = make_mask(make_scene(12, 10, name="a<b>"))
    page = mask._repr_html_()
    assert "a&lt;b&gt;" in page
    png = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    assert Image.open(io.BytesIO(png)).format == "PNG"
