import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
import yaml

import spectf_cloud as sc
from spectf_cloud.errors import ConfigError, InputError, UsageError
from spectf_cloud.sensor import Sensor
from spectf_cloud.sensors import find_sensor, match

from scene_files import FWHM_NM, WAVELENGTH_NM, arrays, raster, wavelength_fields, write_emit, write_envi, write_tiff

#: A few of SEnSeI's descriptors: the spectral ones are the second, third and sixth.
DESCRIPTORS = [
    {"band_type": "TOA Normalised Brightness Temperature", "min_wavelength": 10600.0, "max_wavelength": 11190.0},
    {"band_type": "TOA Reflectance", "min_wavelength": 645.5, "max_wavelength": 684.5},
    {"band_type": "TOA Reflectance", "min_wavelength": np.float32(446), "max_wavelength": np.int64(542)},
    {"band_type": "SAR VV", "min_wavelength": -0.5, "max_wavelength": -0.5},
    {"band_type": "DEM", "name": "height"},
    {"band_type": "reflectance", "name": "nir", "min_wavelength": 763.5, "max_wavelength": 904.5},
    {"band_type": "fill", "min_wavelength": -0.5, "max_wavelength": -0.5},
]


def same(one, other):
    np.testing.assert_allclose(one.wavelength_nm, other.wavelength_nm, rtol=1e-12)
    np.testing.assert_allclose(one.fwhm_nm, other.fwhm_nm, rtol=1e-12)


def test_importing_the_package_reads_no_table():
    code = "import sys, spectf_cloud; assert 'yaml' not in sys.modules; assert spectf_cloud.sensors.RGB.bands == 3"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_known_sensors_are_attributes():
    assert sc.sensors.SENTINEL2A is find_sensor("sentinel 2a") and "HYPERION" in dir(sc.sensors)
    assert set(sc.sensors.names()) < set(dir(sc.sensors))
    assert repr(sc.sensors.LANDSAT8) == "Sensor('LANDSAT8', 8 bands, 443–2201 nm)"
    for name in ("SENTINEL9", "S2A", "Sensors"):
        with pytest.raises(AttributeError, match=name):
            getattr(sc.sensors, name)


def test_a_sensor_is_itself():
    sensor = Sensor("mine", np.array([500.0, 600.0]), np.array([20.0, 20.0]))
    assert find_sensor(sensor) is sensor


def test_an_unknown_name_lists_close_ones(tmp_path):
    with pytest.raises(UsageError, match=r"'sentinel-2x' is neither .*close are SENTINEL2.*sensors list"):
        find_sensor("sentinel-2x")
    for spec in ("", "no such thing whatsoever", "x" * 5000, "\0", str(tmp_path), "gone.tif"):
        with pytest.raises(UsageError, match="neither a known sensor nor a file"):
            find_sensor(spec)


@pytest.fixture(scope="module")
def chip(reference):
    return next((reference / "multisensor" / "enmap" / "images").glob("*.tif"))


def test_tags_headers_and_yaml_give_the_same_sensor(chip, tmp_path):
    """A8 of the notes on sensors: one EnMAP image described in five ways."""
    with raster(chip) as image:
        tags = [image.tags(band) for band in image.indexes]
    centres, widths = (np.array([float(tag[key]) for tag in tags]) for key in ("wavelength", "fwhm"))
    expected = find_sensor(chip)
    assert expected.bands == 224 and np.array_equal(expected.wavelength_nm, centres)
    assert np.array_equal(expected.fwhm_nm, widths)
    for units, factor in (("Nanometers", 1), ("Micrometers", 1000)):
        header = tmp_path / f"{units}.hdr"
        lists = {"wavelength": centres / factor, "fwhm": widths / factor}
        rows = [f"{key} = {{{', '.join(repr(float(value)) for value in values)}}}" for key, values in lists.items()]
        size = ["lines = 1", "samples = 1", "bands = 224", "data type = 4"]
        header.write_text("\n".join(["ENVI", *size, f"wavelength units = {units}", *rows]))
        same(find_sensor(header), expected)
    rows = [f"{{centre_nm: {centre}, fwhm_nm: {width}}}" for centre, width in zip(centres, widths, strict=True)]
    (tmp_path / "enmap.yml").write_text(f"bands: [{', '.join(rows)}]")
    same(find_sensor(tmp_path / "enmap.yml"), expected)
    same(find_sensor(str(tmp_path / "enmap.yml")), expected)


def test_files_of_every_kind_are_asked_for_their_bands(tmp_path):
    data = arrays()
    emit, _ = write_emit(tmp_path, data)
    tiff = write_tiff(tmp_path / "scene.tif", data.radiance, fields=wavelength_fields())
    envi = write_envi(tmp_path / "raw.img", data.radiance, fields=wavelength_fields())
    for path in (emit, tiff, envi):
        found = find_sensor(path)
        np.testing.assert_allclose(found.wavelength_nm, WAVELENGTH_NM)
        np.testing.assert_allclose(found.fwhm_nm, FWHM_NM)


