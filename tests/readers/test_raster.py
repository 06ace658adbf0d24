import warnings

import numpy as np
import pytest
import rasterio.shutil

from spectf_cloud.dataset import open_cube, open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.readers.layout import layout_of

from scene_files import (
    OBS_NAMES,
    WAVELENGTH_NM,
    arrays,
    obs_fields,
    raster,
    wavelength_fields,
    write_emit,
    write_envi,
    write_tiff,
)

STORAGE = {
    "bands": {"interleave": "band"},
    "pixels": {"interleave": "pixel"},
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "predictor": 3},
    "packed pixels": {"interleave": "pixel", "compress": "lzw"},
    "BigTIFF": {"BIGTIFF": "YES"},
    "big-endian": {"ENDIANNESS": "BIG"},
}


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("file_type", ["TIFF", "ENVI Standard", "GeoTIFF"])
def test_a_tiff_beside_a_header_is_read_as_tiff(tmp_path, storage, file_type):
    data = arrays(20, 18)
    fields = wavelength_fields() | {"file type": file_type, "data type": "4", "interleave": "bsq"}
    tiff = write_tiff(tmp_path / "scene.tif", data.radiance, fields=fields, **STORAGE[storage])
    for path in (tiff, tmp_path / "scene.hdr"):
        cube = open_cube(path)
        assert cube.path == tiff and set(cube.files) == {tiff, tmp_path / "scene.hdr"}
        np.testing.assert_array_equal(cube.read(0, 20), data.radiance)
        np.testing.assert_array_equal(cube.read(5, 19, np.array([7, 2])), data.radiance[5:19, :, [7, 2]])
        np.testing.assert_allclose(cube.sensor.wavelength_nm, WAVELENGTH_NM)
        assert layout_of(cube) is None and cube.read(0, 1).dtype == np.float32


@pytest.mark.parametrize("header", ["{}.tif.hdr", "{}.HDR"])
def test_headers_of_tiffs_may_be_named_otherwise(tmp_path, header):
    write_tiff(tmp_path / "scene.tif", arrays().radiance, fields=wavelength_fields(), header=header)
    assert open_cube(tmp_path / header.format("scene")).sensor.bands == 12
    assert open_cube(tmp_path / "scene.tif").sensor.bands == 12


def test_a_scene_of_tiffs_is_that_of_netcdf(tmp_path):
    data = arrays()
    expected = open_scene(*write_emit(tmp_path, data))
    write_tiff(tmp_path / "s_rad.tif", data.radiance, fields=wavelength_fields())
    write_tiff(tmp_path / "s_obs.tif", data.obs.astype("f8"), fields=obs_fields())
    scene = open_scene(tmp_path / "s_rad.tif")  # the OBS is found beside it
    np.testing.assert_array_equal(scene.read_radiance(0, 7), expected.read_radiance(0, 7))
    np.testing.assert_array_equal(scene.read_sun_zenith_deg(0, 7), expected.read_sun_zenith_deg(0, 7))


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32"])
@pytest.mark.parametrize("declared", ["TIFF", "header"])
def test_no_data_is_known_before_scaling(tmp_path, dtype, declared):
    values = np.full((3, 4, 2), 50, dtype)
    values[0, 0, 1], values[1, 1] = 7, 7
    fields = {"data ignore value": "7"} if declared == "header" else {}
    options = {"nodata": 7} if declared == "TIFF" else {}
    path = write_tiff(tmp_path / "x.tif", values, fields=fields, scales=(0.1, 2.0), **options)
    read = open_cube(path).read(0, 3)
    assert np.isnan(read).tolist() == (values == 7).tolist()
    assert read[2] == pytest.approx(np.full((4, 2), 7.0))


def test_what_the_header_and_the_tiff_call_no_data_is_none(tmp_path):
    values = np.array([[[1.0, 2.0], [0.0, 3.0], [4.0, -32768.0]]], np.float32)
    path = write_tiff(tmp_path / "x.tif", values, fields={"data ignore value": "0"}, nodata=-32768)
    assert np.isnan(open_cube(path).read(0, 1)[0]).tolist() == [[False, False], [True, False], [False, True]]


