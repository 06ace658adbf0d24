"""Any raster as reflectance: compared with the arrays it was written from."""

from __future__ import annotations

import tarfile
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

import spectf_cloud as sc
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.resources import resource
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.readers.contradictions import contradictions
from spectf_cloud.sensor import Sensor
from spectf_cloud.tokens import Tokens

from rasters import CENTRES_NM, WIDTHS_NM, reflectance, write_raster
from scene_files import arrays, write_emit, write_envi, write_envi_scene

SENSOR = Sensor("six", np.array(CENTRES_NM), np.array(WIDTHS_NM))

# The same reflectance, as numbers that a factor makes of it.
FORMS = {
    "0 to 1": ("float32", 1.0),
    "double": ("float64", 1.0),
    "per cent": ("float32", 100.0),
    "0 to 10000": ("uint16", 10_000.0),
    "signed": ("int16", 10_000.0),
    "10000 as floats": ("float32", 10_000.0),
}


def notes(scene):
    return " ".join(scene.image.facts.notes)


@pytest.mark.parametrize("form", FORMS)
def test_the_scale_is_inferred_said_and_tagged(tmp_path, form):
    dtype, factor = FORMS[form]
    truth = reflectance()
    scene = sc.open_raster(write_raster(tmp_path / "x.tif", (truth * factor).round(4).astype(dtype)))
    np.testing.assert_allclose(scene.image.read(0, 40), truth, atol=1e-6)
    np.testing.assert_allclose(scene.image.read(7, 9, np.array([4, 1])), truth[7:9][..., [4, 1]], atol=1e-6)
    np.testing.assert_allclose(scene.sensor.wavelength_nm, CENTRES_NM)
    np.testing.assert_allclose(scene.sensor.fwhm_nm, WIDTHS_NM)
    assert scene.quantity == "toa_reflectance" and scene.grid().geotransform == (5e5, 30, 0, 5e6, 0, -30)
    assert "99th percentile" in notes(scene)
    assert scene.tags["SPECTF_SCALE"] == f"{1 / factor:g}" and "percentile" in scene.tags["SPECTF_SCALE_FROM"]


def test_scale_and_offset_of_the_file_count_once(tmp_path):
    truth = reflectance()
    stored = (truth * 10_000 + 1000).round().astype("uint16")
    stored[3, 4], truth[3, 4] = 0, np.nan
    path = write_raster(tmp_path / "x.tif", stored, scales=(1e-4, -0.1), nodata=0)
    scene = sc.open_raster(path)
    np.testing.assert_allclose(scene.image.read(0, 40), truth, atol=1e-6)
    assert scene.tags["SPECTF_SCALE"] == "1"
    with pytest.raises(UsageError, match="has a scale of its own"):
        sc.open_raster(path, scale=1e-4)


def test_saturated_numbers_stay_bright_and_no_data_stays_none(tmp_path):
    stored = (reflectance() * 10_000).round().astype("uint16")
    stored[0, 0], stored[1, 1] = 65535, 0
    read = sc.open_raster(write_raster(tmp_path / "x.tif", stored, nodata=0)).image.read(0, 2)
    assert (read[0, 0] > 1).all() and np.isnan(read[1, 1]).all() and np.isfinite(read).sum() == read.size - 6


