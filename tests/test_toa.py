import numpy as np
import pytest

from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance


def test_equals_the_published_toa_of_a_real_cube(reference):
    golden = np.load(reference / "golden" / "avirisng_20170323.npz")
    folder = reference / "avirisng"
    scene = open_scene(folder / "ang20170323t202244_rdn_7000-7010.hdr")
    irradiance = np.load(reference / "official" / "irr.npy")
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm, scene.sensor.fwhm_nm)
    radiance = scene.read_radiance(0, 10).reshape(100, -1)
    zenith = scene.read_sun_zenith_deg(0, 10).reshape(100)
    toa = toa_reflectance(radiance, reflectance_per_radiance(solar, scene.earth_sun_au), zenith)
    assert toa.dtype == np.float32
    np.testing.assert_allclose(toa, golden["toa"].reshape(100, -1), rtol=2e-7)


def test_formula_of_one_pixel():
    # pi * 2 * 1.01² / (160 * cos 60°)
    toa = toa_reflectance(
        np.array([[2.0]], np.float32), reflectance_per_radiance(np.array([160.0]), 1.01), np.array([60.0])
    )
    assert toa[0, 0] == pytest.approx(np.pi * 2 * 1.01**2 / 80, rel=1e-6)


def test_resampling_keeps_a_constant_and_weighs_symmetrically():
    grid = np.arange(300.0, 900.0, 0.5)
    flat = np.column_stack([grid, np.full(grid.size, 150.0)])
    slope = np.column_stack([grid, grid])
    centres, widths = np.array([500.0, 600.25]), np.array([8.0, 12.0])
    assert resample_irradiance(flat, centres, widths) == pytest.approx([150, 150], rel=1e-12)
    assert resample_irradiance(slope, centres, widths) == pytest.approx(centres, rel=1e-6)


def test_band_narrower_than_the_grid_is_interpolated():
    grid = np.array([[400.0, 100.0], [500.0, 200.0]])
    assert resample_irradiance(grid, np.array([450.0]), np.array([0.1])) == pytest.approx([150])


def test_band_outside_the_irradiance_is_named():
    grid = np.column_stack([np.arange(400.0, 500.0), np.full(100, 150.0)])
    with pytest.raises(InputError, match=r"first 900\.0 nm"):
        resample_irradiance(grid, np.array([450.0, 900.0]), np.array([9.0, 9.0]))
