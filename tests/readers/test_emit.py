import h5py
import numpy as np
import pytest

from spectf_cloud.errors import InputError
from spectf_cloud.readers import emit
from spectf_cloud.scene import missing

from scene_files import FWHM_NM, WAVELENGTH_NM, arrays, write_emit


@pytest.mark.parametrize(
    "storage",
    [{}, {"chunks": (3, 2, 5)}, {"chunks": (2, 5, 11), "compression": "gzip", "shuffle": True}],
    ids=["contiguous", "chunked", "compressed"],
)
def test_blocks_equal_what_h5py_reads(tmp_path, storage):
    data = arrays()
    rad, obs = write_emit(tmp_path, data, **storage)
    cube = emit.open_cube(rad)
    assert (cube.offset is None) == bool(storage)
    np.testing.assert_array_equal(cube.read(0, 7), data.radiance)
    np.testing.assert_array_equal(cube.read(3, 5), data.radiance[3:5])
    np.testing.assert_array_equal(emit.open_cube(obs).read(6, 7, np.array([4, 10])), data.obs[6:7, :, [4, 10]])
    np.testing.assert_allclose(cube.sensor.wavelength_nm, WAVELENGTH_NM)
    np.testing.assert_allclose(cube.sensor.fwhm_nm, FWHM_NM)


def test_big_endian_contiguous_storage(tmp_path):
    data = arrays()
    rad, _ = write_emit(tmp_path, data)
    with h5py.File(rad, "r+") as file:
        del file["radiance"]
        file.create_dataset("radiance", data=data.radiance.astype(">f4"))
    cube = emit.open_cube(rad)
    assert cube.offset is not None
    np.testing.assert_array_equal(cube.read(0, 7), data.radiance)


def test_unwritten_storage_reads_as_fill(tmp_path):
    rad, _ = write_emit(tmp_path, arrays())
    with h5py.File(rad, "r+") as file:
        del file["radiance"]
        file.create_dataset("radiance", (7, 5, 12), "f4", fillvalue=-9999)
    assert (emit.open_cube(rad).read(0, 7) == -9999).all()


@pytest.mark.parametrize("fill", [0, -9999])
def test_glt_resolves_fill_zero_and_interpolated_pixels(tmp_path, fill):
    x = np.array([[1, -2, fill], [5, 0, 3]])
    y = np.array([[1, -7, fill], [7, 0, 2]])
    rad, _ = write_emit(tmp_path, arrays(), glt=(x, y), glt_fill=fill)
    glt = emit.open_cube(rad).glt()
    assert glt.sample.tolist() == [[0, 1, -1], [4, -1, 2]]
    assert glt.line.tolist() == [[0, 6, -1], [6, -1, 1]]
    assert glt.geotransform[0] == 10.0


def test_glt_pointing_outside_the_granule_is_refused(tmp_path):
    rad, _ = write_emit(tmp_path, arrays(), glt=(np.array([[6]]), np.array([[1]])))
    with pytest.raises(InputError, match="points outside"):
        emit.open_cube(rad).glt()


def test_real_geometry(reference):
    cube = emit.open_cube(next((reference / "emit").glob("EMIT_L1B_OBS_*.nc")))
    with h5py.File(cube.path) as file:
        np.testing.assert_array_equal(cube.read(10, 20), file["obs"][10:20])
        np.testing.assert_array_equal(cube.location().lat_deg, file["location/lat"][:])
    glt, location = cube.glt(), cube.location()
    rows, columns = np.nonzero(glt.line >= 0)
    x0, dx, _, y0, _, dy = glt.geotransform
    east = np.abs(x0 + (columns + 0.5) * dx - location.lon_deg[glt.line[rows, columns], glt.sample[rows, columns]])
    north = np.abs(y0 + (rows + 0.5) * dy - location.lat_deg[glt.line[rows, columns], glt.sample[rows, columns]])
    # Nearest pixel of a swath 60 m wide on a 60 m grid; at slanted edges a little farther.
    assert np.median(east) < dx
    assert np.median(north) < abs(dy)


def edited(tmp_path, edit):
    rad, _ = write_emit(tmp_path, arrays())
    with h5py.File(rad, "r+") as file:
        edit(file)
    return rad


def external(file):
    del file["radiance"]
    file.create_dataset("radiance", (7, 5, 12), "f4", external=[("/etc/hostname", 0, 7 * 5 * 12 * 4)])


def linked(file):
    del file["radiance"]
    file["radiance"] = h5py.ExternalLink(file.filename.replace("RAD", "OBS"), "/obs")


def virtual(file):
    del file["radiance"]
    layout = h5py.VirtualLayout((7, 5, 12), "f4")
    layout[..., :11] = h5py.VirtualSource(file.filename.replace("RAD", "OBS"), "obs", (7, 5, 11))
    file.create_virtual_dataset("radiance", layout)