UNCLEAR = {
    "8 bits": (reflectance() * 255, "uint8", "8-bit numbers.*--scale 0.00392157"),
    "a picture in 16 bits": (reflectance() * 140, "uint16", "--scale"),
    "classes": (reflectance() * 3, "int16", "not clearly reflectance"),
    "between 1 and per cent": (reflectance() * 2.5, "float32", "not clearly reflectance"),
    "beyond 10000": (reflectance() * 60_000, "uint16", "not clearly reflectance"),
    "negative": (-reflectance(), "float32", "not clearly reflectance"),
    "nothing": (reflectance() * 0, "uint16", "no pixel holds data"),
    "NaN": (reflectance() * np.nan, "float32", "no pixel holds data"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_numbers_that_could_be_several_things_are_asked_for(tmp_path, case):
    values, dtype, message = UNCLEAR[case]
    with pytest.raises(InputError, match=message) as caught:
        sc.open_raster(write_raster(tmp_path / "x.tif", values.astype(dtype)))
    assert "\n" not in str(caught.value) and "x.tif" in str(caught.value)


def test_a_picture_opens_with_its_scale(tmp_path):
    stored = (reflectance(bands=3) * 255).round().astype("uint8")
    path = write_raster(tmp_path / "x.tif", stored)
    scene = sc.open_raster(path, scale=1 / 255)
    np.testing.assert_allclose(scene.image.read(0, 40), stored / 255, rtol=1e-6)
    assert scene.tags["SPECTF_SCALE_FROM"] == "given"
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="a scale of"):
            sc.open_raster(path, scale=scale)


def test_the_few_pixels_with_data_tell_the_scale(tmp_path):
    stored = np.zeros((40, 30, 6), "uint16")
    stored[3, 5] = 4000
    scene = sc.open_raster(write_raster(tmp_path / "x.tif", stored, nodata=0))
    assert scene.image.read(3, 4)[0, 5] == pytest.approx([0.4] * 6)


@pytest.mark.parametrize(
    ("told", "expected"), [("Surface reflectance", "surface_reflectance"), ("TOA reflectance", "toa_reflectance")]
)
def test_the_file_says_which_reflectance(tmp_path, told, expected):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"), file_tags={"description": told})
    scene = sc.open_raster(path)
    assert scene.quantity == expected and "as the file does not say" not in notes(scene)
    other = sc.open_raster(path, quantity="surface_reflectance")
    assert other.quantity == other.tags["SPECTF_QUANTITY"] == "surface_reflectance"
    assert "learnt top-of-atmosphere" in notes(other)


UNITS = {
    "W m-2 sr-1 um-1": 0.1, "W/(m^2 sr µm)": 0.1, "mW m-2 sr-1 nm-1": 0.1, "W m-2 sr-1 nm-1": 100, "W/m2/sr/nm": 100,
    "mW cm-2 sr-1 um-1": 1, "uW cm-2 sr-1 nm-1": 1, "micro-watts/cm^2/nm/sr": 1, "µW/cm2/nm/steradian": 1,
    "milliwatts cm^-2 sr^-1 micrometer^-1": 1, "Watts m**-2 sr^-1 nm-1": 100,
}  # fmt: skip


@pytest.mark.parametrize("units", UNITS)
def test_radiance_by_its_units_its_sun_and_its_day(tmp_path, units):
    """As the formula says: pi L d²/(E0 cos sza)."""
    radiance = reflectance() * 20
    path = write_raster(tmp_path / "x.tif", (radiance / UNITS[units]).astype("f4"), file_tags={"units": units})
    scene = sc.open_raster(path, sun_zenith_deg=60, day=date(2024, 7, 5))
    assert scene.quantity == "radiance"
    np.testing.assert_allclose(scene.read_radiance(0, 40), radiance, rtol=1e-5)
    irradiance = np.load(resource("irr.npy"))
    tokens = Tokens.of_scene(scene, irradiance, ())
    usable, toa = tokens.reflectance(scene.image.read(3, 4)[0], scene.read_incidence_deg(3, 4)[0])
    e0 = [np.average(irradiance[:, 1], weights=np.exp(-0.5 * ((irradiance[:, 0] - nm) / (width / 2.355)) ** 2))
          for nm, width in zip(CENTRES_NM, WIDTHS_NM, strict=True)]  # fmt: skip
    expected = np.pi * radiance[3] * 1.01668**2 / (np.array(e0) * 0.5)  # aphelion: 5 July 2024, 1.01668 AU
    assert usable.all()
    np.testing.assert_allclose(toa, expected, rtol=1e-3)


def test_the_file_may_say_the_sun_and_the_day_of_its_radiance(tmp_path):
    words = {"units": "W m-2 sr-1 um-1", "sun_elevation": "30", "acquired": "2024-07-05T10:00:00Z"}
    scene = sc.open_raster(write_raster(tmp_path / "x.tif", reflectance().astype("f4"), file_tags=words))
    assert scene.read_sun_zenith_deg(0, 1)[0, 0] == 60 and scene.earth_sun_au == pytest.approx(1.0167, abs=1e-4)
    assert scene.tags["SPECTF_OBSERVATION"] == "x.tif (sun 60 degrees from zenith, 2024-07-05)"
    assert not list(contradictions(scene.image, scene.observation))
    assert scene.image.facts.acquired.hour == 10 and "radiance in W m-2 sr-1 um-1" in notes(scene)


SUN = {"sun_zenith_deg": 3, "day": date(2024, 1, 1)}
LACKS = {
    "sun and day": ({"units": "W m-2 sr-1 um-1"}, {}, "nothing says the sun's zenith angle and the day; give its OBS"),
    "day": ({"description": "At-sensor radiance"}, {"sun_zenith_deg": 3}, "nothing says the day"),
    "units": ({"description": "radiance"}, SUN, "units that it does not say"),
    "odd units": ({}, SUN | {"quantity": "radiance", "units": "MW m-2"}, "'MW m-2'"),
    "nothing": ({}, {"quantity": "radiance"}, "nothing says the sun's zenith angle and the day"),
}  # fmt: skip


@pytest.mark.parametrize("case", LACKS)
def test_radiance_is_never_inferred(tmp_path, case):
    words, given, message = LACKS[case]
    path = write_raster(tmp_path / "x.tif", (reflectance() * 20).astype("f4"), file_tags=words)
    with pytest.raises(InputError, match=message):
        sc.open_raster(path, **given)


def test_what_cannot_be_meant_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"))
    with pytest.raises(UsageError, match="give one of radiance, toa_reflectance, surface_reflectance"):
        sc.open_raster(path, quantity="brightness")
    with pytest.raises(UsageError, match="a sun zenith angle of 95 degrees"):
        sc.open_raster(path, quantity="radiance", sun_zenith_deg=95, day=date(2024, 1, 1))


# Bands.


def test_a_bare_b4_needs_a_sensor(tmp_path):
    names = ("B2", "B3", "B4", "B5", "B6", "B7")
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"), tags=False, names=names)
    with pytest.raises(InputError, match=r"6 bands \(named B2, B3, B4, B5, B6, B7\); name the sensor.*--sensor"):
        sc.open_raster(path)
    scene = sc.open_raster(path, SENSOR)
    np.testing.assert_allclose(scene.sensor.wavelength_nm, CENTRES_NM)
    assert "in the order of six" in notes(scene)


def test_another_count_of_bands_than_the_sensors_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", reflectance(bands=4).astype("f4"), tags=False)
    with pytest.raises(InputError, match="has 4 bands and six 6"):
        sc.open_raster(path, SENSOR)


def test_centres_of_the_file_against_the_named_sensor_are_said(tmp_path):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"))
    other = Sensor("other", SENSOR.wavelength_nm + 25, SENSOR.fwhm_nm)
    scene = sc.open_raster(path, other)
    assert "up to 25 nm from those of other" in notes(scene)
    np.testing.assert_allclose(scene.sensor.wavelength_nm, other.wavelength_nm)


def test_an_alpha_band_is_no_band(tmp_path):
    values = np.concatenate([reflectance(bands=3), np.ones((40, 30, 1))], axis=-1).astype("f4")
    path = write_raster(tmp_path / "x.tif", values, tags=False)
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [*raster.colorinterp[:3], rasterio.enums.ColorInterp.alpha]
        for band in range(3):
            raster.update_tags(band + 1, wavelength=CENTRES_NM[band], wavelength_units="nm")
    scene = sc.open_raster(path)
    assert scene.sensor.bands == scene.image.bands == 3
    np.testing.assert_allclose(scene.image.read(0, 40), values[..., :3])


def test_envi_reflectance_opens_like_its_tiff(tmp_path):
    truth = reflectance()
    fields = {"wavelength": "{" + ", ".join(map(str, CENTRES_NM)) + "}", "wavelength units": "nm"}
    fields["data ignore value"] = "-9999"
    stored = truth.astype("f4")
    stored[2, 3] = -9999
    header = write_envi(tmp_path / "x.img", stored * 100, fields=fields | {"data ignore value": "-999900"})
    scene = sc.open_raster(header)
    read = scene.image.read(0, 40)
    assert np.isnan(read[2, 3]).all()
    np.testing.assert_allclose(np.delete(read.reshape(-1, 6), 63, 0), np.delete(truth.reshape(-1, 6), 63, 0), atol=1e-6)


# What is no plain raster.


def test_granules_open_as_they_do_with_their_geometry(tmp_path):
    radiance, _ = write_emit(tmp_path, arrays())
    scene = sc.open_raster(radiance)
    assert scene.quantity == "radiance" and scene.observation is not None
    flown, observation = write_envi_scene(tmp_path, arrays())
    assert sc.open_raster(flown).observation.path == observation
    with pytest.raises(InputError, match="observation geometry"):
        sc.open_raster(observation)


def test_a_granule_with_another_sensor_is_radiance_all_the_same(tmp_path):
    radiance, _ = write_emit(tmp_path, arrays())
    flown, _ = write_envi_scene(tmp_path, arrays())
    for path in (radiance, flown):
        with pytest.raises(InputError, match=r"holds radiance.*OBS"):
            sc.open_raster(path, scale=0.5)


@pytest.mark.parametrize("thing", [3, None, b"x.tif", np.ones((3, 3, 3))])
def test_what_is_no_place_is_refused(thing):
    with pytest.raises(UsageError, match="is not a raster; give a path"):
        sc.open_raster(thing)


@pytest.mark.parametrize("path", ["", "nowhere.tif", "\0", "x" * 5000, "/vsizip/", "/vsimem/x.tif", "gs://b/x.tif"])
def test_what_is_not_there_costs_one_line(path):
    with pytest.raises(InputError) as caught:
        sc.open_raster(path)
    assert "\n" not in str(caught.value)


def test_another_size_of_pixels_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"))
    assert sc.open_raster(path, resolution_m=30).lines == 40
    with pytest.raises(UsageError, match="its own pixels"):
        sc.open_raster(path, resolution_m=10)


def test_a_truncated_raster_costs_one_line(tmp_path):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"), compress="deflate")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in rng.integers(1, len(content), 60).tolist():
        path.write_bytes(content[:length])
        try:
            sc.open_raster(path).image.read(0, 40)
        except sc.SpectfError as error:
            assert "\n" not in str(error)
    for place in rng.integers(0, 600, 150).tolist():  # where the directory is
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            sc.open_raster(path).image.read(0, 1)
        except sc.SpectfError as error:
            assert "\n" not in str(error)


# Archives.


def zipped(path: Path, files: dict[str, Path], packed: bool) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, file in files.items():
            archive.write(file, name)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_raster_in_a_zip_or_tar_is_read_there(tmp_path, packed, monkeypatch):
    truth = reflectance()
    inner = write_raster(tmp_path / "inner.tif", truth.astype("f4"))
    archive = zipped(tmp_path / "x.zip", {"a b/inner.tif": inner}, packed)
    with tarfile.open(tmp_path / ("x.tar.gz" if packed else "x.tar"), "w:gz" if packed else "w") as tar:
        tar.add(inner, "a b/inner.tif")
    inner.unlink()
    monkeypatch.chdir(tmp_path)
    member = "x.zip/a b/inner.tif"
    spellings = [archive, archive / "a b/inner.tif", member, f"/vsizip/{member}", f"/vsizip/{tmp_path}/{member}"]
    spellings += [f"/vsizip/{{{archive}}}/a b/inner.tif", Path(f"/vsizip/{tmp_path}/{member}")]
    spellings += [f"/vsitar/{tar.name}/a b/inner.tif", f"{tar.name}/a b/inner.tif"]
    for spelling in spellings:
        scene = sc.open_raster(spelling)
        np.testing.assert_allclose(scene.image.read(5, 9), truth[5:9], rtol=1e-6)
        assert [file.name for file in scene.files] in (["x.zip"], [Path(tar.name).name])


def test_what_an_archive_lacks_is_said(tmp_path):
    inner = write_raster(tmp_path / "inner.tif", reflectance().astype("f4"))
    two = zipped(tmp_path / "two.zip", {"a.tif": inner, "b.tif": inner, "readme.txt": inner}, False)
    for path, message in (
        (two, r"several images; name one of them: .*two\.zip/a\.tif, .*two\.zip/b\.tif"),
        (two / "c.tif", r"two\.zip holds no c\.tif; it holds .*a\.tif"),
        (two / "readme.txt", "only GeoTIFF is read in an archive"),
        (zipped(tmp_path / "none.zip", {"readme.txt": inner}, False), "no product that is known and no GeoTIFF"),
        (zipped(tmp_path / "deep.zip", {"a/x.tif": inner, "b/readme.txt": inner}, False) / "b", "deep.zip/b holds no"),
        (inner / "deeper.tif", "does not exist"),
        (f"/vsizip/{tmp_path}/nothing.zip/a.tif", "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            sc.open_raster(path)


def test_the_one_image_in_a_folder_of_an_archive(tmp_path):
    inner = write_raster(tmp_path / "inner.tif", reflectance().astype("f4"))
    archive = zipped(tmp_path / "x.zip", {"a/one.tif": inner, "b/two.tif": inner}, False)
    assert sc.open_raster(archive / "b").image.path == archive / "b" / "two.tif"


def test_names_that_lead_out_of_an_archive_are_refused(tmp_path):
    inner = write_raster(tmp_path / "inner.tif", reflectance().astype("f4"))
    hostile = zipped(tmp_path / "x.zip", {"../../evil.tif": inner}, True)
    for path in (hostile, hostile / "evil.tif"):
        with pytest.raises(InputError, match="leads out of the archive"):
            sc.open_raster(path)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("x.tif", bytes(200 * 2**20))
    with pytest.raises(InputError, match="do not trust"):
        sc.open_raster(bomb)


def test_a_percentage_is_masked_as_the_fraction_it_means(tmp_path):
    values = reflectance(12, 10, 40).astype("f4")
    mask = mask_scene(sc.open_raster(write_raster(tmp_path / "x.tif", values * 100)))
    again = mask_scene(sc.open_raster(write_raster(tmp_path / "y.tif", values)))
    np.testing.assert_allclose(mask.probability, again.probability, atol=1e-4)
    assert mask.tags["SPECTF_SCALE"] == "0.01" and mask.tags["SPECTF_QUANTITY"] == "toa_reflectance"


def test_a_network_of_spectrometers_does_not_mask_few_broad_bands(tmp_path):
    """On Sentinel-2 the published weights call clear what is cloud."""
    with pytest.raises(InputError, match=r"has 6 bands; the network builtin .* fewer than 32"):
        mask_scene(sc.open_raster(write_raster(tmp_path / "x.tif", reflectance(4, 4).astype("f4"))))
