"""Landsat scenes against the formulas of USGS, from every form of metadata, and what hostile ones cost."""

import math
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from spectf_cloud.errors import InputError, SpectfError, UsageError
from spectf_cloud.readers.landsat import is_landsat, open_landsat
from spectf_cloud.readers.mtl import read_mtl
from spectf_cloud.tokens import Tokens

from band_files import (
    ELEVATION_DEG,
    LANDSAT,
    LINES,
    PLACE,
    SAMPLES,
    counts,
    landsat_groups,
    mtl_text,
    write_band,
    write_landsat,
)

REFERENCE = Path("/work/shared/reference/formats")
#: In the order of wavelength, which is not that of the numbers: band 9 sees cirrus at 1373 nm.
ORDER = ("1", "2", "3", "4", "5", "9", "6", "7")


def expected(held, order=ORDER, elevation_deg=ELEVATION_DEG):
    """Reflectance by the formula of USGS, float64, from the factors that `landsat_groups` writes."""
    values = []
    for number in order:
        gain, bias = float(f"{(2 + int(number) / 100) * 1e-5:.4E}"), -0.1 - int(number) / 1000
        rho = (gain * held[number].astype(np.float64) + bias) / math.sin(math.radians(elevation_deg))
        values.append(np.where(held[number] == 0, np.nan, rho))
    return np.stack(values, axis=-1)


def pack(folder, form):
    path = folder.with_suffix(f".{form}")
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)
    else:
        with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.add(file, file.name)
    return path


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
def test_level_1_is_reflectance_by_the_formula(tmp_path, form):
    held = write_landsat(tmp_path / "scene", form=form)
    scene = open_landsat(tmp_path / "scene")
    assert scene.quantity == "toa_reflectance" and scene.name == LANDSAT
    assert scene.image.band_names == ("B1", "B2", "B3", "B4", "B5", "B9", "B6", "B7")
    assert (np.diff(scene.sensor.wavelength_nm) > 0).all()
    values = scene.image.read(0, LINES)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected(held), rtol=0, atol=2e-7)
    np.testing.assert_array_equal(scene.image.read(3, 9, np.array([6, 0])), values[3:9][..., [6, 0]])
    assert scene.grid().geotransform == PLACE.to_gdal() and scene.image.lines_per_chunk == 16
    facts = scene.facts
    assert (facts.level, facts.satellite, facts.notes) == ("L1TP", "Landsat 8", ())
    assert facts.acquired == datetime(2023, 1, 2, 15, 13, 51, 861099, UTC)
    assert (facts.sun_zenith_deg, facts.sun_azimuth_deg) == (90 - ELEVATION_DEG, 259.5)


def test_tokens_are_made_of_it(tmp_path):
    write_landsat(tmp_path / "scene")
    tokens = Tokens.of_scene(open_landsat(tmp_path / "scene"), min_bands=3)
    assert tokens.kept.tolist() == list(range(8)) and (tokens.factors == 1).all()


def test_all_forms_of_metadata_say_the_same():
    groups = landsat_groups()
    texts = {form: read_mtl(mtl_text(groups, form).encode(), form).groups for form in ("txt", "json", "xml")}
    assert texts["txt"] == texts["json"] == texts["xml"] == groups


@pytest.mark.parametrize("form", ["folder", "MTL", "band", "tar", "tar.gz", "zip"])
def test_every_way_to_name_it(tmp_path, form):
    held = write_landsat(tmp_path / "scene")
    write_landsat(tmp_path / "scene" / "other", form="json") if form in ("MTL", "band") else None
    path = {
        "folder": tmp_path / "scene",
        "MTL": tmp_path / "scene" / f"{LANDSAT}_MTL.txt",
        "band": tmp_path / "scene" / f"{LANDSAT}_B4.TIF",
    }.get(form) or pack(tmp_path / "scene", form)
    assert is_landsat(path)
    cube = open_landsat(path).image
    np.testing.assert_allclose(cube.read(0, LINES), expected(held), rtol=0, atol=2e-7)
    assert all(file.is_file() for file in cube.files) and cube.path in cube.files


