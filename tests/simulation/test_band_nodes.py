"""Broad bands as sums of narrow ones, against numerical integrals over the response."""

import numpy as np
import pytest

from spectf_cloud.errors import UsageError
from spectf_cloud.files.resources import resource
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import gases, tables
from spectf_cloud.simulation.band_nodes import choose_bands, place_nodes

#: Centre and width, nm: like those of Sentinel-2, and a panchromatic one.
BANDS = [(442.7, 20), (492.7, 65), (664.6, 30), (740.5, 14), (832.8, 105), (945.1, 19), (1373.5, 29), (1613.7, 90),
         (2202.4, 174), (590.0, 172)]  # fmt: skip


def sensor_of(bands, name="some"):
    return Sensor(name, *np.array(bands, float).T)


@pytest.fixture(scope="module")
def irradiance():
    return np.load(resource("irr.npy"))


def integral(spectrum, centre, fwhm, irradiance):
    """Of reflected over incoming light, by trapezoids of 0.05 nm; beyond the tables there is no light."""
    grid = tables.gas_grid_nm()
    nm = np.arange(max(centre - 4 * fwhm, grid[0]), min(centre + 4 * fwhm, grid[-1]), 0.05)
    light = np.exp(-4 * np.log(2) * ((nm - centre) / fwhm) ** 2) * np.interp(nm, *irradiance.T)
    return np.trapezoid(light * np.interp(nm, grid, spectrum), nm) / np.trapezoid(light, nm)


@pytest.mark.parametrize(("centre", "fwhm"), BANDS)
def test_a_band_is_the_integral_over_its_response(irradiance, centre, fwhm):
    """Of what clear moist air lets pass, on ground that brightens towards the infrared."""
    nm = tables.gas_grid_nm()
    spectrum = gases.transmittance(0.0, 2.5, 3.0, 320.0) * (0.1 + 0.4 / (1 + np.exp((715 - nm) / 12)))
    # The others keep the narrow bands from being the whole spectrum.
    nodes = place_nodes(sensor_of([(centre, fwhm), (400, 10), (2400, 10)]), irradiance)
    narrow = (spectrum @ tables.band_weights(nodes.sensor, irradiance)).astype(np.float32)
    found = nodes.integrate(narrow[None])[0, 0]
    assert found == pytest.approx(integral(spectrum, centre, fwhm, irradiance), abs=1e-3)


def test_weights_add_to_one_and_white_stays_white(irradiance):
    nodes = place_nodes(sensor_of(BANDS), irradiance)
    white = np.ones((3, nodes.sensor.bands), np.float32)
    assert nodes.integrate(white) == pytest.approx(np.ones((3, len(BANDS))), abs=1e-6)
    assert nodes.sensor.fwhm_nm.max() <= 15


def test_narrow_bands_are_computed_as_they_are(irradiance):
    emit = Sensor.emit()
    nodes = place_nodes(emit, irradiance)
    assert np.array_equal(nodes.sensor.wavelength_nm, emit.wavelength_nm)
    assert np.array_equal(nodes.sensor.fwhm_nm, emit.fwhm_nm)
    spectra = np.random.default_rng(0).random((2, 285), np.float32)
    assert nodes.integrate(spectra) is spectra


def test_blocks_change_no_bit(irradiance):
    nodes = place_nodes(sensor_of(BANDS), irradiance)
    spectra = np.random.default_rng(0).random((17, nodes.sensor.bands), np.float32)
    assert np.array_equal(nodes.integrate(spectra)[5:9], nodes.integrate(spectra[5:9]))


def test_bands_beyond_tables_or_irradiance_are_left_out_by_name(irradiance):
    sensor, left_out = choose_bands(sensor_of([(320, 10), (560, 30), (860, 40), (10900, 600)]), irradiance)
    assert list(sensor.wavelength_nm) == [560, 860] and left_out == ("320 nm", "10900 nm")
    wider = np.load(resource("irr_astm_g173.npy"))
    infrared = sensor_of([(2400, 10), (2515, 10), (2540, 10)])
    assert choose_bands(infrared, irradiance)[1] == ("2515 nm", "2540 nm")
    assert choose_bands(infrared, wider)[1] == ("2540 nm",)
    with pytest.raises(UsageError, match="none of its bands"):
        choose_bands(sensor_of([(10900, 600), (12000, 900)]), irradiance)
    assert choose_bands(None, irradiance)[0].is_emit()
