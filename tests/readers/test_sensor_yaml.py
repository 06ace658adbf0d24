import random
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from spectf_cloud.errors import ConfigError, SpectfError
from spectf_cloud.readers.band_names import plain
from spectf_cloud.readers.sensor_yaml import REGISTRY, known_sensor, known_sensors, read_sensor, sensor_of, to_yaml
from spectf_cloud.sensor import Sensor

#: What the issue asks for by name.
WANTED = {
    *("SENTINEL2", "SENTINEL2A", "SENTINEL2B", "SENTINEL2C", "HLS_S30", "HLS_L30", "MODIS", "VIIRS", "OLCI"),
    *(f"LANDSAT{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9)),
    *("PLANETSCOPE4", "PLANETSCOPE8", "WORLDVIEW2", "WORLDVIEW3", "RGB", "RGBN", "EMIT", "AVIRIS_NG", "AVIRIS_3"),
    *("ENMAP", "PRISMA", "DESIS", "PACE_OCI", "HYPERION"),
}


def test_every_sensor_that_was_asked_for_is_known():
    assert set(known_sensors()) >= WANTED


@pytest.mark.parametrize("name", known_sensors())
def test_a_known_sensor_is_sane(name):
    sensor = known_sensors()[name]
    assert sensor.name == name and sensor.title and sensor.source and sensor.kind and sensor.units
    assert len(set(sensor.band_names)) == sensor.bands == len(sensor.gsd_m) == len(sensor.positions)
    assert not sensor.notes and sensor.positions == tuple(range(sensor.bands))
    low, high = sensor.wavelength_nm - sensor.fwhm_nm / 2, sensor.wavelength_nm + sensor.fwhm_nm / 2
    assert low.min() > 300 and high.max() < 2600
    known_m = np.array(sensor.gsd_m)[np.isfinite(sensor.gsd_m)]
    assert ((known_m > 0.1) & (known_m <= 1200)).all()
    if sensor.kind != "radiance":
        assert sensor.units == "1"


def test_no_two_sensors_answer_to_one_name():
    words = [plain(word) for sensor in known_sensors().values() for word in (sensor.name, *sensor.aliases)]
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("name", ["SENTINEL2B", "sentinel-2b", "Sentinel 2B", "S2B", "s2b_msi"])
def test_a_name_is_found_however_it_is_spelled(name):
    assert known_sensor(name) is known_sensors()["SENTINEL2B"]


def spectral_information(path):
    """Of each band: centre, and width of the response at half of its maximum, nm."""
    for band in ElementTree.parse(path).getroot().iter("Spectral_Information"):
        step, values = float(band.find(".//STEP").text), np.array(band.find(".//VALUES").text.split(), float)
        half, inside = values.max() / 2, np.flatnonzero(values >= values.max() / 2)
        first, last = inside[0], inside[-1]
        before = (values[first] - half) / (values[first] - values[first - 1])
        after = (values[last] - half) / (values[last] - values[last + 1])
        yield band.get("physicalBand"), float(band.find(".//CENTRAL").text), (last - first + before + after) * step


@pytest.mark.parametrize(("satellite", "product"), [("A", "S2A_MSIL1C_2021"), ("B", "S2B_MSIL2A_2022")])
def test_sentinel_2_agrees_with_its_metadata(reference, satellite, product):
    folder = next((reference / "formats" / "sentinel2").glob(f"{product}*.SAFE"))
    told = {
        f"B{name[1:].zfill(2)}": values for name, *values in spectral_information(next(folder.glob("MTD_MSIL*.xml")))
    }
    sensor = known_sensors()[f"SENTINEL2{satellite}"]
    assert tuple(told) == sensor.band_names and len(told) == 13
    centres_nm, widths_nm = np.array(list(told.values())).T
    np.testing.assert_allclose(sensor.wavelength_nm, centres_nm, atol=1)
    np.testing.assert_allclose(sensor.fwhm_nm, widths_nm, atol=1)


def test_hyperion_is_the_table_of_usgs(reference):
    lines = (reference / "formats" / "hyperion" / "Hyperion_Spectral_Coverage.tab").read_text().splitlines()
    rows = {row[0]: row[1:3] for row in (line.split("\t") for line in lines) if row[0][:1] == "B"}
    sensor = known_sensors()["HYPERION"]
    table = np.array([rows[name] for name in sensor.band_names], float)
    assert sensor.bands == len(rows) == 242
    np.testing.assert_allclose(np.stack([sensor.wavelength_nm, sensor.fwhm_nm], 1), table, atol=1e-4)


def test_edges_become_centre_and_width():
    red = sensor_of({"bands": [{"name": "red", "min_nm": 630, "max_nm": 690}, {"min_nm": 500, "max_nm": 600}]}, "x")
    assert red.wavelength_nm.tolist() == [660, 550] and red.fwhm_nm.tolist() == [60, 100]
    assert red.by_name == {"red": (660, 60), "2": (550, 100)}


def test_emit_and_evenly_spaced_bands():
    emit, desis = known_sensors()["EMIT"], known_sensors()["DESIS"]
    np.testing.assert_array_equal(emit.wavelength_nm, Sensor.emit().wavelength_nm)
    np.testing.assert_array_equal(emit.fwhm_nm, Sensor.emit().fwhm_nm)
    np.testing.assert_allclose(np.diff(desis.wavelength_nm), (999.5 - 401.9) / 234)
    assert desis.band_names[:2] == ("1", "2") and known_sensors()["PRISMA"].wavelength_nm[0] == 1010


def test_a_sensor_like_another_takes_its_bands_and_adds_its_own():
    wide, narrow = known_sensors()["WORLDVIEW3"], known_sensors()["WORLDVIEW2"]
    assert wide.band_names[:8] == narrow.band_names and wide.band_names[8] == "swir1" and wide.units == narrow.units
    assert wide.gsd_m[:8] == (1.24,) * 8 and wide.gsd_m[8:] == (3.7,) * 8
    assert known_sensors()["HLS_L30"].band_names == ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B09")
    assert known_sensors()["LANDSAT5_MSS"].band_names == ("B1", "B2", "B3", "B4")


@pytest.mark.parametrize("name", known_sensors())
def test_yaml_comes_back_as_it_went(tmp_path, name):
    path, sensor = tmp_path / "mine.yml", known_sensors()[name]
    path.write_text(to_yaml(sensor))
    again = read_sensor(path)
    np.testing.assert_allclose(again.wavelength_nm, sensor.wavelength_nm, atol=5e-5)
    np.testing.assert_allclose(again.fwhm_nm, sensor.fwhm_nm, atol=5e-5)
    for field in ("name", "band_names", "title", "source", "kind", "units", "scale", "aliases", "positions"):
        assert getattr(again, field) == getattr(sensor, field)
    np.testing.assert_array_equal(again.gsd_m, sensor.gsd_m)
    assert to_yaml(again) == path.read_text()


def test_a_file_without_a_name_is_called_after_itself(tmp_path):
    path = tmp_path / "drone.yml"
    path.write_text("like: RGB\nrename: {red: R}\nbands: [{name: edge, centre_nm: 720, fwhm_nm: 20}]\n")
    sensor = read_sensor(path)
    assert (sensor.name, sensor.band_names) == ("drone", ("R", "green", "blue", "edge"))
    assert sensor.kind == known_sensors()["RGB"].kind


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no spectral bands are listed"),
        ("bands: 7", "must be a list of bands"),
        ("bands: [B1]", "entry 1 of bands is 'B1'"),
        ("bands: [{name: a, centre_nm: 500}, {}]", "fwhm_nm must be a number above 0, not None"),
        ("bands: [{name: a, centre_nm: -5, fwhm_nm: 2}]", "above 0, not -5"),
        ("bands: [{name: a, centre_nm: .nan, fwhm_nm: 2}]", "above 0, not nan"),
        ("bands: [{name: a, centre_nm: true, fwhm_nm: 2}]", "above 0, not True"),
        ("bands: [{name: a, center_nm: 5, fwhm_nm: 2}]", "the key 'center_nm' is not known; there are name,"),
        ("bands: [{min_nm: 600, max_nm: 500}]", "write the lower edge first"),
        ("bands: [{min_nm: 500}]", "max_nm must be a number"),
        ("bands: [{first_nm: 400, last_nm: 900, count: 1, fwhm_nm: 5}]", "count must be a whole number from 2"),
        ("bands: [{first_nm: 400, last_nm: 900, count: 999999999, fwhm_nm: 5}]", "count must be a whole number from 2"),
        ("bands: [{centre_nm: [400, 500], fwhm_nm: [5]}]", "fwhm_nm must list as many numbers"),
        ("bands: [{centre_nm: [400, x], fwhm_nm: [5, 5]}]", "centre_nm must be a number above 0, not 'x'"),
        ("bands: [{centre_nm: 0.4, fwhm_nm: 20}, {centre_nm: 0.5, fwhm_nm: 20}]", "more than the whole spectrum"),
        ("like: RGB\nkind: albedo", "kind must be one of radiance, toa_reflectance, surface_reflectance"),
        ("bands: [{name: a, centre_nm: 1" + "0" * 400 + ", fwhm_nm: 2}]", "must be a number above 0, not 1000.*0…$"),
        ("bands: " + "x" * 5000, "must be a list of bands, not 'xxx.*x…$"),
        ("bandz: []", "the key 'bandz' is not known"),
        ("like: SENTINEL9", "like names 'SENTINEL9', which is not known"),
        ("like: 7", "like must be a text"),
        ("like: RGB\nrename: {nir: N}", "rename must be old: new names of bands of RGB"),
        ("like: RGB\nrename: {red: green}", "green twice"),
        ("like: RGB\naliases: rgb", "aliases must be a list of texts"),
        ("like: RGB\nscale: 0", "scale must be a number above 0"),
        ("bands: [{band_type: lidar, min_nm: 500, max_nm: 600}]", "the band_type 'lidar' is not known"),
        ("bands: [{band_type: SAR VV}, {band_type: DEM}]", "no spectral bands are listed"),
        ("bands: [1", "not valid YAML"),
    ],
)
def test_what_cannot_be_meant_is_named_with_the_file(tmp_path, text, why):
    path = tmp_path / "odd.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        read_sensor(path)
    assert "odd.yml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_file_fails_in_the_family(tmp_path):
    rng, path = random.Random(7), tmp_path / "damaged.yml"
    whole = REGISTRY.read_bytes().split(b"SENTINEL2A:\n")[1].split(b"SENTINEL2B:")[0].replace(b"\n  ", b"\n")[2:]
    path.write_bytes(whole)
    assert read_sensor(path).bands == 13
    for _ in range(300):
        damaged = bytearray(whole[: rng.randrange(1, len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_sensor(path)
        except SpectfError as error:
            assert "\n" not in str(error)
