"""Each term of the cloudless air against a limit, an independent formula, or an exact calculation."""

import numpy as np
import pytest

from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import atmosphere, doubling, gases, tables
from spectf_cloud.simulation.atmosphere import HEIGHTS_KM, Air, Angles

NM = np.array([410.0, 450.0, 550.0, 700.0, 865.0])
NO_HAZE = Air(aerosol_depth=0.0)


def at(nm, spectrum):
    return np.interp(nm, tables.gas_grid_nm(), spectrum)


def test_gas_transmittance_falls_with_amount_and_rises_with_height():
    dry, moist = (gases.transmittance(0.0, 2.2, water, 300.0) for water in (0.5, 4.0))
    high = gases.transmittance(8.0, 2.2, 4.0, 300.0)
    assert (dry >= 0).all() and (dry <= 1).all()
    assert (moist <= dry).all() and (high >= moist).all()
    assert (gases.transmittance(0.0, 4.0, 4.0, 300.0) <= moist).all()


def test_gases_absorb_where_they_are_known_to():
    ground = gases.transmittance(0.0, 2.2, 2.0, 320.0)
    assert (at([1380, 1880], ground) < 1e-3).all()
    assert (at([670, 865, 1040, 2130], ground) > 0.9).all()
    assert at(761, ground) < 0.5
    # Above 12 km hardly any water is left, which is what makes cirrus shine at 1380 nm.
    assert at(1380, gases.transmittance(12.0, 2.2, 2.0, 320.0)) > 0.5


def test_gas_table_gives_back_the_standard_spectrum():
    pvlib = pytest.importorskip("pvlib")
    grid = tables.gas_grid_nm()
    standard = pvlib.spectrum.get_reference_spectra(wavelengths=grid)
    um = grid / 1000
    scattering = np.exp(-1.5 * (atmosphere.rayleigh_depth(grid) + 0.084 * (um / 0.5) ** -1.15))
    absorbed = np.exp(-sum(tables.gas_optical_depth(gas) for gas in tables.GASES))
    direct = standard["extraterrestrial"].to_numpy() * scattering * absorbed
    bright = standard["direct"].to_numpy() > 0.05
    assert direct[bright] == pytest.approx(standard["direct"].to_numpy()[bright], rel=0.02)


def test_band_weights_keep_a_constant_and_the_sun_weighs():
    sensor = Sensor.emit()
    flat = np.column_stack([np.arange(300.0, 2600.0), np.ones(2300)])
    weights = tables.band_weights(sensor, flat)
    assert weights.sum(axis=0) == pytest.approx(np.ones(sensor.bands))
    inner = slice(5, -5)
    assert (tables.gas_grid_nm() @ weights)[inner] == pytest.approx(sensor.wavelength_nm[inner], abs=1e-3)
    # Twice the sunlight on one side of a band pulls its centre there.
    rising = np.column_stack([flat[:, 0], np.where(flat[:, 0] > sensor.wavelength_nm[100], 2.0, 1.0)])
    centre = tables.gas_grid_nm() @ tables.band_weights(sensor, rising)[:, 100]
    assert sensor.wavelength_nm[100] + 0.5 < centre < sensor.wavelength_nm[100] + 3


def test_rayleigh_depth_is_the_textbook_one():
    # Bodhaine et al. (1999), table 3, standard pressure.
    assert atmosphere.rayleigh_depth(np.array([400.0, 550.0, 700.0])) == pytest.approx(
        [0.3601, 0.0971, 0.0365], rel=0.01
    )
    halved = atmosphere.rayleigh_above(np.array([550.0]), 8.0 * np.log(2))
    assert halved == pytest.approx(0.5 * atmosphere.rayleigh_depth(np.array([550.0])))


@pytest.mark.parametrize("phase", [atmosphere.rayleigh_phase, lambda c: atmosphere.henyey_greenstein(c, 0.65)])
def test_phase_functions_scatter_all_light(phase):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    values = np.array([phase(node) for node in nodes])
    assert 0.5 * weights @ values == pytest.approx(1.0)


def test_asymmetry_is_the_mean_cosine():
    nodes, weights = np.polynomial.legendre.leggauss(200)
    values = np.array([atmosphere.henyey_greenstein(node, 0.65) for node in nodes])
    assert 0.5 * weights @ (values * nodes) == pytest.approx(0.65)


def test_third_exponential_integral():
    special = pytest.importorskip("scipy.special")
    depth = np.array([1e-4, 0.05, 0.3, 2.0])
    assert atmosphere.exponential_integral_3(depth) == pytest.approx(special.expn(3, depth), rel=1e-5)


@pytest.mark.parametrize("sun_deg", [20, 60])
def test_scattering_agrees_with_doubling(sun_deg):
    cosines = (float(np.cos(np.deg2rad(sun_deg))), float(np.cos(np.deg2rad(9.0))))
    moments = np.zeros((len(NM), doubling.MOMENTS))
    moments[:, 0], moments[:, 2] = 1, 0.1
    depth = atmosphere.rayleigh_depth(NM)
    exact = doubling.double(depth, 0, np.ones(len(NM)), moments, cosines)[0]
    assert atmosphere.rayleigh_transmittance(depth, cosines[0]) == pytest.approx(exact.sun, rel=0.005)
    assert atmosphere.rayleigh_spherical_albedo(depth) == pytest.approx(exact.spherical_albedo, rel=0.02)
    path = []
    for azimuth in (np.pi / 4, 3 * np.pi / 4):
        turn = np.cos(azimuth) * np.sqrt((1 - cosines[0] ** 2) * (1 - cosines[1] ** 2))
        angles = Angles(*cosines, cos_scatter=turn - cosines[0] * cosines[1])
        path.append(atmosphere.path_reflectance(NM, angles, NO_HAZE, np.ones((len(HEIGHTS_KM), len(NM))))[0])
    assert np.mean(path, axis=0) == pytest.approx(exact.reflectance, rel=0.02)


def test_haze_scatters_more_and_reaches_not_high():
    angles, open_gas = Angles(0.7, 0.98, -0.6), np.ones((len(HEIGHTS_KM), len(NM)))
    clean, hazy = (atmosphere.path_reflectance(NM, angles, Air(aerosol_depth=depth), open_gas) for depth in (0.0, 0.4))
    assert (hazy[0] > clean[0] + 0.01).all()
    assert hazy[-1] == pytest.approx(clean[-1], rel=0.02, abs=2e-4)


def test_gas_absorbs_the_light_of_the_air_too():
    """Haze in a water band must stay dark: it would look like cirrus."""
    sensor = Sensor.emit()
    irradiance = np.column_stack([np.arange(300.0, 2600.0), np.full(2300, 100.0)])
    table = atmosphere.tabulate(sensor, irradiance, Angles(0.7, 0.98, -0.6), Air(water_cm=2.0, aerosol_depth=0.4))
    band = int(np.abs(sensor.wavelength_nm - 1380).argmin())
    beside = int(np.abs(sensor.wavelength_nm - 1240).argmin())
    assert table.path[2, 0, band] < 0.05 * table.path[2, 0, beside]
    assert (np.diff(table.path, axis=1) <= 0).all() and (np.diff(table.gas, axis=1) >= -1e-6).all()
    assert (np.diff(table.gas, axis=0) <= 1e-6).all()


def test_direct_sunlight_is_less_in_the_blue_and_under_a_low_sun():
    high, low = (atmosphere.direct_share(NM, Angles(cosine, 0.98, -0.6), Air()) for cosine in (0.9, 0.4))
    assert (np.diff(high) > 0).all() and (low < high).all() and (low > 0).all() and (high <= 1).all()
