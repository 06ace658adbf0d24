"""Cubes stored in any order of dimensions, told by the names that netCDF gives them."""

from itertools import permutations

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray

from spectf_cloud.dataset import open_cube, open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.readers.layout import layout_of

from scene_files import FWHM_NM, OBS_NAMES, WAVELENGTH_NM, arrays, write_emit

EMIT = ("downtrack", "crosstrack", "bands")
ORDERS = list(permutations(range(3)))


def write(path, values, names=EMIT, *, order=(0, 1, 2), name="radiance", rows=(), bands=None, **storage):
    """(lines, samples, bands) values under these names, stored in another order; ``rows`` are further 2-D variables."""
    with h5netcdf.File(path, "w") as file:
        file.dimensions = dict(zip(names, values.shape, strict=True))
        stored = [names[axis] for axis in order]
        file.create_variable(name, stored, "f4", data=values.transpose(order), fillvalue=np.float32(-9999), **storage)
        bands = bands or names[2]
        if name == "obs":
            titles = np.array(OBS_NAMES, dtype=object)
            file.create_variable("sensor_band_parameters/observation_bands", (bands,), h5py.string_dtype(), data=titles)
        for key, centres in (("wavelengths", WAVELENGTH_NM), ("fwhm", FWHM_NM)) if name == "radiance" else ():
            file.create_variable(f"sensor_band_parameters/{key}", (bands,), data=centres.astype("f4"))
        for key, dimensions, table in rows:
            for dimension, size in zip(dimensions, table.shape, strict=True):
                file.dimensions.setdefault(dimension, size)
            file.create_variable(key, dimensions, data=table)
        file.attrs["geotransform"], file.attrs["spatial_ref"] = np.array([1.0, 2, 0, 3, 0, -2]), "WKT"
    return path


def square(lines=12, samples=12):
    """As many lines as samples and as bands: only names can tell them apart."""
    return arrays(lines, samples).radiance


@pytest.mark.parametrize("storage", [{}, {"chunks": (4, 4, 4), "compression": "gzip"}], ids=["plain", "chunked"])
@pytest.mark.parametrize("order", ORDERS)
def test_names_decide_the_order(tmp_path, order, storage):
    values = square()
    path = write(tmp_path / "rad.nc", values, order=order, **storage)
    cube = open_cube(path)
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        truth = dataset.radiance.transpose(*EMIT).values
    np.testing.assert_array_equal(cube.read(0, 12), truth)
    np.testing.assert_array_equal(cube.read(5, 9, np.array([7, 3])), truth[5:9][..., [7, 3]])
    assert (layout_of(cube) is not None) == (order == (0, 1, 2) and not storage)
    assert cube.lines_per_chunk == (4 if storage else 1)


ALIASES = [
    ("lines", "samples", "wavelength"),
    ("line", "sample", "band"),
    ("y", "x", "wavelengths"),
    ("row", "col", "channel"),
    ("along_track", "across_track", "spectral"),
    ("number_of_lines", "number_of_pixels", "number_of_bands"),
    ("latitude", "longitude", "z"),
    ("nrows", "ncolumns", "nbands"),
    ("height", "width", "band"),
    ("swath_y", "swath_x", "bands"),
    ("image_lines", "image_columns", "bands"),
    ("scans", "pixels", "red_bands_of_no_known_name"),
]


@pytest.mark.parametrize("names", ALIASES, ids=" ".join)
@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (0, 2, 1)])
def test_other_names_for_the_same(tmp_path, names, order):
    values = square()
    np.testing.assert_array_equal(open_cube(write(tmp_path / "rad.nc", values, names, order=order)).read(0, 12), values)


def test_the_dimension_of_the_wavelengths_is_the_spectral_one_whatever_its_name(tmp_path):
    values = square()
    path = write(tmp_path / "rad.nc", values, ("downtrack", "crosstrack", "q"), order=(2, 1, 0))
    np.testing.assert_array_equal(open_cube(path).read(0, 12), values)
    # Names that say nothing: lines before samples.
    path = write(tmp_path / "more.nc", values, ("a", "b", "c"), order=(2, 0, 1))
    np.testing.assert_array_equal(open_cube(path).read(0, 12), values)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_without_names_lengths_decide_where_they_can(tmp_path, order):
    data = arrays()
    path, _ = write_emit(tmp_path, data)
    with h5py.File(path, "r+") as file:
        del file["radiance"]
        file["radiance"] = data.radiance.transpose(order)
    np.testing.assert_array_equal(open_cube(path).read(0, 7), data.radiance)
    np.testing.assert_array_equal(open_cube(path).read(2, 6), data.radiance[2:6])


def test_without_names_or_telling_lengths_the_usual_order_holds(tmp_path):
    values = square()
    path, _ = write_emit(tmp_path, arrays(12, 12))
    with h5py.File(path, "r+") as file:
        np.testing.assert_array_equal(open_cube(path).read(0, 12), values)
        for axis, label in enumerate(("crosstrack", "downtrack", "bands")):  # HDF5's own labels count too
            file["radiance"].dims[axis].label = label
    np.testing.assert_array_equal(open_cube(path).read(0, 12), values.transpose(1, 0, 2))


