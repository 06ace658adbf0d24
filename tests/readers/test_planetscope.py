"""PlanetScope scenes against the factors of their XML."""

import math
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from spectf_cloud.errors import InputError, SpectfError, UsageError
from spectf_cloud.readers.planetscope import is_planetscope, open_planetscope
from spectf_cloud.tokens import Tokens

from band_files import LINES, PLACE, PLANET, counts, planet_xml, write_band

REFERENCE = Path("/work/shared/reference/formats/planetscope")
#: Of the real scene 20170831_172754_101c.
COEFFICIENTS = (1.81512636125e-05, 1.92266681265e-05, 2.14155262585e-05, 3.22221688359e-05)
EIGHT = tuple((1.7 + band / 10) * 1e-5 for band in range(8))


def write_planet(folder, name=PLANET, bands=4, xml=None, part=""):
    """Write an image and its XML; returns its numbers (bands, lines, samples)."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.stack([counts(seed) for seed in range(bands)])
    values[:, 0, 0] = 0
    write_band(folder / f"{name}{part}.tif", values, nodata=0)
    content = planet_xml(COEFFICIENTS) if xml is None else xml
    (folder / f"{name}_metadata.xml").write_text(content)
    return values


def expected(values, factors):
    rho = np.moveaxis(values, 0, -1) * np.array(factors)
    return np.where(np.moveaxis(values, 0, -1) == 0, np.nan, rho)


def test_analytic_is_reflectance_by_the_coefficient_of_each_band_number(tmp_path):
    values = write_planet(tmp_path, xml=planet_xml(COEFFICIENTS, order=(3, 1, 4, 2)))
    scene = open_planetscope(tmp_path)
    assert scene.quantity == "toa_reflectance" and scene.sensor.name == "PLANETSCOPE4"
    np.testing.assert_allclose(scene.image.read(0, LINES), expected(values, COEFFICIENTS), rtol=1e-6)
    assert scene.image.band_names == ("blue", "green", "red", "nir")
    assert scene.grid().geotransform == PLACE.to_gdal()
    facts = scene.facts
    assert facts.acquired == datetime(2017, 8, 31, 17, 27, 54, tzinfo=UTC)
    assert facts.sun_zenith_deg == pytest.approx(24.87995) and facts.sun_azimuth_deg == pytest.approx(145.42)
    assert (facts.satellite, facts.level) == ("PlanetScope 101c", "3B AnalyticMS")
    assert Tokens.of_scene(scene, min_bands=3).kept.size == 4


def test_eight_bands(tmp_path):
    name = f"{PLANET}_8b"
    values = write_planet(tmp_path, name, 8, planet_xml(EIGHT, instrument="PSB.SD"), part="_clip")
    scene = open_planetscope(tmp_path / f"{name}_clip.tif")
    np.testing.assert_allclose(scene.image.read(0, LINES), expected(values, EIGHT), rtol=1e-6)
    assert scene.sensor.wavelength_nm.tolist() == [441.5, 490, 531, 565, 610, 665, 705, 865]


@pytest.mark.parametrize("coefficient", ["0", "0.0", ""])
def test_radiance_stands_in_for_a_missing_coefficient(tmp_path, coefficient):
    """By the solar irradiance of the package within 1 % of Planet's own coefficients, which are real here."""
    values = write_planet(tmp_path, xml=planet_xml((COEFFICIENTS[0], coefficient, *COEFFICIENTS[2:])))
    scene = open_planetscope(tmp_path)
    read = scene.image.read(0, LINES)
    np.testing.assert_allclose(read[..., 1], expected(values, COEFFICIENTS)[..., 1], rtol=0.01)
    np.testing.assert_allclose(read[..., 2], expected(values, COEFFICIENTS)[..., 2], rtol=1e-6)
    assert scene.facts.notes[0].startswith("green without a reflectance coefficient")


def test_at_night_radiance_is_no_reflectance(tmp_path):
    write_planet(tmp_path, xml=planet_xml((0, 0, 0, 0), elevation="-3"))
    scene = open_planetscope(tmp_path)
    assert np.isnan(scene.image.read(0, LINES)).all() and "night" in " ".join(scene.facts.notes)


@pytest.mark.parametrize("part", ["_SR", "_SR_clip", "_SR_harmonized_clip"])
def test_surface_reflectance_has_no_coefficient(tmp_path, part):
    values = write_planet(tmp_path, part=part)
    scene = open_planetscope(tmp_path)
    assert scene.quantity == "surface_reflectance"
    np.testing.assert_allclose(scene.image.read(0, LINES), expected(values, [1e-4] * 4), rtol=1e-6)
    notes = scene.facts.notes
    assert "surface" in notes[0] and ("harmonized" in notes[1]) == ("harmonized" in part)


def test_of_both_in_a_folder_that_of_the_top_of_the_atmosphere_is_taken(tmp_path):
    write_planet(tmp_path)
    write_planet(tmp_path, part="_SR")
    assert open_planetscope(tmp_path).quantity == "toa_reflectance"
    assert open_planetscope(tmp_path / f"{PLANET}_SR.tif").quantity == "surface_reflectance"