def test_names_on_disk_may_be_in_lower_case(tmp_path):
    held = write_landsat(tmp_path)
    for file in tmp_path.glob("*.TIF"):
        file.rename(file.with_suffix(".tif"))
    np.testing.assert_allclose(open_landsat(tmp_path).image.read(0, LINES), expected(held), rtol=0, atol=2e-7)


def test_panchromatic_and_thermal_bands_are_left_out(tmp_path):
    bands = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11")
    write_landsat(tmp_path, landsat_groups(bands))
    write_band(tmp_path / f"{LANDSAT}_B8.TIF", counts(8, shape=(2 * LINES, 2 * SAMPLES)))
    assert open_landsat(tmp_path).image.bands == 8


def test_the_sun_of_each_pixel_is_taken_where_it_is_known(tmp_path):
    groups = landsat_groups()
    groups["PRODUCT_CONTENTS"]["FILE_NAME_ANGLE_SOLAR_ZENITH_BAND_4"] = f"{LANDSAT}_SZA.TIF"
    held = write_landsat(tmp_path, groups)
    zenith = np.tile(np.linspace(3000, 9500, SAMPLES).astype(np.int16), (LINES, 1))
    zenith[5] = 0
    write_band(tmp_path / f"{LANDSAT}_SZA.TIF", zenith)
    values = open_landsat(tmp_path).image.read(0, LINES)
    cosine = np.cos(np.deg2rad(zenith / 100.0))
    rho = expected(held, elevation_deg=90) / np.where((zenith > 0) & (cosine > 0), cosine, np.nan)[..., None]
    np.testing.assert_allclose(values, rho, rtol=1e-6, atol=1e-6)
    assert np.isnan(values[5]).all() and np.isnan(values[:, zenith[0] >= 9000]).all()


def test_at_night_there_is_no_data_and_a_note(tmp_path):
    write_landsat(tmp_path, landsat_groups(SUN_ELEVATION="-41.46228969"))
    scene = open_landsat(tmp_path)
    assert np.isnan(scene.image.read(0, LINES)).all()
    assert scene.facts.notes == ("night: the sun is 41.5 degrees below the horizon; no data where it is down",)
    assert Tokens.of_scene(scene).kept.size == 8


def test_level_2_is_surface_reflectance_by_factors_of_its_own(tmp_path):
    """The Level-1 factors stand in the same file, after those of Level 2."""
    bands = ("1", "2", "3", "4", "5", "6", "7")
    groups = landsat_groups(bands, level="L2SP")
    level2 = {f"REFLECTANCE_MULT_BAND_{n}": "2.75e-05" for n in bands}
    level2 |= {f"REFLECTANCE_ADD_BAND_{n}": "-0.2" for n in bands}
    held = write_landsat(tmp_path, {"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": level2} | groups, form="xml")
    scene = open_landsat(tmp_path)
    assert scene.quantity == "surface_reflectance" and "surface" in scene.facts.notes[0]
    assert any(note.endswith(scene.facts.notes[0]) for note in Tokens.of_scene(scene).notes)
    rho = np.where(held["3"] == 0, np.nan, 2.75e-5 * held["3"] - 0.2)
    np.testing.assert_allclose(scene.image.read(0, LINES)[..., 2], rho, rtol=0, atol=2e-7)


def test_stripes_without_data_and_saturation(tmp_path):
    bands = ("1", "2", "3", "4", "5", "7")
    image = {"SPACECRAFT_ID": "LANDSAT_7", "SENSOR_ID": "ETM", "SENSOR_MODE_SLC": "OFF"}
    write_landsat(tmp_path, landsat_groups(bands, **image), dtype="uint8")
    striped = counts(3, "uint8", high=255)
    striped[10:14], striped[20] = 0, 255
    write_band(tmp_path / f"{LANDSAT}_B3.TIF", striped)
    scene = open_landsat(tmp_path)
    values = scene.image.read(0, LINES)
    assert np.isnan(values[10:14, :, 2]).all() and np.isfinite(values[10:14, 1:, [0, 1, 3, 4, 5]]).all()
    brightest = (2.03e-5 * 255 - 0.103) / math.sin(math.radians(ELEVATION_DEG))
    np.testing.assert_allclose(values[20, :, 2], brightest, atol=2e-7)
    assert "scan line corrector" in scene.facts.notes[0]


