from pathlib import Path

import numpy as np
import pytest

from spectf_cloud.errors import InputError
from spectf_cloud.scene import Scene
from spectf_cloud.sensor import PUBLISHED_DROP_NM, Sensor
from spectf_cloud.tokens import OTHER_IRRADIANCE, Tokens, shown_bands

from small_scenes import array_cube, make_scene, tokens_of

FACTORS = np.array([0.01, 0.03, 0.02, 0.05])


def prepared(kept=(0, 1, 3, 6), nodata=-9999.0):
    return tokens_of(kept, FACTORS[: len(kept)], nodata)


def pixels(n=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 20, (n, 7)).astype(np.float32), rng.uniform(0, 80, n)


@pytest.mark.parametrize("kept", [(0, 1, 3, 6), (0,), (6,), (2, 3, 4), (0, 2, 4, 6)])
def test_equals_the_formula_on_the_kept_bands(kept):
    radiance, zenith_deg = pixels()
    usable, toa = prepared(kept).reflectance(radiance, zenith_deg)
    exact = radiance[:, kept].astype(np.float64) * FACTORS[: len(kept)] / np.cos(np.deg2rad(zenith_deg))[:, None]
    assert usable.all() and toa.dtype == np.float32 and toa.flags.c_contiguous
    np.testing.assert_allclose(toa, exact, rtol=2.4e-7)


@pytest.mark.parametrize("nodata", [-9999.0, 0.0, 1e20, np.nan])
@pytest.mark.filterwarnings("error")
def test_what_is_missing_in_a_kept_band_makes_a_pixel_unusable(nodata):
    radiance, zenith_deg = pixels(9)
    zenith_deg[0] = np.nan
    for row, value in enumerate((nodata, -9999.0, np.nan, np.inf, -np.inf), 1):
        radiance[row, 3] = value
    radiance[6, (2, 4, 5)] = nodata, np.nan, np.inf  # of bands that are dropped
    usable, toa = prepared(nodata=nodata).reflectance(radiance, zenith_deg)
    assert usable.tolist() == [False] * 6 + [True] * 3
    np.testing.assert_array_equal(toa[1:], prepared().reflectance(radiance[7:], zenith_deg[7:])[1])
    assert np.isfinite(toa).all()


def test_wider_storage_of_the_same_numbers_gives_the_same_bits():
    radiance, zenith_deg = pixels()
    _, toa = prepared().reflectance(radiance, zenith_deg)
    for other in (radiance.astype(np.float64), np.asfortranarray(radiance), radiance.astype(">f8")):
        np.testing.assert_array_equal(prepared().reflectance(other, zenith_deg)[1], toa)
    for row in range(0, 50, 7):  # alone or in company
        one = slice(row, row + 1)
        np.testing.assert_array_equal(prepared().reflectance(radiance[one], zenith_deg[one])[1], toa[one])


# As files hold them: band 4 before band 1.
PLANET = Sensor("PlanetScope", np.array([865.0, 665.0, 565.0, 490.0]), np.array([40.0, 31.0, 36.0, 50.0]))


def reflective(values, sensor=PLANET, **more):
    return Scene.of_reflectance(array_cube(values, Path("x.tif"), sensor=sensor, quantity="toa_reflectance", **more))


def test_four_bands_of_reflectance_pass_through_in_the_order_of_wavelength():
    values = np.random.default_rng(0).uniform(-0.01, 1.4, (5, 6, 4)).astype(np.float32)
    values[0, 0, 2], values[0, 1, 2], values[0, 2] = -9999, np.nan, 7
    scene = reflective(values, nodata=7.0)
    tokens = Tokens.of_scene(scene, min_bands=3)
    assert tokens.wavelength_nm.tolist() == [490, 565, 665, 865] and tokens.fwhm_nm.tolist() == [50, 36, 31, 40]
    assert not tokens.notes and not tokens.tags
    usable, seen = tokens.reflectance(values.reshape(-1, 4), scene.read_incidence_deg(0, 5).reshape(-1))
    assert usable.tolist() == [False] * 3 + [True] * 27
    np.testing.assert_array_equal(seen, values.reshape(-1, 4)[3:, ::-1])
    line = tokens.read_line(scene, 0, 2)
    np.testing.assert_array_equal(line[2:], values[0, 4::2, ::-1])
    assert np.isnan(line[:2]).all()


def test_the_published_network_refuses_four_bands():
    with pytest.raises(InputError, match=r"only 4 of 4 bands are left.*at least 6 are needed"):
        Tokens.of_scene(reflective(np.ones((2, 2, 4), np.float32)))


def test_radiance_needs_an_irradiance_and_its_geometry():
    scene = make_scene(3, 4)
    with pytest.raises(InputError, match="a solar irradiance is needed"):
        Tokens.of_scene(scene)
    with pytest.raises(InputError, match="needs its observation geometry"):
        Scene("x", scene.sensor, scene.image)
    with pytest.raises(InputError, match="holds radiance, not reflectance"):
        Scene.of_reflectance(scene.image)
    with pytest.raises(InputError, match="has no band centres"):
        reflective(np.ones((2, 2, 4)), None)
    with pytest.raises(InputError, match="holds reflectance, not radiance"):
        reflective(np.ones((2, 2, 4))).read_radiance(0, 1)


def test_nearest_tokens_are_those_of_a_brute_search():
    tokens = tokens_of(range(7), np.ones(7))
    assert tokens.nearest([390, 449, 451, 1000, 2000]).tolist() == [0, 0, 1, 6, 6]
    some = tokens.only(np.array([5, 2]))
    assert (some.kept.tolist(), some.wavelength_nm.tolist()) == ([5, 2], [900, 600])


def test_bands_are_shown_in_the_order_of_wavelength():
    assert shown_bands(PLANET).tolist() == [3, 2, 1, 0]
    assert shown_bands(PLANET, [(500, 600)]).tolist() == [3, 1, 0]


@pytest.mark.parametrize("drop_nm", [PUBLISHED_DROP_NM, (), ((0.0, 500.0), (700.0, 800.5))])
def test_tags_bring_the_same_choice_back(drop_nm):
    scene = make_scene(3, 4)
    first = Tokens.of_tags(scene, {"SPECTF_DROP_NM": str([list(pair) for pair in drop_nm])})
    again = Tokens.of_tags(scene, first.tags)
    assert again.drop_nm == first.drop_nm == drop_nm and again.irradiance == first.irradiance
    np.testing.assert_array_equal(again.factors, first.factors)
    assert ("SPECTF_DROP_NM" in first.tags) == (drop_nm != PUBLISHED_DROP_NM)
    assert OTHER_IRRADIANCE not in again.notes
    assert OTHER_IRRADIANCE in Tokens.of_tags(scene, first.tags | {"SPECTF_IRRADIANCE_SHA256": "0" * 64}).notes


@pytest.mark.parametrize("text", ["", "[1", "[[2, 1]]", "7"])
def test_a_damaged_tag_is_named(text):
    with pytest.raises(InputError, match="the tag SPECTF_DROP_NM is"):
        Tokens.of_tags(make_scene(3, 4), {"SPECTF_DROP_NM": text})
