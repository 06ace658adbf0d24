from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from spectf_cloud.errors import UsageError
from spectf_cloud.products.distance import dilate, distance_pixels

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def clouds(draw):
    shape = draw(shapes)
    density = draw(st.sampled_from([0.0, 0.002, 0.02, 0.3, 1.0]))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape) < density


@settings(deadline=None)
@given(clouds(), st.integers(0, 60))
def test_distance_is_the_exact_euclidean_one_up_to_the_cutoff(cloud, cutoff):
    distance = distance_pixels(cloud, cutoff)
    if cloud.any():
        exact = distance_transform_edt(~cloud)
        expected = np.where(np.round(exact**2) <= cutoff**2, exact, -1)
    else:
        expected = np.full(cloud.shape, -1.0)
    assert distance.dtype == np.float32
    np.testing.assert_allclose(distance, expected, rtol=1e-6)


@settings(deadline=None)
@given(clouds(), st.integers(1, 30))
def test_distance_does_not_care_which_way_a_scene_is_turned(cloud, cutoff):
    distance = distance_pixels(cloud, cutoff)
    np.testing.assert_array_equal(distance_pixels(cloud.T, cutoff).T, distance)
    np.testing.assert_array_equal(distance_pixels(cloud[::-1], cutoff)[::-1], distance)


@settings(deadline=None)
@given(arrays(np.uint8, shapes, elements=st.sampled_from([0, 0, 0, 1, 255])), st.integers(0, 12))
def test_dilation_grows_cloud_by_the_distance_and_keeps_nodata(mask, pixels):
    grown = dilate(mask, pixels)
    np.testing.assert_array_equal(grown == 255, mask == 255)
    distance = distance_transform_edt(mask != 1) if (mask == 1).any() else np.full(mask.shape, np.inf)
    near = np.round(distance**2) <= pixels**2
    np.testing.assert_array_equal(grown == 1, near & (mask != 255))


def test_dilating_never_changes_its_argument():
    mask = np.array([[0, 1, 255]], np.uint8)
    dilate(mask, 0)[0, 0] = 9
    dilate(mask, 1)[0, 0] = 9
    assert mask.tolist() == [[0, 1, 255]]


def test_a_negative_buffer_is_refused():
    with pytest.raises(UsageError, match="0 or more"):
        dilate(np.zeros((2, 2), np.uint8), -1)


@pytest.mark.parametrize("pixels", [46_340, 100_000_000, 10**20])
def test_a_buffer_beyond_the_scene_covers_it_and_invents_no_cloud(pixels):
    mask = np.zeros((5, 5), np.uint8)
    np.testing.assert_array_equal(dilate(mask, pixels), mask)
    mask[0, 0], mask[4, 4] = 1, 255
    assert (dilate(mask, pixels) == 1).sum() == 24
