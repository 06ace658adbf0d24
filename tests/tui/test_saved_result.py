"""A saved probability, reopened: masked again and saved as every product, which are opened in turn."""

import h5netcdf
import numpy as np
import pytest
from PIL import Image

from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError, OutputError, UsageError
from spectf_cloud.mapping.explain import explain_pixel
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.distance import dilate
from spectf_cloud.products.flags import apply_threshold
from spectf_cloud.products.preview import read_preview
from spectf_cloud.sensor import PUBLISHED_DROP_NM
from spectf_cloud.tui.saved_result import load_result
from spectf_cloud.tui.scene_facts import read_card, read_facts, read_thumbnail

from scene_files import arrays, raster, write_emit, write_envi_scene


@pytest.fixture
def probability(tmp_path):
    """A file as deploy-pt writes it, beside the granule it is of."""
    glt = np.meshgrid(np.arange(1, 10), np.arange(1, 13))
    rad, obs = write_emit(tmp_path, arrays(12, 9), glt=tuple(glt))
    values = np.random.default_rng(1).random((12, 9), np.float32)
    values[0, :3] = -9999
    tags = {"SPECTF_RADIANCE": rad.name, "SPECTF_OBSERVATION": obs.name, "SPECTF_THRESHOLD": "0.6"}
    path = tmp_path / "x_mask_prob.tif"
    CloudMask(open_scene(rad, obs), values, 0.6, tags).to_probability_geotiff(path)
    return path


def test_the_result_finds_its_scene_and_threshold(probability):
    result = load_result(probability)
    assert (result.threshold, result.shape, result.stem) == (0.6, (12, 9), "x")
    assert result.scene.name.startswith("EMIT_L1B_RAD")
    assert result.with_picture().rgb.shape == (12, 9, 3)


@pytest.mark.parametrize(("weights", "drop_nm"), [("builtin", PUBLISHED_DROP_NM), ("official:v0.1.0", ())])
def test_the_picture_and_the_spectra_are_what_the_network_saw(tmp_path, official, weights, drop_nm):
    """The weights' own irradiance and the mask's drop ranges, neither of which are the bundled ones here."""
    scene = open_scene(*write_emit(tmp_path, arrays(12, 9)))
    mask = mask_scene(scene, weights=weights, drop_nm=drop_nm)
    mask.to_probability_geotiff(tmp_path / "x_prob.tif")
    result = load_result(tmp_path / "x_prob.tif")
    tokens = result.tokens(result.scene)
    explained = explain_pixel(scene, 4, 5, weights=weights, drop_nm=drop_nm)
    np.testing.assert_array_equal(tokens.wavelength_nm, explained.wavelength_nm)
    np.testing.assert_array_equal(tokens.read_line(result.scene, 4)[5], explained.toa)
    preview = read_preview(result.scene, tokens)
    np.testing.assert_array_equal(preview.wavelength_nm, mask.preview.wavelength_nm)
    np.testing.assert_array_equal(preview.reflectance, mask.preview.reflectance)


def test_every_product_has_the_new_threshold_and_buffer(probability, tmp_path):
    result = load_result(probability)
    wanted = dilate(apply_threshold(result.probability, 0.95), 1)
    for product, name in (("mask", "m.tif"), ("ortho", "o.tif"), ("netcdf", "m.nc"), ("quicklook", "q.png")):
        result.save(product, tmp_path / name, 0.95, 1)
    for name in ("m.tif", "o.tif"):
        with raster(tmp_path / name) as written:
            np.testing.assert_array_equal(written.read(1), wanted)
            assert float(written.tags()["SPECTF_THRESHOLD"]) == 0.95
            assert written.tags()["SPECTF_BUFFER_PIXELS"] == "1"
    with h5netcdf.File(tmp_path / "m.nc") as written:
        np.testing.assert_array_equal(written["mask"][..., 1], np.where(wanted == 255, -9999, wanted.astype(int)))
        assert written.attrs["SPECTF_BUFFER_PIXELS"] == "1"
    with Image.open(tmp_path / "q.png") as picture:
        assert picture.text["SPECTF_THRESHOLD"] == "0.95"
    with pytest.raises(OutputError, match="exists already"):
        result.save("ortho", tmp_path / "o.tif", 0.5, 0)


def test_a_buffer_is_part_of_the_mask(probability):
    scene = load_result(probability).scene
    values = np.zeros((12, 9), np.float32)
    values[6, 4] = 1
    mask = CloudMask(scene, values, 0.5, {})
    assert mask.with_buffer(1).mask.sum() == 5
    assert mask.with_buffer(1).cloud_fraction == 5 / 108
    assert mask.with_buffer(1).with_threshold(0.9).mask.sum() == 5
    with pytest.raises(UsageError, match="buffer"):
        mask.with_buffer(-1)


def test_without_its_scene_only_the_mask_can_be_saved(probability, tmp_path):
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    moved = probability.rename(alone / probability.name)
    result = load_result(moved)
    assert result.scene is None
    assert "not next to" in result.trouble
    result.save("mask", alone / "m.tif", 0.5, 0)
    with pytest.raises(UsageError, match="only the mask"):
        result.save("netcdf", alone / "m.nc", 0.5, 0)
    assert load_result(moved, folders=[tmp_path]).scene is not None


def test_a_scene_of_another_size_is_not_taken(probability, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    rad, _ = write_emit(other, arrays(5, 5))
    assert "differs in size" in load_result(probability, (rad, None)).trouble


def test_what_is_no_probability_is_refused(tmp_path):
    (tmp_path / "x_prob.tif").write_text("nothing")
    with pytest.raises(InputError, match="not a raster"):
        load_result(tmp_path / "x_prob.tif")


def test_the_card_tells_what_the_files_say(tmp_path):
    data = arrays(12, 9)
    rad, obs = write_emit(tmp_path, data)
    rows = dict(read_facts(rad).rows())
    sun = data.obs[..., 4]
    assert rows["Sensor"] == "EMIT, 12 bands, 400–2400 nm"
    assert rows["Size"] == "12 lines × 9 samples"
    assert rows["Date"] == "2024-02-03 04:05:06 UTC"
    assert rows["Geometry"] == f"sun {sun.min():.0f}–{sun.max():.0f}° from zenith"
    assert obs.name in rows["OBS"]
    assert rows["On disk"].endswith(" kB")
    obs.unlink()
    facts = read_facts(rad)
    assert (facts.scene, facts.sun_zenith_deg) == (None, None)
    assert "not found" in dict(facts.rows())["OBS"]


def test_envi_pairs_have_a_card_and_geometry_is_no_scene(tmp_path):
    radiance, obs = write_envi_scene(tmp_path, arrays(12, 9))
    assert read_card(radiance.with_name(f"{radiance.name}.hdr")).pixels == 108
    with pytest.raises(InputError, match="no radiance"):
        read_facts(obs)


def test_a_thumbnail_is_thinned_evenly(tmp_path):
    scene = open_scene(*write_emit(tmp_path, arrays(30, 20)))
    picture, step = read_thumbnail(scene, longest=10)
    assert (picture.shape, step) == ((10, 7, 3), 3)
