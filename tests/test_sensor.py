import numpy as np
import pytest

from spectf_cloud.errors import ConfigError, InputError
from spectf_cloud.sensor import Sensor, parse_band_ranges


def test_emit_preset_agrees_with_the_calibration(reference):
    calibrated = np.loadtxt(reference / "emit" / "emit_wavelengths_285.txt")
    sensor = Sensor.emit()
    assert np.abs(sensor.wavelength_nm - calibrated[:, 1]).max() < 0.1
    assert np.abs(sensor.fwhm_nm - calibrated[:, 2]).max() < 0.005


def test_published_drop_leaves_268_of_emits_bands():
    kept = Sensor.emit().kept()
    assert kept.sum() == 268
    assert Sensor.emit().wavelength_nm[kept][0] > 405


def test_overlapping_ranges_drop_their_union_and_ends_are_included():
    sensor = Sensor("s", np.array([400.0, 500.0, 600.0, 700.0]), np.full(4, 10.0))
    assert sensor.kept([(400, 600), (500, 600)]).tolist() == [False, False, False, True]
    assert sensor.kept([]).all()
    with pytest.raises(InputError, match="--keep-bands"):
        sensor.kept([(0, 9999)])


@pytest.mark.parametrize(
    ("units", "factor"),
    [("Nanometers", 1), ("nm", 1), ("Micrometers", 1000), ("µm", 1000), ("um", 1000), (None, 1), (None, 1000)],
)
def test_units_are_resolved_to_nanometres(units, factor):
    sensor = Sensor.from_values("s", np.array([400.0, 500.0]) / factor, np.array([9.0, 9.0]) / factor, units, "file")
    assert sensor.wavelength_nm == pytest.approx([400, 500])
    assert sensor.fwhm_nm == pytest.approx([9, 9])


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("NANOMETERS", 1), ("nanometres", 1), ("Nanometer (nm)", 1), ("nm.", 1), ("Wavelength in nm", 1), ("㎚", 1),
        ("Microns", 1000), ("Micrometers (µm)", 1000), ("[um]", 1000), ("μm", 1000), ("MICROMETRES", 1000),
        ("?m", 1000), ("\ufffdm", 1000), ("Unknown", 1000), ("Angstroms", 0.1), ("meters", 1e9), ("mm", 1e6),
    ],
)  # fmt: skip
def test_units_are_known_however_they_are_spelled(units, factor):
    sensor = Sensor.from_values("s", np.array([400.0, 500.0]) / factor, np.array([9.0, 9.0]) / factor, units, "file")
    assert sensor.wavelength_nm == pytest.approx([400, 500])


@pytest.mark.parametrize("units", ["Index", "Wavenumber", "GHz", "nm or um", "wavelength"])
def test_what_is_no_length_is_refused(units):
    with pytest.raises(InputError, match="are not known; write nanometers"):
        Sensor.from_values("s", [400.0, 500.0], None, units, "file")


def test_unknown_units_name_the_file():
    with pytest.raises(InputError, match=r"scene\.hdr: wavelength units 'furlongs'"):
        Sensor.from_values("s", [1.0, 2.0], None, "furlongs", "scene.hdr")


def test_missing_widths_become_the_spacing_even_for_reversed_bands():
    sensor = Sensor.from_values("s", [700.0, 600.0, 500.0], None, "nm", "file")
    assert sensor.fwhm_nm == pytest.approx([100, 100, 100])


@pytest.mark.parametrize(
    "centres", [[500, 510, 510, 530, 560], [560, 530, 510, 510, 510, 500], [500, 500, 510, 510], [500, 600, 590, 600]]
)
def test_repeated_centres_are_as_wide_as_if_each_came_once(centres):
    sensor = Sensor.from_values("s", centres, None, "nm", "file")
    once = Sensor.from_values("s", sorted(set(centres)), None, "nm", "file")
    expected = dict(zip(once.wavelength_nm, once.fwhm_nm, strict=True))
    assert sensor.fwhm_nm.tolist() == [expected[centre] for centre in centres]
    assert once.fwhm_nm[0] == np.diff(once.wavelength_nm)[0]


def test_centres_that_are_all_one_are_refused():
    with pytest.raises(InputError, match=r"all 3 band centres are 500"):
        Sensor.from_values("s", [500.0, 500.0, 500.0], None, "nm", "file")


def test_impossible_bands_are_refused():
    with pytest.raises(InputError, match="positive"):
        Sensor.from_values("s", [500.0, np.nan], [9.0, 9.0], "nm", "file")
    with pytest.raises(InputError, match="each band needs one of both"):
        Sensor.from_values("s", [500.0, 600.0], [9.0], "nm", "file")
    for widths in ([0.009, 0.009], [9000.0, 9000.0]):  # micrometres, picometres
        with pytest.raises(InputError, match="in the same units"):
            Sensor.from_values("s", [500.0, 600.0], widths, "nm", "file")


def test_band_ranges_take_whole_numbers_and_refuse_nonsense():
    assert parse_band_ranges([[0, 405], [1275.5, 1321]], "f") == ((0.0, 405.0), (1275.5, 1321.0))
    for bad in ("0-405", [[405]], [["a", "b"]], [[500, 400]], 7):
        with pytest.raises(ConfigError):
            parse_band_ranges(bad, "arch.yml")