def test_dimensions_left_behind_by_a_copy_are_no_names(tmp_path):
    """h5copy and h5py copy a variable's references to dimensions, not the dimensions."""
    source = write(tmp_path / "rad.nc", arrays().radiance)
    path, _ = write_emit(tmp_path, arrays())
    with h5py.File(path, "r+") as file, h5py.File(source) as other:
        del file["radiance"]
        other.copy("radiance", file)
    np.testing.assert_array_equal(open_cube(path).read(0, 7), arrays().radiance)


def test_geometry_in_another_order_than_its_radiance(tmp_path):
    data = arrays(12, 12)
    rad = write(tmp_path / "a_rad.nc", data.radiance, order=(1, 0, 2))
    obs = write(tmp_path / "a_obs.nc", data.obs, order=(2, 0, 1), name="obs")
    scene = open_scene(rad, obs)
    np.testing.assert_array_equal(scene.read_radiance(3, 8), data.radiance[3:8])
    np.testing.assert_array_equal(scene.read_sun_zenith_deg(3, 8), data.obs[3:8, :, 4].astype(np.float64))


def test_names_that_contradict_are_refused_with_the_names(tmp_path):
    path = tmp_path / "rad.nc"
    write(path, square(), ("crosstrack", "samples", "bands"))
    with pytest.raises(InputError, match=r"crosstrack = 12, samples = 12, bands = 12.*cannot be told"):
        open_cube(path)
    write(path, arrays().radiance, ("bands", "lines", "wavelength"))
    with pytest.raises(InputError, match="bands = 7"):
        open_cube(path)
    write(path, arrays(5, 12).radiance, ("lines", "bands", "samples"), bands="samples", order=(1, 0, 2))
    with pytest.raises(InputError, match=r"bands = 12, lines = 5, samples = 12.*cannot be told"):
        open_cube(path)


def test_a_spectral_name_on_the_wrong_dimension_is_refused_with_the_names(tmp_path):
    """Twelve wavelengths, on a dimension of their own; what is named bands is seven long."""
    path = write(tmp_path / "rad.nc", arrays().radiance, ("bands", "downtrack", "crosstrack"))
    with h5py.File(path, "r+") as file:
        del file["sensor_band_parameters"]
        file["sensor_band_parameters/wavelengths"] = WAVELENGTH_NM
    with pytest.raises(InputError, match=r"12 wavelengths for 7 bands of /radiance \(bands = 7, downtrack = 5"):
        open_cube(path)


PLACE = {"lon": np.arange(144.0).reshape(12, 12) - 100, "lat": np.arange(144.0).reshape(12, 12) / 10,
         "elev": np.arange(144.0).reshape(12, 12) * 7}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (EMIT, (0, 1, 2)),
        (EMIT, (1, 0, 2)),
        (("lines", "samples", "bands"), (2, 1, 0)),
        (("a", "b", "c"), (2, 0, 1)),  # names of no known meaning, but the same on cube and location
    ],
)
def test_location_and_cube_each_in_an_order_of_their_own(tmp_path, names, order):
    rows = [
        ("location/lon", names[:2], PLACE["lon"]),
        ("location/lat", names[1::-1], PLACE["lat"].T),
        ("location/elev", names[1::-1], PLACE["elev"].T),
    ]
    location = open_cube(write(tmp_path / "rad.nc", square(), names, order=order, rows=rows)).location()
    np.testing.assert_array_equal(location.lon_deg, PLACE["lon"])
    np.testing.assert_array_equal(location.lat_deg, PLACE["lat"])
    np.testing.assert_array_equal(location.elevation_m, PLACE["elev"])


def test_a_location_without_names_is_turned_where_only_that_fits(tmp_path):
    path, _ = write_emit(tmp_path, arrays())
    with h5py.File(path, "r+") as file:
        for key, values in PLACE.items():
            file[f"location/{key}"] = values[:7, :5].T
    np.testing.assert_array_equal(open_cube(path).location().lat_deg, PLACE["lat"][:7, :5])


@pytest.mark.parametrize("names", [("ortho_y", "ortho_x"), ("y", "x"), ("latitude", "longitude")], ids=" ".join)
@pytest.mark.parametrize("turned", [False, True])
def test_a_look_up_table_is_turned_by_its_names(tmp_path, names, turned):
    x, y = np.array([[1, 2, 0], [4, 5, 3]]), np.array([[6, 7, 0], [1, 2, 3]])
    rows = [("location/glt_x", names[::-1], x.T) if turned else ("location/glt_x", names, x),
            ("location/glt_y", names[::-1], y.T) if turned else ("location/glt_y", names, y)]  # fmt: skip
    glt = open_cube(write(tmp_path / "rad.nc", square(), rows=rows)).glt()
    np.testing.assert_array_equal(glt.sample, x - 1)
    np.testing.assert_array_equal(glt.line, y - 1)


def test_a_bomb_is_found_in_a_turned_cube(tmp_path, monkeypatch):
    """Chunks are looked at before HDF5 unpacks them, whichever axis the lines are on."""
    from spectf_cloud.readers import hdf5_storage

    monkeypatch.setattr(hdf5_storage, "_HARMLESS_CHUNK_BYTES", 0)
    looked_at = []
    monkeypatch.setattr(hdf5_storage, "_inflates_beyond", lambda packed, limit: looked_at.append(limit))
    path = write(tmp_path / "rad.nc", square(), order=(2, 1, 0), chunks=(4, 6, 3), compression="gzip")
    open_cube(path).read(4, 6)
    assert len(looked_at) == 3 * 2 * 1