@pytest.mark.parametrize(("satellite", "first"), [("LANDSAT_1", 4), ("LANDSAT_3", 4), ("LANDSAT_5", 1)])
def test_mss_bands_count_from_4_on_the_first_three(tmp_path, satellite, first):
    bands = [str(first + band) for band in range(4)]
    write_landsat(tmp_path, landsat_groups(bands, SPACECRAFT_ID=satellite, SENSOR_ID="MSS"), dtype="uint8")
    cube = open_landsat(tmp_path).image
    assert cube.band_names == tuple(f"B{band}" for band in bands)
    assert cube.sensor.wavelength_nm.tolist() == [550, 650, 750, 950]


def test_collection_1_has_the_same_entries_in_other_groups(tmp_path):
    new = landsat_groups()
    old = {
        "METADATA_FILE_INFO": {"LANDSAT_PRODUCT_ID": LANDSAT},
        "PRODUCT_METADATA": {"DATA_TYPE": "L1TP"} | new["IMAGE_ATTRIBUTES"] | new["PRODUCT_CONTENTS"],
        "IMAGE_ATTRIBUTES": {"SUN_ELEVATION": str(ELEVATION_DEG), "SUN_AZIMUTH": "1"},
        "RADIOMETRIC_RESCALING": new["LEVEL1_RADIOMETRIC_RESCALING"],
    }
    for key in ("SUN_ELEVATION", "SUN_AZIMUTH", "PROCESSING_LEVEL", "LANDSAT_PRODUCT_ID"):
        del old["PRODUCT_METADATA"][key]
    held = write_landsat(tmp_path, old, root="L1_METADATA_FILE")
    scene = open_landsat(tmp_path)
    np.testing.assert_allclose(scene.image.read(0, LINES), expected(held), rtol=0, atol=2e-7)
    assert scene.facts.level == "L1TP" and scene.facts.product == LANDSAT


def test_reflectance_comes_of_radiance_where_its_factors_are_missing(tmp_path):
    """Factors of LC08_L2SP_008059_20191201: those of reflectance are 2e-5 and -0.1 in every band."""
    gains = (1.2913e-2, 1.3223e-2, 1.2185e-2, 1.0275e-2, 6.2877e-3, 1.5637e-3, 5.2705e-4)
    offsets = (-64.56431, -66.11464, -60.92407, -51.37461, -31.4387, -7.81852, -2.63526)
    groups = landsat_groups("1234567", EARTH_SUN_DISTANCE="0.9860755")
    groups["LEVEL1_RADIOMETRIC_RESCALING"] = {
        f"RADIANCE_{word}_BAND_{n}": str(value)
        for word, values in (("MULT", gains), ("ADD", offsets))
        for n, value in enumerate(values, start=1)
    }
    held = write_landsat(tmp_path, groups)
    scene = open_landsat(tmp_path)
    values = scene.image.read(0, LINES)
    for place, number in enumerate("1234567"):
        rho = (2e-5 * held[number] - 0.1) / math.sin(math.radians(ELEVATION_DEG))
        # The solar irradiance of USGS and the published one differ by 10 % at 443 nm, less elsewhere.
        np.testing.assert_allclose(values[1:, :, place], rho[1:], rtol=0.11)
    assert "made from radiance" in scene.facts.notes[0]


def test_bands_that_are_not_there_are_named(tmp_path):
    write_landsat(tmp_path)
    (tmp_path / f"{LANDSAT}_B1.TIF").unlink()
    scene = open_landsat(tmp_path)
    assert scene.image.bands == 7 and scene.facts.notes == ("missing and left out: B1",)


def test_another_pixel_size_is_refused(tmp_path):
    write_landsat(tmp_path)
    assert open_landsat(tmp_path, 30.0).image.bands == 8
    with pytest.raises(UsageError, match="its own 30 m"):
        open_landsat(tmp_path, 60.0)


