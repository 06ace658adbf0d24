import logging
import math

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

from spectf_cloud.errors import InputError
from spectf_cloud.readers import envi

from scene_files import OBS_NAMES, WAVELENGTH_NM, arrays, wavelength_fields, write_envi


@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<i2", ">i2"])
@pytest.mark.parametrize("offset", [0, 128])
def test_every_layout_reads_the_same_values(tmp_path, interleave, dtype, offset):
    values = np.rint(arrays().radiance * 100)
    header = write_envi(tmp_path / "x.img", values, dtype=dtype, interleave=interleave, offset=offset)
    cube = envi.open_cube(header)
    np.testing.assert_array_equal(cube.read(0, cube.lines), values)
    np.testing.assert_array_equal(cube.read(2, 5, np.array([3, 1])), values[2:5, :, [3, 1]])
    assert cube.read(0, 1).dtype == np.dtype("f8" if dtype.endswith("f8") else "f4")


@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
def test_gdal_reads_the_same(tmp_path, interleave):
    write_envi(tmp_path / "x.img", arrays().radiance, interleave=interleave)
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(tmp_path / "x.img", driver="ENVI") as raster,
    ):
        expected = raster.read().transpose(1, 2, 0)
    np.testing.assert_array_equal(envi.open_cube(tmp_path / "x.img").read(0, 7), expected)


