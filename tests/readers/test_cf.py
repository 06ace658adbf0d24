"""Packed netCDF variables, against xarray; what xarray ignores, against numbers worked out by hand."""

from contextlib import nullcontext

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray

from spectf_cloud.dataset import open_cube
from spectf_cloud.errors import InputError
from spectf_cloud.readers.layout import layout_of
from spectf_cloud.scene import NODATA, missing

from scene_files import FWHM_NM, OBS_NAMES, WAVELENGTH_NM, arrays

DIMENSIONS = {"downtrack": 7, "crosstrack": 5, "bands": 12, "ortho_y": 2, "ortho_x": 3}


def write(path, values, *, name="radiance", fill=None, attributes=None, others=(), **storage):
    """One EMIT-like file; ``others`` are (key, dimensions, stored values, attributes) that replace the usual ones."""
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {**DIMENSIONS, "bands": values.shape[2]}
        variable = file.create_variable(
            name, ("downtrack", "crosstrack", "bands"), values.dtype, data=values, fillvalue=fill, **storage
        )
        variable.attrs.update(attributes or {})
        bands = [("wavelengths", WAVELENGTH_NM), ("fwhm", FWHM_NM)] if name == "radiance" else []
        usual = [(f"sensor_band_parameters/{key}", ("bands",), x.astype("f4"), {}) for key, x in bands]
        for key, dimensions, stored, more in {row[0]: row for row in (*usual, *others)}.values():
            more = dict(more)
            fillvalue = more.pop("_FillValue", None)
            item = file.create_variable(key, dimensions, stored.dtype, data=stored, fillvalue=fillvalue)
            item.attrs.update(more)
        file.attrs["geotransform"], file.attrs["spatial_ref"] = np.array([1.0, 2, 0, 3, 0, -2]), "WKT"
    return path


def as_xarray(path, name="radiance", group=None):
    with xarray.open_dataset(path, engine="h5netcdf", group=group) as dataset:
        return dataset[name].values


def nan_where_missing(cube, start=0, stop=None):
    values = cube.read(start, cube.lines if stop is None else stop).astype(np.float64)
    return np.where(missing(values, cube.nodata), np.nan, values)


def packed(dtype, factor, seed=1):
    values = np.random.default_rng(seed).uniform(1, 20, (7, 5, 12))
    return np.rint(values / factor).astype(dtype)


