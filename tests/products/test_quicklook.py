from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from spectf_cloud.products import panels
from spectf_cloud.products.quicklook import render
from spectf_cloud.scene import NODATA

from small_scenes import make_mask, make_scene


def lightness(rgb):
    """CIE L* of 8-bit sRGB, by the standard's own formulas."""
    share = np.asarray(rgb) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def test_colour_map_brightens_evenly():
    steps = np.diff(lightness(panels.colour_map(16)))
    assert steps.min() > 0
    assert steps.max() < 2 * steps.min()
    ends = lightness(panels.colour_map()[[0, -1]])
    assert ends[0] < 20 and ends[1] > 90


def test_true_colour_ignores_nodata_and_keeps_white_white():
    rng = np.random.default_rng(1)
    ground = rng.uniform(0.05, 0.2, (50, 40, 1)) * [1.0, 0.9, 0.6]
    ground[:10] = 0.7  # a white cloud
    with_nodata = ground.copy()
    with_nodata[:, -8:] = np.nan
    picture = panels.true_colour(with_nodata.astype(np.float32))
    assert (picture[:, -8:] == 0).all()
    assert (picture[:10, :-8] == 255).all()
    np.testing.assert_allclose(picture[:, :-8], panels.true_colour(ground.astype(np.float32))[:, :-8], atol=3)


def test_a_cloudless_vapour_picture_stays_dark():
    noise = np.random.default_rng(2).normal(0, 0.0005, (60, 60, 3)).astype(np.float32)
    assert panels.vapour_colour(noise).mean() < 30


def test_outline_is_the_inner_rim_of_clouds_only():
    cloud = np.zeros((12, 12), bool)
    cloud[3:9, 3:9] = True
    rim = panels.outline(cloud, np.zeros_like(cloud), 1)
    assert rim.sum() == 20 and not rim[4:8, 4:8].any() and not (rim & ~cloud).any()
    assert panels.outline(cloud, np.zeros_like(cloud), 2).sum() == 32
    assert not panels.outline(np.ones((5, 5), bool), np.zeros((5, 5), bool), 2).any()


def test_clouds_are_washed_and_the_rest_is_left_alone():
    picture = np.full((12, 12, 3), 255, np.uint8)
    cloud = np.zeros((12, 12), bool)
    cloud[2:10, 2:10] = True
    drawn = panels.outlined(picture, cloud, np.zeros_like(cloud), 2)
    assert (drawn[~cloud] == 255).all()
    assert (drawn[2:4, 2:10] == panels.OUTLINE).all()
    assert (drawn[4:8, 4:8] == panels.TINT).all()


def test_no_rim_against_nodata():
    cloud = np.ones((6, 6), bool)
    elsewhere = np.zeros_like(cloud)
    cloud[:, 4:], elsewhere[:, 4:] = False, True
    assert not panels.outline(cloud, elsewhere, 1).any()


def test_small_scenes_are_enlarged_by_whole_pixels(tmp_path):
    """The probability panel, cut out of the page, is the colour-mapped scene with each pixel repeated."""
    mask = make_mask(make_scene(20, 16), preview=False)
    page = np.asarray(render(mask))
    colours = np.repeat(np.repeat(panels.probability_colour(mask.probability), 32, 0), 32, 1)
    seen = np.repeat(np.repeat(mask.mask != 255, 32, 0), 32, 1)
    first = np.argwhere((page == panels.OUTLINE).all(-1))
    assert len(first)
    height, width = seen.shape
    for top in range(page.shape[0] - height):
        row = page[top, :, :]
        for left in np.flatnonzero((row == colours[0, 0]).all(-1)):
            window = page[top : top + height, left : left + width]
            if window.shape == colours.shape and (window[seen] == colours[seen]).all():
                return
    raise AssertionError("the probability panel is not on the page")


def test_png_carries_the_tags_and_a_sane_size(tmp_path):
    mask = make_mask(make_scene(1100, 40))
    mask.to_quicklook(tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as picture:
        assert picture.format == "PNG" and picture.text["SPECTF_WEIGHTS"] == "v-test"
        assert max(picture.size) < 4 * 1600


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (700, 3)])
def test_any_shape_is_drawn_also_without_any_data(shape, preview, recwarn):
    mask = make_mask(make_scene(*shape), preview=preview)
    assert render(mask).mode == "RGB"
    mask.probability[:] = NODATA
    if preview:
        mask.preview.reflectance[:] = np.nan
    page = np.asarray(render(mask))
    assert not recwarn.list
    assert (page == panels.HATCH_BACKGROUND).all(-1).any()


def test_the_picture_is_the_same_however_often_it_is_drawn():
    mask = make_mask(make_scene(30, 30))
    np.testing.assert_array_equal(np.asarray(render(mask)), np.asarray(render(mask)))