@pytest.mark.parametrize(
    ("data", "header"),
    [("x.img", "x.hdr"), ("x.img", "x.img.hdr"), ("x", "x.hdr"), ("x.bil", "x.hdr"), ("a.b_7000-7010", "{}.hdr")],
)
def test_either_file_of_the_pair_opens_it(tmp_path, data, header):
    header_path = write_envi(tmp_path / data, arrays().radiance, header=header)
    assert envi.open_cube(header_path).path == tmp_path / data
    assert envi.open_cube(tmp_path / data).header.path == header_path


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("SCENE.IMG", "SCENE.HDR"),
        ("SCENE.IMG", "SCENE.IMG.HDR"),
        ("Scene.Bil", "Scene.Hdr"),
        ("scene.img", "SCENE.HDR"),
        ("SCENE", "SCENE.HDR"),
        ("scene.envi", "scene.hdr"),
        ("scene.radiance", "scene.hdr"),
        ("SCENE.CUBE", "scene.hdr"),
        ("ang20170323t202244_rdn_v2z4_clip", "ang20170323t202244_rdn_v2z4_clip.hdr"),
        ("f130503t01p00r09rdn_b_sc01_ort_img", "f130503t01p00r09rdn_b_sc01_ort_img.hdr"),
        ("scene.2024.v1", "scene.2024.hdr"),
    ],
)
def test_pairs_are_found_in_any_case_and_with_any_suffix(tmp_path, data, header):
    header_path = write_envi(tmp_path / data, arrays().radiance, header=header)
    (tmp_path / "scene.txt").write_text("notes of the flight " * 1000)  # long enough to hold the scene
    (tmp_path / "scene.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9999))
    (tmp_path / "scene.sta").write_bytes(bytes(9999))
    assert envi.open_cube(header_path).path == tmp_path / data
    assert envi.open_cube(tmp_path / data).header.path == header_path


def test_of_several_data_files_the_fitting_one_is_taken(tmp_path):
    header = write_envi(tmp_path / "scene.dat", arrays().radiance, header="scene.hdr")
    (tmp_path / "scene.img").write_bytes(b"too short")
    assert envi.open_cube(header).path == tmp_path / "scene.dat"
    write_envi(tmp_path / "scene.img", arrays(9, 9).radiance)  # has a header of its own
    assert envi.open_cube(header).path == tmp_path / "scene.dat"


@pytest.mark.parametrize("others", [("scene.img",), ("scene.bil", "scene.raw")])
def test_several_that_fit_are_named(tmp_path, others):
    header = write_envi(tmp_path / "scene.dat", arrays().radiance, header="scene.hdr")
    for name in others:
        (tmp_path / name).write_bytes((tmp_path / "scene.dat").read_bytes())
    with pytest.raises(InputError, match="may describe any of ") as caught:
        envi.open_cube(header)
    assert all(name in str(caught.value) for name in ("scene.dat", *others))
    assert envi.open_cube(tmp_path / "scene.dat").header.path == header


def test_several_of_unusual_suffix_are_named(tmp_path):
    header = write_envi(tmp_path / "scene.one", arrays().radiance, header="scene.hdr")
    (tmp_path / "scene.two").write_bytes((tmp_path / "scene.one").read_bytes())
    with pytest.raises(InputError, match=r"scene\.one, scene\.two; give the one that is meant"):
        envi.open_cube(header)


@pytest.mark.parametrize(("factor", "units"), [(1, "Nanometers"), (1000, "Micrometers"), (1, None), (1000, None)])
def test_wavelengths_become_nanometres(tmp_path, factor, units):
    write_envi(tmp_path / "x.img", arrays().radiance, fields=wavelength_fields(factor, units))
    sensor = envi.open_cube(tmp_path / "x.img").sensor
    np.testing.assert_allclose(sensor.wavelength_nm, WAVELENGTH_NM, rtol=1e-5)
    np.testing.assert_allclose(sensor.fwhm_nm, 9.0, rtol=1e-5)


def test_integers_with_gains_become_radiance_and_no_data_becomes_nan(tmp_path):
    values = np.full((2, 3, 2), 50)
    values[0, 0, 1] = -999
    fields = {"data ignore value": "-999", "data gain values": "{0.1, 0.2}", "data offset values": "{0, 1}"}
    write_envi(tmp_path / "x.img", values, dtype="<i2", fields=fields)
    read = envi.open_cube(tmp_path / "x.img").read(0, 2)
    assert read[1, 1] == pytest.approx([5, 11])
    assert np.isnan(read[0, 0, 1])
    assert read[0, 0, 0] == pytest.approx(5)


@pytest.mark.parametrize("declared", [{}, {"data ignore value": "0"}])
def test_minus_9999_is_no_data_before_scaling_whatever_is_declared(tmp_path, declared):
    values = np.full((2, 3, 2), 50)
    values[0, 0] = -9999
    write_envi(tmp_path / "x.img", values, dtype="<i2", fields=declared | {"data gain values": "{0.01, 0.01}"})
    read = envi.open_cube(tmp_path / "x.img").read(0, 2)
    assert np.isnan(read[0, 0]).all()
    assert np.isfinite(read[1]).all()


@pytest.mark.parametrize("info", ["{}", "{UTM, 1, 1}"])
def test_map_info_that_says_nothing_gives_no_grid(tmp_path, info):
    write_envi(tmp_path / "x.img", arrays().radiance, fields={"map info": info})
    assert envi.open_cube(tmp_path / "x.img").grid() is None


def test_map_info_gives_the_grid(tmp_path):
    fields = {"map info": "{UTM, 1, 1, 500000, 4000000, 30, 30, 11, North, WGS-84, units=Meters}"}
    write_envi(tmp_path / "x.img", arrays().radiance, fields=fields)
    grid = envi.open_cube(tmp_path / "x.img").grid()
    assert grid.geotransform == from_origin(500000, 4000000, 30, 30).to_gdal()
    assert CRS.from_wkt(grid.crs_wkt).to_epsg() == 32611


def grid_of(tmp_path, info):
    write_envi(tmp_path / "x.img", arrays().radiance, fields={"map info": f"{{{info}}}"})
    return envi.open_cube(tmp_path / "x.img").grid()


@pytest.mark.parametrize("tie", [(1, 1), (21, 11), (3.5, 2.5), (-4, 100)])
@pytest.mark.parametrize("turn_deg", [30, -21, 90, 180, 0, 200.5])
def test_a_rotated_grid_keeps_its_tie_point_and_turns_counter_clockwise(tmp_path, tie, turn_deg):
    info = f"UTM, {tie[0]}, {tie[1]}, 500000, 4100000, 30, 20, 11, North, WGS-84, units=Meters, rotation={turn_deg}"
    grid = grid_of(tmp_path, info)
    affine = rasterio.Affine.from_gdal(*grid.geotransform)
    sample, line = tie[0] - 1, tie[1] - 1
    assert affine.c + affine.a * sample + affine.b * line == pytest.approx(500000, abs=1e-6)
    assert affine.f + affine.d * sample + affine.e * line == pytest.approx(4100000, abs=1e-6)
    turn = math.radians(turn_deg)  # samples run east before, lines run south
    assert (affine.a, affine.d) == pytest.approx((30 * math.cos(turn), 30 * math.sin(turn)), abs=1e-9)
    assert (affine.b, affine.e) == pytest.approx((20 * math.sin(turn), -20 * math.cos(turn)), abs=1e-9)
    assert CRS.from_wkt(grid.crs_wkt).to_epsg() == 32611


@pytest.mark.parametrize("hemisphere", ["South", "south", "S", "s"])
def test_the_southern_hemisphere_is_known_in_any_spelling(tmp_path, hemisphere):
    grid = grid_of(tmp_path, f"UTM, 1, 1, 500000, 4100000, 30, 30, 11, {hemisphere}, WGS-84")
    assert CRS.from_wkt(grid.crs_wkt).to_epsg() == 32711


def test_a_half_turn_is_said_once(tmp_path, caplog):
    write_envi(
        tmp_path / "x.img",
        arrays().radiance,
        fields={"map info": "{UTM, 1, 1, 5, 5, 3, 3, 11, North, WGS-84, rotation=180}"},
    )
    cube = envi.open_cube(tmp_path / "x.img")
    with caplog.at_level(logging.WARNING):
        assert cube.grid() is cube.grid()
    assert [record.message.partition(": ")[2][:12] for record in caplog.records] == ["rotation=180"]


@pytest.mark.parametrize(
    "info", ["UTM, 1, 1, 5, 5, 0, 0, 11, North, WGS-84", "UTM, 1, 1, nan, 5, 3, 3, 11, North, WGS-84"]
)
def test_pixels_without_size_or_place_give_no_grid(tmp_path, info):
    assert grid_of(tmp_path, info) is None


@pytest.mark.parametrize("turn", ["north", "", "nan", "inf"])
def test_a_rotation_that_is_no_number_is_named(tmp_path, turn):
    with pytest.raises(InputError, match=r"rotation .* is not a number of degrees"):
        grid_of(tmp_path, f"UTM, 1, 1, 500000, 4100000, 30, 30, 11, North, WGS-84, rotation={turn}")


def broken(tmp_path, edit):
    header = write_envi(tmp_path / "x.img", arrays().radiance, fields=wavelength_fields())
    header.write_text(edit(header.read_text()))
    return header


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.replace("ENVI", "NOPE", 1), "not an ENVI header"),
        (lambda t: t.replace("lines = 7\n", ""), "has no 'lines'"),
        (lambda t: t.replace("lines = 7", "lines = seven"), "'lines' must be a whole number"),
        (lambda t: t.replace("lines = 7", "lines = -7"), "at least 1"),
        (lambda t: t.replace("lines = 7", "lines = 8"), "is truncated"),
        (lambda t: t.replace("data type = 4", "data type = 6"), "data type 6"),
        (lambda t: t.replace("interleave = bil", "interleave = zigzag"), "interleave must be"),
        (lambda t: t.replace("400.0, ", ""), "'wavelength' lists 11 values for 12 bands"),
        (lambda t: t.replace("{400.0,", "{violet,"), "'wavelength' must be a number"),
        (lambda t: t.replace("Nanometers", "furlongs"), "wavelength units 'furlongs'"),
        (lambda t: t + "lines = 9\n", "given twice"),
        (lambda t: t + "band names = {a, b", "never close"),
        (lambda t: t + "bbl = {1, 0, 1}", "'bbl' lists 3 values for 12 bands"),
        (lambda t: t + "bbl = {" + "good, " * 12 + "}", "'bbl' must be a number"),
        (lambda t: t + "bbl = {" + "nan, " * 12 + "}", "'bbl' must be finite"),
    ],
)
def test_broken_headers_are_named(tmp_path, edit, message):
    header = broken(tmp_path, edit)
    with pytest.raises(InputError, match=message) as caught:
        envi.open_cube(header)
    assert str(tmp_path) in str(caught.value)