def changed(entries):
    groups = landsat_groups()
    for group, key, value in entries:
        if value is None:
            del groups[group][key]
        else:
            groups[group][key] = value
    return groups


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("IMAGE_ATTRIBUTES", "SUN_ELEVATION", None)], "SUN_ELEVATION"),
        ([("IMAGE_ATTRIBUTES", "SUN_ELEVATION", "high")], "'high', not a number"),
        ([("IMAGE_ATTRIBUTES", "SUN_ELEVATION", "120")], "not an angle"),
        ([("IMAGE_ATTRIBUTES", "SENSOR_ID", "TIRS")], "TIRS of LANDSAT_8 is not read"),
        ([("IMAGE_ATTRIBUTES", "SPACECRAFT_ID", "LANDSAT_6")], "LANDSAT_6 is not read"),
        ([("PRODUCT_CONTENTS", "PROCESSING_LEVEL", "L3")], "level 'L3'"),
        ([("LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE_MULT_BAND_3", None)], "reflectance of band 3"),
        ([("LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE_MULT_BAND_3", "-1")], "above zero"),
        ([("LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE_ADD_BAND_3", "nan")], "not a number"),
        ([("LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE_MULT_BAND_3", "1e300")], "make no reflectance"),
    ],
)
def test_metadata_that_cannot_be_meant_cost_a_line(tmp_path, entries, message):
    write_landsat(tmp_path)
    (tmp_path / f"{LANDSAT}_MTL.txt").write_text(mtl_text(changed(entries)))
    with pytest.raises(InputError, match=message) as refused:
        open_landsat(tmp_path)
    assert "\n" not in str(refused.value)


def test_names_that_lead_elsewhere_are_not_followed(tmp_path):
    write_landsat(tmp_path / "other")
    (tmp_path / "scene").mkdir()
    names = {f"FILE_NAME_BAND_{n}": f"../other/{LANDSAT}_B{n}.TIF" for n in "12345679"}
    groups = landsat_groups()
    groups["PRODUCT_CONTENTS"] |= names
    (tmp_path / "scene" / f"{LANDSAT}_MTL.txt").write_text(mtl_text(groups))
    with pytest.raises(InputError, match="none is beside it"):
        open_landsat(tmp_path / "scene")


def test_an_archive_with_names_that_lead_out_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"../{LANDSAT}_MTL.txt", mtl_text(landsat_groups()))
    assert not is_landsat(path)
    with pytest.raises(InputError, match="leads out"):
        open_landsat(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a whole"),
        (b"GROUP = LANDSAT_METADATA_FILE\n  GROUP = PRODUCT_CONTENTS\n", "not a whole"),
        (b"GROUP = OTHER\nEND_GROUP = OTHER\n", "not a whole"),
        (b'{"LANDSAT_METADATA_FILE": {"PRODUCT_CONTENTS": ', "not whole JSON"),
        (b'{"LANDSAT_METADATA_FILE": 3}', "not a whole"),
        (b"[" * 99_999, "not a whole"),
        (b'{"a":' * 99_999, "not whole JSON"),
        (b"<LANDSAT_METADATA_FILE><PRODUCT_CONTENTS>", "not whole XML"),
        (b"<Other/>", "not a whole"),
        (b'<!DOCTYPE x [<!ENTITY a "aa">]><LANDSAT_METADATA_FILE/>', "entities"),
    ],
)
def test_hostile_metadata_cost_a_line(content, message):
    with pytest.raises(InputError, match=message):
        read_mtl(content, "MTL")


def damage_type(path):
    write_band(path, counts(dtype="int32"))


def damage_size(path):
    write_band(path, counts(shape=(LINES, SAMPLES + 1)))


def damage_place(path):
    write_band(path, counts(), crs="EPSG:32620")


def damage_end(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_type, "holds int32"),
        (damage_size, "32 lines x 49 samples"),
        (damage_place, "another place"),
        (damage_end, "damaged"),
    ],
)
def test_a_damaged_band_is_named(tmp_path, damage, message):
    write_landsat(tmp_path)
    damage(tmp_path / f"{LANDSAT}_B4.TIF")
    with pytest.raises(InputError, match=f"_B4.TIF.*{message}"):
        open_landsat(tmp_path).image.read(0, LINES)


def test_two_scenes_in_one_folder_are_not_mixed(tmp_path):
    write_landsat(tmp_path)
    write_landsat(tmp_path, product=LANDSAT.replace("20230102", "20230118"))
    with pytest.raises(InputError, match="holds 2 Landsat scenes"):
        open_landsat(tmp_path)
    assert open_landsat(tmp_path / f"{LANDSAT}_B2.TIF").name == LANDSAT


