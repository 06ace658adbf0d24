import numpy as np
import pytest

from small_scenes import tokens_of

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