@pytest.mark.parametrize("form", ["image", "XML", "zip"])
def test_every_way_to_name_it(tmp_path, form):
    write_planet(tmp_path / "files")
    write_planet(tmp_path / "files", PLANET.replace("101c", "101d")) if form != "zip" else None
    path = tmp_path / "files" / f"{PLANET}{'_metadata.xml' if form == 'XML' else '.tif'}"
    if form == "zip":
        path = tmp_path / "order.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((tmp_path / "files").iterdir()):
                archive.write(file, f"files/{file.name}")
    assert is_planetscope(path)
    scene = open_planetscope(path)
    assert scene.name == PLANET and all(file.is_file() for file in scene.image.files)


def test_a_basic_scene_has_no_place(tmp_path):
    name = PLANET.replace("3B", "1B")
    write_planet(tmp_path, name)
    with pytest.warns(NotGeoreferencedWarning):
        write_band(tmp_path / f"{name}.tif", np.stack([counts(seed) for seed in range(4)]), crs=None, place=None)
    scene = open_planetscope(tmp_path)
    assert scene.grid() is None and "without a georeference" in scene.facts.notes[0]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (planet_xml(COEFFICIENTS, order=(1, 2, 3)), "band 4"),
        (planet_xml(COEFFICIENTS, order=(1, 2, 3, 3)), "band 3 twice"),
        (planet_xml((*COEFFICIENTS[:3], "-1")), "above zero for band 4"),
        (planet_xml((*COEFFICIENTS[:3], "0"), scale="0"), "above zero for band 4"),
        (planet_xml((*COEFFICIENTS[:3], "inf")), "not a number"),
        (planet_xml(COEFFICIENTS, instrument="PS9"), "'PS9' with 4"),
        (planet_xml(COEFFICIENTS, elevation="99"), "not an angle"),
        (planet_xml(COEFFICIENTS).replace("2017-08-31T", ""), "not a time"),
        (planet_xml(COEFFICIENTS, platform="RapidEye"), "does not describe a PlanetScope"),
        (planet_xml(COEFFICIENTS)[:900], "not whole XML"),
        ('<!DOCTYPE x [<!ENTITY a "aa">]><x/>', "entities"),
    ],
)
def test_metadata_that_cannot_be_meant_cost_a_line(tmp_path, xml, message):
    write_planet(tmp_path, xml=xml)
    with pytest.raises(InputError, match=message) as refused:
        open_planetscope(tmp_path)
    assert "\n" not in str(refused.value)


def test_foreign_and_damaged_images_cost_a_line(tmp_path):
    write_planet(tmp_path)
    with pytest.raises(UsageError, match="its own 3 m"):
        open_planetscope(tmp_path, 30)
    write_band(tmp_path / f"{PLANET}.tif", np.stack([counts()] * 5))
    with pytest.raises(InputError, match="'PS2' with 5"):
        open_planetscope(tmp_path)
    write_band(tmp_path / f"{PLANET}.tif", np.stack([counts().astype("f4")] * 4))
    with pytest.raises(InputError, match="holds float32"):
        open_planetscope(tmp_path)
    (tmp_path / f"{PLANET}.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match="cannot be read"):
        open_planetscope(tmp_path)
    (tmp_path / f"{PLANET}_metadata.xml").unlink()
    assert not is_planetscope(tmp_path)
    with pytest.raises(InputError, match=r"has no .*_metadata.xml"):
        open_planetscope(tmp_path)
    write_planet(tmp_path, xml=planet_xml(COEFFICIENTS, platform="RapidEye"))
    assert not is_planetscope(tmp_path) and not is_planetscope(tmp_path / "none.tif")


def test_mutated_metadata_cost_a_line_at_most(tmp_path):
    write_planet(tmp_path)
    path = tmp_path / f"{PLANET}_metadata.xml"
    whole = path.read_bytes()
    random = np.random.default_rng(19)
    for _ in range(200):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 6)):
            content[place] = random.integers(0, 256)
        path.write_bytes(content[: random.integers(0, len(whole))] if random.random() < 0.2 else content)
        try:
            open_planetscope(path).image.read(0, 1)
        except SpectfError as refused:
            assert "\n" not in str(refused)


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the reference files")
def test_a_real_scene(tmp_path):
    scene = open_planetscope(REFERENCE / "20170831_172754_101c_3B_AnalyticMS.tif")
    with rasterio.open(scene.image.files[1]) as raster:
        values = raster.read()
    read = scene.image.read(0, 256)
    np.testing.assert_allclose(read, expected(values, COEFFICIENTS), rtol=1e-6)
    assert 0.02 < np.nanmedian(read) < 0.4 and math.isclose(scene.facts.sun_zenith_deg, 24.87995)


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the reference files")
def test_another_real_xml(tmp_path):
    name = "20160831_180257_0e26_3B_AnalyticMS"
    values = write_planet(tmp_path, name, xml=(REFERENCE / f"{name}_metadata.xml").read_text())
    factors = 2.18308670474847e-05, 2.3015015180605666e-05, 2.565908193739518e-05, 3.8835539237005976e-05
    np.testing.assert_allclose(open_planetscope(tmp_path).image.read(0, LINES), expected(values, factors), rtol=1e-6)