def put(file, key, values):
    del file[key]
    file[key] = values


def replace(file, values):
    del file["radiance"]
    file["radiance"] = values


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.__delitem__("radiance"), "neither /radiance nor /obs"),
        (lambda f: replace(f, np.zeros((7, 5), "f4")), "/radiance has 2 dimensions .*, not 3"),
        (lambda f: replace(f, np.zeros((7, 5, 12), "c8")), "complex64, not numbers"),
        (lambda f: replace(f, np.zeros((7, 0, 12), "f4")), "is empty"),
        (lambda f: replace(f, np.zeros((7, 5, 9), "f4")), "12 wavelengths for 9 bands"),
        (lambda f: f.__delitem__("sensor_band_parameters"), "wavelengths"),
        (lambda f: f["sensor_band_parameters/wavelengths"].attrs.__setitem__("units", "cubits"), "units 'cubits'"),
        (external, "never followed"),
        (linked, "never followed"),
        (virtual, "never followed"),
        (lambda f: put(f, "sensor_band_parameters/wavelengths", ["a"] * 12), "wavelengths holds object, not numbers"),
        (lambda f: put(f, "sensor_band_parameters/fwhm", np.float32(3)), "fwhm has 0 dimensions"),
        (lambda f: (f.pop("sensor_band_parameters/fwhm"), f.create_group("sensor_band_parameters/fwhm")), "is a group"),
        (lambda f: put(f, "sensor_band_parameters/fwhm", np.full(12, 9000.0)), "same units"),
    ],
)
def test_other_contents_are_named(tmp_path, edit, message):
    path = edited(tmp_path, edit)
    with pytest.raises(InputError, match=message) as caught:
        emit.open_cube(path)
    assert str(path) in str(caught.value)


def test_truncated_file(tmp_path):
    rad, _ = write_emit(tmp_path, arrays(lines=60))
    whole = rad.read_bytes()
    rad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="download it again"):
        emit.open_cube(rad)


@pytest.mark.parametrize("fill", ["none", b"x", (np.zeros(101))])
def test_a_fill_value_that_is_no_number_is_refused_by_name(tmp_path, fill):
    path = edited(tmp_path, lambda f: f["radiance"].attrs.__setitem__("_FillValue", fill))
    with pytest.raises(InputError, match="_FillValue of /radiance"):
        emit.open_cube(path)


@pytest.mark.parametrize("fill", [[], h5py.Empty("f4")])
def test_a_fill_value_that_is_empty_is_none(tmp_path, fill):
    path = edited(tmp_path, lambda f: f["radiance"].attrs.__setitem__("_FillValue", fill))
    assert not missing(emit.open_cube(path).read(0, 7), emit.open_cube(path).nodata).any()


TABLES = {
    "shapes differ": ((2, 3), (3, 2), "i4", "not one look-up table"),
    "no lines": ((0, 3), (0, 3), "i4", "not one look-up table"),
    "one dimension": ((3,), (3,), "i4", "has 1 dimensions"),
    "text": ((2, 3), (2, 3), "S1", "not numbers"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_is_none_is_named(tmp_path, case):
    x_shape, y_shape, dtype, message = TABLES[case]
    rad, _ = write_emit(tmp_path, arrays(), glt=(np.ones((2, 3)), np.ones((2, 3))))
    with h5py.File(rad, "r+") as file:
        put(file, "location/glt_x", np.ones(x_shape, dtype))
        put(file, "location/glt_y", np.ones(y_shape, dtype))
    with pytest.raises(InputError, match=message):
        emit.open_cube(rad).glt()


@pytest.mark.parametrize("value", [2**33, -(2**63)])
def test_a_table_of_huge_numbers_points_outside(tmp_path, value):
    rad, _ = write_emit(tmp_path, arrays(), glt=(np.ones((2, 3)), np.ones((2, 3))))
    with h5py.File(rad, "r+") as file:
        put(file, "location/glt_x", np.full((2, 3), value, np.int64))
    with pytest.raises(InputError, match="points outside"):
        emit.open_cube(rad).glt()


@pytest.mark.parametrize("transform", [3.0, "text", [1.0, 2.0], [np.nan] * 6, [0.0] * 6])
def test_a_geotransform_that_is_none_is_named(tmp_path, transform):
    rad, _ = write_emit(tmp_path, arrays(), glt=(np.ones((2, 3)), np.ones((2, 3))))
    with h5py.File(rad, "r+") as file:
        file.attrs["geotransform"] = transform
    with pytest.raises(InputError, match="geotransform"):
        emit.open_cube(rad).glt()


def test_a_location_of_another_shape_is_named(tmp_path):
    def misplace(file):
        for key in ("lon", "lat", "elev"):
            file[f"location/{key}"] = np.zeros((3, 2))

    with pytest.raises(InputError, match="not of one scene"):
        emit.open_cube(edited(tmp_path, misplace)).location()
