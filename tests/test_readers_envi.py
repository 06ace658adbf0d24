import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

from spectf_cloud.errors import InputError
from spectf_cloud.readers import envi

from files import WAVELENGTH_NM, arrays, wavelength_fields, write_envi


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