def test_names_of_a_tiffs_bands_tell_without_a_header(tmp_path):
    data = arrays()
    path = write_tiff(tmp_path / "s_obs.tif", data.obs[..., ::-1], header=None)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path, "r+") as dataset:
        dataset.descriptions = OBS_NAMES[::-1]
    scene = open_scene(write_tiff(tmp_path / "s_rad.tif", data.radiance, fields=wavelength_fields()), path)
    np.testing.assert_array_equal(scene.read_sun_zenith_deg(0, 7), data.obs[..., 4].astype(np.float64))


def test_gains_of_the_header_count_where_the_tiff_has_none(tmp_path):
    fields = {"data gain values": "{0.1, 0.2}", "data offset values": "{0, 1}"}
    path = write_tiff(tmp_path / "x.tif", np.full((3, 4, 2), 50, "int16"), fields=fields)
    assert open_cube(path).read(1, 2)[0, 0] == pytest.approx([5, 11])


def test_a_mask_inside_hides_pixels_of_all_bands(tmp_path):
    mask = np.full((7, 5), 255, np.uint8)
    mask[2:4, 1] = 0
    data = arrays()
    cube = open_cube(write_tiff(tmp_path / "x.tif", data.radiance, fields=wavelength_fields(), mask=mask))
    with raster(tmp_path / "x.tif") as dataset:
        assert (dataset.dataset_mask() == mask).all()
    read = cube.read(1, 6, np.array([0, 3]))
    assert (np.isnan(read) == (mask[1:6] == 0)[..., None]).all()
    np.testing.assert_array_equal(read[0], data.radiance[1][:, [0, 3]])


def test_a_mask_beside_the_tiff_hides_pixels_too(tmp_path):
    mask = np.full((7, 5), 255, np.uint8)
    mask[0] = 0
    path = write_tiff(tmp_path / "x.tif", arrays().radiance, header=None)
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(mask)
    assert (tmp_path / "x.tif.msk").exists()
    cube = open_cube(path)
    assert np.isnan(cube.read(0, 7)).any(axis=-1).tolist() == (mask == 0).tolist()
    assert tmp_path / "x.tif.msk" in cube.files


def test_fill_without_a_word_looks_as_it_is_read(tmp_path):
    values = np.full((3, 4, 2), 50, "int16")
    values[0, 0] = -50
    cube = open_cube(write_tiff(tmp_path / "x.tif", values, scales=(0.1, 2.0)))
    assert cube.stored == np.int16
    assert (cube.fill_spectra() == cube.read(0, 1)[0, 0]).all(axis=1).any()