def test_crlf_bom_and_comments_are_harmless(tmp_path):
    header = broken(tmp_path, lambda t: t.replace("ENVI\n", "ENVI\n; a comment = here\n"))
    header.write_bytes(b"\xef\xbb\xbf" + header.read_text().replace("\n", "\r\n").encode())
    assert envi.open_cube(header).sensor.bands == 12


def test_half_a_pair_is_an_error(tmp_path):
    header = write_envi(tmp_path / "x.img", arrays().radiance)
    (tmp_path / "x.img").unlink()
    with pytest.raises(InputError, match="no data file"):
        envi.open_cube(header)
    with pytest.raises(InputError, match="no ENVI header"):
        envi.open_cube(tmp_path / "y.img")


ENCODINGS = [
    ("latin-1", "µm"),
    ("cp1252", "µm"),
    ("utf-8", "µm"),
    ("utf-8", "μm"),
    ("utf-8-sig", "µm"),
    ("utf-16", "µm"),
]


@pytest.mark.parametrize(("encoding", "units"), ENCODINGS)
def test_headers_are_read_in_whatever_encoding_they_were_written(tmp_path, encoding, units):
    header = write_envi(tmp_path / "x.img", arrays().radiance, fields=wavelength_fields(1000, "UNITS"))
    # In Windows' own encoding, dots are the byte that Latin-1 has for a line's end.
    text = "ENVI\ndescription = {Überflug … } = 1\n" + header.read_text().removeprefix("ENVI\n").replace("UNITS", units)
    header.write_bytes(text.encode(encoding, "replace"))
    np.testing.assert_allclose(envi.open_cube(header).sensor.wavelength_nm, WAVELENGTH_NM, rtol=1e-6)


