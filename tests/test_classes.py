"""Classes and schemes: sums of probabilities, round trips, and labels that stand for several classes."""

import doctest

import numpy as np
import pytest

from spectf_cloud import classes
from spectf_cloud.classes import CLASSES, NODATA, SCHEMES, Group, finest, membership, reduce, regroup
from spectf_cloud.errors import ModelError, UsageError


@pytest.fixture
def probability():
    return np.random.default_rng(0).dirichlet(np.full(6, 0.5), (7, 9)).transpose(2, 0, 1)


def test_examples():
    assert doctest.testmod(classes).failed == 0


def test_values_count_from_zero_and_names_and_colours_differ():
    assert [each.value for each in CLASSES] == list(range(6))
    assert len({each.name for each in CLASSES}) == len({each.colour for each in CLASSES}) == 6


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_holds_every_class_once(name):
    assert (membership(SCHEMES[name]).sum(axis=0) == 1).all()


@pytest.mark.parametrize("name", SCHEMES)
def test_sums_of_probabilities(probability, name):
    sums, names = reduce(probability, name)
    assert len(sums) == len(names) == len(SCHEMES[name])
    np.testing.assert_allclose(sums.sum(axis=0), 1.0)
    np.testing.assert_allclose(sums, np.tensordot(membership(SCHEMES[name]), probability, 1))


def test_schemes_by_hand():
    land, water, snow, thin, thick, shadow = p = np.array([0.05, 0.1, 0.15, 0.2, 0.22, 0.28], np.float32)
    by_hand = {
        "all": list(p),
        "surface": [land, water, snow, thin + thick, shadow],
        "cloudsen12": [land + water + snow, thick, thin, shadow],
        "cloud": [land + water + snow + shadow, thin + thick],
        "valid": [land + water + snow, thin + thick + shadow],
    }
    for name, expected in by_hand.items():
        sums, _ = reduce(p, name)
        assert sums == pytest.approx(expected) and sums.dtype == np.float32


@pytest.mark.parametrize("name", SCHEMES)
def test_certain_classes_go_the_same_way_as_their_probabilities(name):
    raster = np.arange(6, dtype=np.uint8)
    sums, _ = reduce(np.eye(6), name)
    assert np.array_equal(sums.argmax(axis=0), regroup(raster, SCHEMES[name]))


def test_finer_then_coarser_is_coarser_at_once(probability):
    """cloudsen12 keeps enough to say what is cloud, and what is valid."""
    (clear, thick, thin, shadow), _ = reduce(probability, "cloudsen12")
    np.testing.assert_allclose(reduce(probability, "cloud")[0], [clear + shadow, thick + thin])
    np.testing.assert_allclose(reduce(probability, "valid")[0], [clear, thick + thin + shadow])


def test_summing_comes_before_deciding():
    """Land, water and snow together beat thick cloud, which beats each of them."""
    p = np.array([0.2, 0.2, 0.2, 0.05, 0.3, 0.05])
    sums, names = reduce(p, "cloudsen12")
    assert CLASSES[p.argmax()].name == "thick cloud" and names[sums.argmax()] == "clear"


def test_no_data_stays_and_a_foreign_six_becomes_it():
    raster = np.array([[0, 6], [255, 4]], np.uint8)
    assert np.array_equal(regroup(raster, SCHEMES["all"]), [[0, NODATA], [NODATA, 4]])


def test_unknown_scheme_lists_the_valid_ones():
    with pytest.raises(UsageError, match="all, surface, cloudsen12, cloud, valid"):
        reduce(np.full(6, 1 / 6), "clouds")


@pytest.mark.parametrize("shape", [(), (7,), (2, 6)])
def test_probabilities_of_other_classes_are_refused(shape):
    with pytest.raises(ModelError, match="6 classes"):
        reduce(np.zeros(shape), "all")


def test_no_data_is_nan_and_never_a_sum_of_fill_values():
    assert np.isnan(reduce(np.full((6, 2), np.nan), "cloud")[0]).all()
    with pytest.raises(ModelError, match="NaN"):
        reduce(np.full((6, 2), -9999.0), "cloud")


def test_the_finest_groups_that_both_sides_have():
    fmask = (Group("clear", frozenset({0, 1, 2})), Group("cloud", frozenset({3, 4})), Group("shadow", frozenset({5})))
    assert [group.members for group in finest(SCHEMES["all"], fmask)] == [{0, 1, 2}, {3, 4}, {5}]
    assert [group.name for group in finest(SCHEMES["all"], fmask)] == ["clear", "cloud", "cloud shadow"]
    # Land where snow was not labelled, against labels that know snow.
    loose = (Group("land", frozenset({0, 2})), Group("water", frozenset({1})), Group("cloud", frozenset({3, 4})))
    assert [group.name for group in finest(loose, SCHEMES["surface"])] == [
        "land or snow",
        "water",
        "cloud",
        "cloud shadow",
    ]
    for name, groups in SCHEMES.items():
        assert {group.members for group in finest(groups, groups)} == {group.members for group in groups}, name
    assert len(finest(SCHEMES["cloud"], SCHEMES["valid"])) == 1