def test_the_lowest_float_is_scaled_in_silence(tmp_path):
    cube = open_cube(write_tiff(tmp_path / "x.tif", np.ones((3, 4, 2), "float32"), scales=(2.0, 2.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isneginf(cube.fill_spectra()).all(axis=1).any()


def test_bad_bands_and_names_come_from_the_header(tmp_path):
    marks = ["1"] * 12
    marks[3] = marks[8] = "0"
    write_tiff(tmp_path / "r.tif", arrays().radiance, fields=wavelength_fields() | {"bbl": f"{{{','.join(marks)}}}"})
    assert open_cube(tmp_path / "r.tif").marked_bad == (3, 8)
    write_tiff(tmp_path / "o.tif", arrays().obs, fields=obs_fields())
    assert open_cube(tmp_path / "o.tif").band_names == OBS_NAMES


PLACE = {"crs": "EPSG:32611", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 4e6)}
MAP_INFO = {"map info": "{UTM, 1, 1, 600000, 4000000, 30, 30, 11, North, WGS-84}"}


@pytest.mark.parametrize(("options", "fields", "west"), [(PLACE, {}, 5e5), (PLACE, MAP_INFO, 5e5), ({}, MAP_INFO, 6e5)])
def test_the_place_is_the_tiffs_or_else_the_headers(tmp_path, options, fields, west):
    grid = open_cube(write_tiff(tmp_path / "x.tif", arrays().radiance, fields=fields, **options)).grid()
    assert grid.geotransform == (west, 30, 0, 4e6, 0, -30)


def test_a_tiff_that_gdal_made_of_an_envi_file_needs_no_header(tmp_path):
    data = arrays()
    write_envi(tmp_path / "a.img", data.radiance, fields=wavelength_fields() | MAP_INFO)
    rasterio.shutil.copy(tmp_path / "a.img", tmp_path / "b.tif", driver="GTiff")
    cube = open_cube(tmp_path / "b.tif")
    np.testing.assert_allclose(cube.sensor.wavelength_nm, WAVELENGTH_NM)
    np.testing.assert_array_equal(cube.read(0, 7), data.radiance)
    assert open_cube(write_tiff(tmp_path / "c.tif", data.radiance, header=None)).sensor is None


BROKEN = {
    "header of another size": (
        lambda path: path.with_suffix(".hdr"),
        b"lines = 7",
        b"lines = 8",
        "which is out of date",
    ),
    "no TIFF": (lambda path: path, b"II*\0", b"what", "does not begin as the 'TIFF'"),
    "damaged": (lambda path: path, b"II*\0", b"II*\0\xff\xff", "cannot be read as TIFF"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_fit_is_named(tmp_path, case):
    path = write_tiff(tmp_path / "x.tif", arrays().radiance, fields=wavelength_fields())
    file, old, new, message = BROKEN[case]
    content = file(path).read_bytes()
    start = content.index(old)
    file(path).write_bytes(content[:start] + new + content[start + len(new) :])
    with pytest.raises(InputError, match=message):
        open_cube(path)


@pytest.mark.parametrize("options", [{}, {"compress": "deflate"}])
def test_a_tiff_cut_short_is_an_error(tmp_path, options):
    path = write_tiff(tmp_path / "x.tif", arrays(40, 30).radiance, fields=wavelength_fields(), **options)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"x\.tif: cannot be read as TIFF"):
        open_cube(path).read(0, 40)


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(InputError, match="complex64; real numbers"):
        open_cube(write_tiff(tmp_path / "x.tif", arrays().radiance.astype("complex64")))


OTHERS = {"PNG": "PNG picture", "JPEG": "JPEG picture", "NITF": "NITF file", "HFA": "ERDAS Imagine file"}


@pytest.mark.parametrize("driver", OTHERS)
@pytest.mark.parametrize("given", ["scene.dat", "scene.hdr"])
def test_no_other_container_is_taken_for_raw_numbers(tmp_path, driver, given):
    write_tiff(tmp_path / "t.tif", np.random.default_rng(0).integers(0, 255, (60, 50, 1), "uint8"), header=None)
    rasterio.shutil.copy(tmp_path / "t.tif", tmp_path / "scene.dat", driver=driver)
    write_envi(tmp_path / "raw", np.ones((60, 50, 1)), dtype="u1").rename(tmp_path / "scene.hdr")
    with pytest.raises(InputError, match=OTHERS[driver]):
        open_cube(tmp_path / given)


def test_a_header_beside_netcdf_is_none(tmp_path):
    rad, _ = write_emit(tmp_path, arrays())
    write_envi(tmp_path / "x", arrays().radiance, fields=wavelength_fields()).rename(rad.with_suffix(".hdr"))
    assert open_cube(rad).sensor.bands == 12
    rad.rename(rad.with_suffix(".dat"))
    with pytest.raises(InputError, match="netCDF-4/HDF5 file, not the raw numbers"):
        open_cube(rad.with_suffix(".hdr"))


@pytest.mark.parametrize("file_type", ["NITF", "HDF Scientific Data", "ENVI Virtual Mosaic", "JPEG2000"])
def test_a_file_type_that_is_not_raw_is_refused(tmp_path, file_type):
    write_envi(tmp_path / "x.img", arrays().radiance, fields=wavelength_fields() | {"file type": file_type})
    with pytest.raises(InputError, match=f"does not begin as the '{file_type}'"):
        open_cube(tmp_path / "x.img")


@pytest.mark.parametrize("file_type", ["ENVI Standard", "ENVI Classification", "envi standard", "Unknown"])
def test_raw_file_types_are_read(tmp_path, file_type):
    write_envi(tmp_path / "x.img", arrays().radiance, fields={"file type": file_type})
    np.testing.assert_array_equal(open_cube(tmp_path / "x.img").read(0, 7), arrays().radiance)


def test_pieces_too_large_for_memory_are_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("spectf_cloud.readers.raster._MAX_PIECE_BYTES", 16 * 16 * 12 * 4 - 1)
    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    with pytest.raises(InputError, match="too large to be read in parts; rewrite it with: gdal_translate"):
        open_cube(write_tiff(tmp_path / "a.tif", arrays().radiance, interleave="pixel", **tiles))
    assert open_cube(write_tiff(tmp_path / "b.tif", arrays().radiance, interleave="band", **tiles)).bands == 12