@pytest.mark.parametrize(("one", "zero"), [("1", "0"), ("1.0", "0.0"), ("1.000000", "0.000000")])
def test_the_bad_bands_list_marks_bands(tmp_path, one, zero):
    marks = [zero if band in (0, 5, 11) else one for band in range(12)]
    write_envi(tmp_path / "x.img", arrays().radiance, fields={"bbl": "{" + ",\n".join(marks) + "}"})
    assert envi.open_cube(tmp_path / "x.img").marked_bad == (0, 5, 11)


@pytest.mark.parametrize("fields", [{}, {"bbl": "{}"}, {"bbl": "{" + "1, " * 12 + "}"}])
def test_without_a_bad_band_none_is_marked(tmp_path, fields):
    write_envi(tmp_path / "x.img", arrays().radiance, fields=fields)
    assert envi.open_cube(tmp_path / "x.img").marked_bad == ()


def test_braces_may_open_in_the_line_after_the_key(tmp_path):
    fields = {"data gain values": "\n\n {" + "0.5, " * 12 + "}", "bbl": "\n{" + "1, " * 11 + "0}"}
    write_envi(tmp_path / "x.img", arrays().radiance, fields=fields)
    cube = envi.open_cube(tmp_path / "x.img")
    np.testing.assert_array_equal(cube.read(0, 7), arrays().radiance * np.float32(0.5))
    assert cube.marked_bad == (11,)


def test_a_comma_within_parentheses_does_not_part_a_name(tmp_path):
    names = [name.replace("degrees ", "degrees, ") for name in OBS_NAMES]
    write_envi(tmp_path / "obs", arrays().obs, fields={"band names": "{" + ", ".join(names) + "}"})
    assert envi.open_cube(tmp_path / "obs").band_names == tuple(names)