def test_other_files_are_not_landsat(tmp_path):
    (tmp_path / "x_MTL.txt.zip").write_bytes(b"PK\5\6")
    write_band(tmp_path / "LC08_x_B4.TIF", counts())
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "x_MTL.txt.zip", tmp_path / "LC08_x_B4.TIF", tmp_path / "empty", tmp_path / "none_MTL.txt"):
        assert not is_landsat(path)


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
def test_mutated_metadata_cost_a_line_at_most(tmp_path, form):
    write_landsat(tmp_path, landsat_groups(("2", "4")), form=form)
    path = tmp_path / f"{LANDSAT}_MTL.{form}"
    whole = path.read_bytes()
    random = np.random.default_rng(19)
    for _ in range(120):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 6)):
            content[place] = random.integers(0, 256)
        path.write_bytes(content[: random.integers(0, len(whole))] if random.random() < 0.2 else content)
        try:
            open_landsat(path).image.read(0, 1)
        except SpectfError as refused:
            assert "\n" not in str(refused)


REAL = {
    "antarctic_MTL.xml": ("LANDSAT8", "L1GT", 8, "off nadir"),
    "etm_l1_MTL.xml": ("LANDSAT7", "L1TP", 6, "scan line corrector"),
    "mss_l1_landsat1_MTL.xml": ("LANDSAT1", "L1TP", 4, ""),
    "oli_tirs_l1_MTL.xml": ("LANDSAT8", "L1TP", 8, "night"),
    "oli_tirs_l2_MTL.xml": ("LANDSAT9", "L2SP", 7, "surface"),
    "tm_l1_MTL.xml": ("LANDSAT4", "L1TP", 6, ""),
    "LC08_L2SP_008059_20191201_20200825_02_T1_MTL.json": ("LANDSAT8", "L2SP", 7, "surface"),
    "LC08_L2SP_008059_20191201_20200825_02_T1_MTL.txt": ("LANDSAT8", "L2SP", 7, "surface"),
    "LC09_L2SP_010065_20220129_20220131_02_T1_MTL.txt": ("LANDSAT9", "L2SP", 7, "surface"),
}


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the reference files")
@pytest.mark.parametrize("name", REAL)
def test_real_metadata_open_small_bands(tmp_path, name):
    sensor, level, bands, note = REAL[name]
    content = (REFERENCE / "landsat" / name).read_bytes()
    (tmp_path / name).write_bytes(content)
    names = read_mtl(content, name).groups["PRODUCT_CONTENTS"]
    dtype = names[next(key for key in names if key.startswith("DATA_TYPE_BAND"))].lower()
    for key, file in names.items():
        if key.startswith("FILE_NAME_BAND_") and key[15:].isdigit():
            write_band(tmp_path / file, counts(int(key[15:]), dtype, high=255))
    scene = open_landsat(tmp_path)
    facts = scene.facts
    assert (scene.sensor.name, facts.level, scene.image.bands) == (sensor, level, bands)
    assert facts.acquired is not None and note in " ".join(facts.notes)
    assert np.isnan(scene.image.read(0, LINES)).all() == (note == "night")


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the reference files")
def test_real_text_and_json_say_the_same():
    stem = REFERENCE / "landsat" / "LC08_L2SP_008059_20191201_20200825_02_T1_MTL"
    text, held = (read_mtl(stem.with_suffix(form).read_bytes(), form).groups for form in (".txt", ".json"))
    assert text == held


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the reference files")
def test_the_supplied_recipe_opens(tmp_path):
    """Its functions as they stand; what the script does with other libraries comes after them."""
    recipe = REFERENCE / "recipes" / "recipes.py"
    functions = {"__file__": str(recipe)}
    exec(recipe.read_text().partition("if sys.argv[1]")[0], functions)
    functions["landsat"](str(tmp_path / "ls"))
    scene = open_landsat(tmp_path / "ls")
    assert scene.image.band_names == ("B2", "B4", "B9") and "B1, B3, B5, B6, B7" in scene.facts.notes[0]
    np.testing.assert_allclose(scene.image.read(0, 32), (2e-5 * 20000 - 0.1) / 0.5, atol=2e-7)