PACKED = {
    "int16 and a scale": (packed("i2", 0.002), {"scale_factor": np.float32(0.002)}),
    "int16, scale and offset in double": (packed("i2", 0.01), {"scale_factor": 0.01, "add_offset": 3.5}),
    "offset only": (packed("i2", 0.01), {"add_offset": np.float32(-20)}),
    "int32": (packed("i4", 1e-6), {"scale_factor": 1e-6}),
    "uint16": (packed("u2", 0.0005), {"scale_factor": np.float32(0.0005)}),
    "uint8": (packed("u1", 0.1), {"scale_factor": np.float32(0.1), "add_offset": np.float32(1)}),
    "int64": (packed("i8", 1e-3), {"scale_factor": 1e-3}),
    "big-endian int16": (packed(">i2", 0.002), {"scale_factor": np.float32(0.002)}),
    "float32": (packed("f4", 2.0), {"scale_factor": np.float32(2)}),
    "float64 and offset": (packed("f8", 2.0), {"scale_factor": 2.0, "add_offset": -1.0}),
    "attributes in arrays of one": (packed("i2", 0.002), {"scale_factor": np.array([0.002])}),
    "unsigned in int16": (packed("u2", 0.0004).view("i2"), {"scale_factor": 0.0004, "_Unsigned": "true"}),
    "no scale at all": (packed("i2", 0.1), {}),
    "missing_value": (packed("f4", 1.0), {"missing_value": np.float32(5)}),
    "several missing values": (packed("f4", 1.0), {"missing_value": np.array([5, 7, 9], "f4")}),
    "several missing values, packed": (
        packed("i2", 1.0), {"missing_value": np.array([5, 7], "i2"), "scale_factor": np.float32(0.5)}
    ),
    "a missing value in double": (packed("f4", 1.0), {"missing_value": 5.0}),
    "not a number for missing": (packed("f4", 1.0), {"missing_value": np.float32(np.nan)}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:variable 'radiance' has multiple fill values")
@pytest.mark.parametrize("storage", [{}, {"chunks": (2, 5, 12), "compression": "gzip"}], ids=["plain", "chunked"])
@pytest.mark.parametrize("case", PACKED)
def test_packed_radiance_is_what_xarray_reads(tmp_path, case, storage):
    stored, attributes = PACKED[case]
    path = write(tmp_path / "rad.nc", stored, attributes=attributes, **storage)
    cube, truth = open_cube(path), as_xarray(path)
    np.testing.assert_allclose(nan_where_missing(cube), truth, rtol=3e-7)
    np.testing.assert_array_equal(nan_where_missing(cube, 3, 5), nan_where_missing(cube)[3:5])
    some = np.array([9, 2])
    np.testing.assert_array_equal(cube.read(1, 3, some), cube.read(1, 3)[..., some])


@pytest.mark.parametrize(
    ("dtype", "fill", "attributes"),
    [
        ("i2", -32768, {"scale_factor": np.float32(0.5)}),
        ("i2", 7, {"missing_value": np.int16(9)}),
        ("u2", 65535, {"add_offset": 1.0}),
        ("f4", -1e30, {"missing_value": np.float32(9)}),
        ("f4", np.nan, {"scale_factor": np.float32(3)}),
    ],
)
def test_fill_is_compared_with_stored_numbers(tmp_path, dtype, fill, attributes):
    stored = packed(dtype, 1.0)
    stored[2], stored[3, 0] = fill, 9
    path = write(tmp_path / "rad.nc", stored, fill=np.dtype(dtype).type(fill), attributes=attributes)
    values = nan_where_missing(open_cube(path))
    assert np.isnan(values[2]).all()
    with pytest.warns() if "missing_value" in attributes else nullcontext():
        np.testing.assert_allclose(values, as_xarray(path), rtol=3e-7)


def test_minus_9999_as_stored_is_none_and_as_a_result_too(tmp_path):
    stored = packed("i2", 0.01)
    stored[0] = -9999
    path = write(tmp_path / "rad.nc", stored, attributes={"scale_factor": np.float32(0.01), "add_offset": 100.0})
    values = nan_where_missing(open_cube(path))
    assert np.isnan(values[0]).all() and not np.isnan(values[1:]).any()


@pytest.mark.parametrize(
    ("dtype", "attributes", "lowest", "highest"),
    [
        ("f4", {"valid_range": np.array([3, 15], "f4")}, 3, 15),
        ("f4", {"valid_min": np.float32(3)}, 3, np.inf),
        ("f4", {"valid_max": 15.0}, -np.inf, 15),
        ("f8", {"valid_min": 3.0, "valid_max": 15.0}, 3, 15),
        ("i2", {"valid_range": np.array([3, 15], "i2"), "scale_factor": 0.5}, 3, 15),
        ("u2", {"valid_max": np.int32(15), "scale_factor": 0.5, "add_offset": -100.0}, 0, 15),
        ("i4", {"valid_min": 2.5}, 2.5, np.inf),
        ("f4", {"valid_range": np.array([3, 15], "f4"), "scale_factor": np.float32(10)}, 3, 15),
        # As netCDF4 does: the range goes before the single bounds.
        ("f4", {"valid_range": np.array([3, 15], "f4"), "valid_min": np.float32(10)}, 3, 15),
    ],
)
def test_valid_bounds_are_of_stored_numbers(tmp_path, dtype, attributes, lowest, highest):
    stored = packed(dtype, 1.0)
    path = write(tmp_path / "rad.nc", stored, attributes=attributes)
    cube = open_cube(path)
    expected = stored * attributes.get("scale_factor", 1.0) + attributes.get("add_offset", 0.0)
    expected = np.where((stored < lowest) | (stored > highest), np.nan, expected)
    assert 0 < np.isnan(expected).sum() < expected.size
    np.testing.assert_allclose(nan_where_missing(cube), expected, rtol=3e-7)
    assert layout_of(cube) is None


def test_bounds_of_unsigned_numbers_are_often_written_signed(tmp_path):
    stored = np.full((7, 5, 12), 40_000, "u2")
    stored[0], stored[1], stored[2] = 65_535, 60_001, 60_000
    attributes = {"_Unsigned": "true", "scale_factor": 1e-3, "valid_max": np.array(60_000, "u2").view("i2")[()]}
    path = write(tmp_path / "rad.nc", stored.view("i2"), fill=np.int16(-1), attributes=attributes)
    cube = open_cube(path)
    values = nan_where_missing(cube)
    assert np.isnan(values[:2]).all() and (values[2:, 0, 0] == np.float32([60, 40, 40, 40, 40])).all()
    assert cube.stored == np.uint16


def test_netcdfs_own_fill_is_missing_unless_another_is_declared(tmp_path):
    """As netCDF4 does; the highest unsigned number is saturation, not fill."""
    default = np.float32(9.969209968386869e36)
    for dtype, fill, absent in (("f4", default, True), ("i2", -32767, True), ("u2", 65535, False)):
        stored = packed(dtype, 1.0)
        stored[4] = fill
        path = write(tmp_path / f"{dtype}.nc", stored)
        assert np.isnan(nan_where_missing(open_cube(path))[4]).all() == absent
        declared = write(tmp_path / f"{dtype}_declared.nc", stored, fill=np.dtype(dtype).type(3))
        assert not np.isnan(nan_where_missing(open_cube(declared))[4]).any()


def test_fill_that_only_hdf5_knows(tmp_path):
    """Written by h5py with a fill value and no attribute."""
    stored = packed("f4", 1.0)
    stored[4] = -32767
    path = write(tmp_path / "rad.nc", stored, fill=np.float32(-32767))
    with h5py.File(path, "r+") as file:
        del file["radiance"].attrs["_FillValue"]
    cube = open_cube(path)
    assert cube.nodata == -32767 and np.isnan(nan_where_missing(cube)[4]).all()


PLAIN = {
    "no attribute": {},
    "one missing value": {"missing_value": np.float32(NODATA)},
    "a scale of one": {"scale_factor": 1.0, "add_offset": 0.0},
}


@pytest.mark.parametrize("case", PLAIN)
def test_plain_floats_keep_their_fast_path_and_their_bits(tmp_path, case):
    stored = arrays().radiance
    path = write(tmp_path / "rad.nc", stored, fill=np.float32(-32767), attributes=PLAIN[case])
    cube = open_cube(path)
    assert layout_of(cube) is not None
    assert cube.read(0, 7).tobytes() == stored.tobytes()
    assert cube.nodata == -32767 and cube.stored == np.float32


@pytest.mark.parametrize(
    "attributes", [{"scale_factor": 2.0}, {"missing_value": np.array([1, 2], "f4")}, {"valid_min": 0.0}]
)
def test_what_needs_decoding_has_no_fast_path(tmp_path, attributes):
    assert layout_of(open_cube(write(tmp_path / "rad.nc", arrays().radiance, attributes=attributes))) is None


REFUSED = {
    "scale in text": {"scale_factor": "0.002 uW"},
    "a scale a band": {"scale_factor": np.full(12, 0.5)},
    "a scale a band, many": {"scale_factor": np.full(285, 0.5)},
    "scale of zero": {"scale_factor": 0.0},
    "offset not finite": {"add_offset": np.nan},
    "missing in words": {"missing_value": "none"},
    "three in a range": {"valid_range": np.array([1, 2, 3], "i2")},
    "an empty range": {"valid_range": np.array([5, 1], "i2")},
    "perhaps": {"_Unsigned": "perhaps"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path, case):
    path = write(tmp_path / "rad.nc", packed("i2", 0.01), attributes=REFUSED[case])
    with pytest.raises(InputError, match=next(iter(REFUSED[case]))) as caught:
        open_cube(path)
    assert "download" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_range_in_fractional_numbers_beside_packed_integers_is_refused(tmp_path):
    """netCDF4 takes it as packed, the netCDF User's Guide as unpacked: nothing says which the writer meant."""
    attributes = {"scale_factor": np.float32(0.01), "valid_range": np.array([0, 20], "f4")}
    with pytest.raises(InputError, match="valid_range"):
        open_cube(write(tmp_path / "rad.nc", packed("i2", 0.01), attributes=attributes))


def test_packed_geometry(tmp_path):
    geometry = arrays().obs
    names = np.array(OBS_NAMES, dtype=object)
    path = write(
        tmp_path / "obs.nc", np.rint(geometry / 0.01).astype("i2"), name="obs", fill=np.int16(-9999),
        attributes={"scale_factor": np.float32(0.01)},
    )  # fmt: skip
    with h5netcdf.File(path, "a") as file:
        file.create_variable("sensor_band_parameters/observation_bands", ("bands",), h5py.string_dtype(), data=names)
    cube = open_cube(path)
    assert cube.band_names[4].startswith("To-sun zenith")
    np.testing.assert_allclose(cube.read(2, 4, np.array([4])), geometry[2:4, :, [4]], atol=0.00501)
    np.testing.assert_allclose(cube.read(0, 7), as_xarray(path, "obs"), rtol=3e-7)


def test_packed_location(tmp_path):
    """Longitudes in int32 of 1e-7 degree keep all their digits."""
    place = {"lon": np.linspace(-120, -119, 35), "lat": np.linspace(40, 41, 35), "elev": np.linspace(0, 3000, 35)}
    stored = {key: np.rint(values.reshape(7, 5) / 1e-7).astype("i4") for key, values in place.items() if key != "elev"}
    stored["elev"] = np.rint(place["elev"].reshape(7, 5)).astype("i2")
    stored["lon"][0, 0] = -(2**31)
    others = [
        ("location/lon", ("downtrack", "crosstrack"), stored["lon"],
         {"scale_factor": 1e-7, "_FillValue": np.int32(-(2**31))}),
        ("location/lat", ("downtrack", "crosstrack"), stored["lat"], {"scale_factor": 1e-7}),
        ("location/elev", ("downtrack", "crosstrack"), stored["elev"], {"valid_max": np.int16(2000)}),
    ]  # fmt: skip
    path = write(tmp_path / "rad.nc", arrays().radiance, others=others)
    location = open_cube(path).location()
    for key, values in (("lon", location.lon_deg), ("lat", location.lat_deg)):
        expected = as_xarray(path, key, "location")
        np.testing.assert_allclose(np.where(values == NODATA, np.nan, values), expected, rtol=1e-14)
    assert location.lon_deg[0, 0] == NODATA
    np.testing.assert_array_equal(location.elevation_m, np.where(stored["elev"] > 2000, NODATA, stored["elev"]))


@pytest.mark.parametrize(("key", "factor"), [("wavelengths", 0.1), ("fwhm", 0.01)])
def test_packed_bands(tmp_path, key, factor):
    truth = WAVELENGTH_NM if key == "wavelengths" else FWHM_NM
    stored = np.rint(truth / factor).astype("u2")
    row = (f"sensor_band_parameters/{key}", ("bands",), stored, {"scale_factor": factor, "units": "nm"})
    path = write(tmp_path / "rad.nc", arrays().radiance, others=[row])
    sensor = open_cube(path).sensor
    found = sensor.wavelength_nm if key == "wavelengths" else sensor.fwhm_nm
    np.testing.assert_allclose(found, truth, atol=factor)
    np.testing.assert_allclose(found, as_xarray(path, key, "sensor_band_parameters"), rtol=3e-7)


@pytest.mark.parametrize(
    ("dtype", "attributes", "none"),
    [
        ("f8", {"_FillValue": np.nan}, np.nan),
        ("f4", {"missing_value": np.float32(-1e30)}, -1e30),
        ("f8", {}, 0),
        ("i8", {"_FillValue": np.int64(-(2**63))}, -(2**63)),
        ("u2", {"_FillValue": np.uint16(65535)}, 65535),
        ("i2", {"missing_value": np.int16(-32768)}, -32768),
        ("i4", {"valid_min": np.int32(-1000)}, -9998),
    ],
)
def test_a_look_up_table_of_any_type_of_number(tmp_path, dtype, attributes, none):
    x, y = (np.array(rows, dtype) for rows in ([[1, 5, none], [2, 0, none]], [[1, 7, none], [6, 0, none]]))
    rows = [(f"location/{key}", ("ortho_y", "ortho_x"), t, attributes) for key, t in (("glt_x", x), ("glt_y", y))]
    glt = open_cube(write(tmp_path / "rad.nc", arrays().radiance, others=rows)).glt()
    assert glt.sample.tolist() == [[0, 4, -1], [1, -1, -1]]
    assert glt.line.tolist() == [[0, 6, -1], [5, -1, -1]]


def test_a_look_up_table_of_fractions_is_refused_by_name(tmp_path):
    rows = [
        (f"location/{key}", ("ortho_y", "ortho_x"), np.full((2, 3), value), {})
        for key, value in (("glt_x", 1.0), ("glt_y", 2.5))
    ]
    with pytest.raises(InputError, match="glt_y holds fractions"):
        open_cube(write(tmp_path / "rad.nc", arrays().radiance, others=rows)).glt()


def test_undeclared_fill_comes_out_as_it_would_be_read(tmp_path):
    stored = packed("i2", 0.01)
    fills = np.array([0, -50, -9999, -32768], "i2")
    stored[:4, 0] = fills[:, None]
    path = write(tmp_path / "rad.nc", stored, attributes={"scale_factor": np.float32(0.01), "add_offset": 2.0})
    cube = open_cube(path)
    spectra = cube.fill_spectra()
    assert spectra.shape[1] == 12
    read = cube.read(0, 4)[:, 0]
    np.testing.assert_array_equal(cube.as_read(stored[0, 0]), read[0])  # one spectrum, too
    assert {row.tobytes() for row in read} <= {row.tobytes() for row in spectra}
    np.testing.assert_allclose(np.unique(spectra[np.isfinite(spectra)]), [-32768 * 0.01 + 2, 1.5, 2], rtol=1e-6)
    assert open_cube(write(tmp_path / "u.nc", stored.view("u2"))).fill_spectra().tolist() == [[0.0] * 12]


@pytest.mark.parametrize(("name", "text"), [("simulated", "SIMULATED by spectf-cloud"), ("summary", "SIMULATED by x")])
def test_files_that_say_so_are_simulated(tmp_path, name, text):
    path = write(tmp_path / "rad.nc", arrays().radiance)
    assert not open_cube(path).simulated
    with h5netcdf.File(path, "a") as file:
        file.attrs[name] = text
    assert open_cube(path).simulated