def test_files_without_wavelengths_say_so(tmp_path):
    data = arrays()
    bare = write_tiff(tmp_path / "bare.tif", data.radiance)
    text = tmp_path / "notes.txt"
    text.write_text("nothing of bands")
    for path, why in (
        (bare, "has no wavelengths; name its sensor"),
        (text, "does not describe a sensor"),
        (tmp_path / "gone.hdr", "is not a file"),
        (tmp_path, "is not a file"),
    ):
        with pytest.raises(InputError, match=why) as caught:
            find_sensor(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("factor", [1, 1000])
@pytest.mark.parametrize("dataset", [False, True])
def test_xarray_coordinates_carry_a_sensor(factor, dataset):
    units = {1: "nm", 1000: "micrometer"}[factor]
    coordinates = {
        "wavelength": ("band", WAVELENGTH_NM / factor, {"units": units}),
        "fwhm": ("band", FWHM_NM / factor),
        "band": np.arange(12) + 1,
    }
    array = xarray.DataArray(np.zeros((12, 2, 2)), dims=("band", "y", "x"), coords=coordinates, name="toa")
    found = find_sensor(array.to_dataset() if dataset else array)
    np.testing.assert_allclose(found.wavelength_nm, WAVELENGTH_NM)
    np.testing.assert_allclose(found.fwhm_nm, FWHM_NM)


def test_band_coordinates_count_only_where_they_are_lengths():
    array = xarray.DataArray(np.zeros(4), dims="band", coords={"band": [450.0, 550.0, 650.0, 850.0]})
    with pytest.raises(InputError, match="no wavelengths; add them with"):
        find_sensor(array)
    array.band.attrs["units"] = "nm"
    assert find_sensor(array).wavelength_nm.tolist() == [450, 550, 650, 850]
    array.band.attrs["units"] = "1"
    with pytest.raises(InputError, match="units '1' are not known"):
        find_sensor(array)
    named = xarray.DataArray(np.zeros(2), dims="band", coords={"wavelength": ("band", ["blue", "red"])})
    with pytest.raises(InputError, match="must be one number a band"):
        find_sensor(named)


def test_descriptors_leave_out_what_is_not_spectral():
    found = find_sensor(DESCRIPTORS)
    assert found.wavelength_nm.tolist() == [665, 494, 834] and found.fwhm_nm.tolist() == [39, 96, 141]
    assert found.band_names == ("2", "3", "nir") and found.positions == (1, 2, 5)
    (note,) = found.notes
    assert note.endswith("left out: 1 (thermal), 4 (SAR), height (DEM), 7 (fill)")


def test_the_example_of_the_guide_is_a_sensor():
    page = (Path(__file__).parents[1] / "docs" / "guide" / "sensors.md").read_text(encoding="utf-8")
    found = find_sensor(yaml.safe_load(page.split("```yaml\n")[1].split("```")[0]))
    assert found.bands == 23 and found.by_name["green"] == (560, 26) and found.band_names[2:4] == ("hs_3", "hs_4")


def test_mappings_are_as_in_yaml():
    assert find_sensor({"like": "RGB", "name": "mine"}).name == "mine"
    for spec in ([1, 2], [], {"bands": [{"band_type": "odd"}]}):
        with pytest.raises(ConfigError):
            find_sensor(spec)
    with pytest.raises(UsageError, match="int does not describe a sensor"):
        find_sensor(7)


@pytest.mark.parametrize("name", sc.sensors.names())
def test_a_sensor_fits_itself_best(name):
    best = match(getattr(sc.sensors, name))[0]
    assert best.share == 1 and best.mean_nm < 1e-9 and not best.unknown and not best.absent


def test_matches_are_ranked_and_name_what_differs():
    level2a = find_sensor({"like": "S2B", "name": "x"})
    without = Sensor("L2A", np.delete(level2a.wavelength_nm, 10), np.delete(level2a.fwhm_nm, 10))
    first, second = match(without)[:2]
    assert (first.name, first.fitting, first.share, first.absent) == ("SENTINEL2B", 12, 12 / 13, ("B10 (1377 nm)",))
    assert second.share == first.share and second.mean_nm > 1
    assert not match(Sensor("far", np.array([3000.0, 3500.0]), np.array([100.0, 100.0])))


def test_bands_of_one_centre_are_told_apart_by_their_width():
    """B08 and B8A of Sentinel-2 are 32 nm apart, one five times as wide as the other; each has one partner."""
    alone = Sensor("one", np.array([833.0, 1614.0]), np.array([21.0, 90.0]))
    best = next(each for each in match(alone, 40) if each.name == "SENTINEL2A")
    assert best.fitting == 2 and "B08 (833 nm)" in best.absent and "B8A (865 nm)" not in best.absent
    twice = Sensor("two", np.array([833.0, 834.0, 1614.0]), np.array([105.0, 105.0, 90.0]))
    assert next(each for each in match(twice) if each.name == "SENTINEL2A").unknown == ("834 nm",)


def test_a_file_without_widths_is_matched_by_its_centres(tmp_path):
    header = tmp_path / "stack.hdr"
    centres = ", ".join(str(nm) for nm in sc.sensors.SENTINEL2A.wavelength_nm)
    header.write_text(f"ENVI\nlines = 1\nsamples = 1\nbands = 13\ndata type = 4\nwavelength = {{{centres}}}\n")
    best = match(find_sensor(header))[0]
    assert (best.name, best.fitting, best.mean_nm) == ("SENTINEL2A", 13, 0)


def test_enmap_is_recognised(chip):
    assert match(find_sensor(chip))[0].name == "ENMAP"
