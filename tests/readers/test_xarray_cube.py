"""xarray objects as scenes: compared with the arrays they were made from."""

from __future__ import annotations

import numpy as np
import pytest

import spectf_cloud as sc
from spectf_cloud.errors import InputError
from spectf_cloud.readers.xarray_cube import open_cube
from spectf_cloud.sensor import Sensor

from rasters import CENTRES_NM, WIDTHS_NM, reflectance, write_raster

xr = pytest.importorskip("xarray")

SENSOR = Sensor("six", np.array(CENTRES_NM), np.array(WIDTHS_NM))
TRUTH = reflectance()
PLANE = (("y", "x"), TRUTH[..., 0])
ORDERS = [("y", "x", "band"), ("band", "y", "x"), ("y", "band", "x"), ("latitude", "longitude", "wavelength"),
          ("colour", "y", "x"), ("row", "col", "channel")]  # fmt: skip


def arranged(names, values=TRUTH):
    """A DataArray with dimensions of these names, whatever their order."""
    meanings = {"y": 0, "latitude": 0, "row": 0, "x": 1, "longitude": 1, "col": 1}
    return xr.DataArray(np.transpose(values, [meanings.get(name, 2) for name in names]), dims=names, name="scene")


@pytest.mark.parametrize("names", ORDERS, ids="-".join)
@pytest.mark.parametrize("chunked", [False, True])
def test_dimensions_in_any_order(names, chunked):
    array = arranged(names)
    if chunked:
        pytest.importorskip("dask")
        array = array.chunk({names[0]: 2})
    scene = sc.open_raster(array, SENSOR)
    np.testing.assert_array_equal(scene.image.read(0, 40), TRUTH)
    np.testing.assert_array_equal(scene.image.read(5, 8, np.array([3, 0])), TRUTH[5:8][..., [3, 0]])
    assert scene.files == () and (scene.lines, scene.samples) == (40, 30)


def test_scale_fill_and_units_of_the_attributes_count():
    stored = (TRUTH * 10_000).round().astype("int16")
    stored[1, 2, 3] = -1
    array = arranged(("y", "x", "band"), stored).assign_attrs(
        scale_factor=1e-4, add_offset=0.0, _FillValue=-1, standard_name="surface_bidirectional_reflectance"
    )
    scene = sc.open_raster(array, SENSOR)
    read = scene.image.read(0, 40)
    assert np.isnan(read[1, 2, 3]) and np.isnan(read).sum() == 1
    np.testing.assert_allclose(read[2:], TRUTH[2:], atol=1e-6)
    assert scene.quantity == "surface_reflectance" and scene.tags["SPECTF_SCALE"] == "1"
    with pytest.raises(InputError, match="radiance"):
        sc.open_raster(array.assign_attrs(units="W m-2 sr-1 um-1", standard_name=""), SENSOR)


def test_a_data_set_holds_a_band_a_variable_or_one_cube():
    bands = {f"B{band}": (("y", "x"), TRUTH[..., band]) for band in range(6)}
    scene = sc.open_raster(xr.Dataset(bands), SENSOR)
    np.testing.assert_array_equal(scene.image.read(0, 40), TRUTH)
    assert scene.image.band_names == tuple(bands)
    cube = xr.Dataset(
        {"reflectance": (("band", "y", "x"), np.moveaxis(TRUTH, -1, 0)), "mask": (("y", "x"), TRUTH[..., 0])}
    )
    np.testing.assert_array_equal(sc.open_raster(cube, SENSOR).image.read(0, 40), TRUTH)


def test_wavelengths_are_coordinates():
    array = arranged(("band", "y", "x")).assign_coords(
        wavelength=("band", np.array(CENTRES_NM) / 1000, {"units": "um"}), fwhm=("band", np.array(WIDTHS_NM) / 1000)
    )
    scene = sc.open_raster(array)
    np.testing.assert_allclose(scene.sensor.wavelength_nm, CENTRES_NM)
    np.testing.assert_allclose(scene.sensor.fwhm_nm, WIDTHS_NM)
    with pytest.raises(InputError, match="wavelength"):
        sc.open_raster(arranged(("band", "y", "x")))


def test_the_grid_of_a_raster_that_went_through_xarray(tmp_path):
    """The centres of pixels are coordinates: the corner is half a pixel away."""
    grid = sc.open_raster(write_raster(tmp_path / "x.tif", TRUTH.astype("f4"))).grid()
    x0, dx, _, y0, _, dy = grid.geotransform
    array = arranged(("y", "x", "band")).assign_coords(
        y=y0 + dy * (np.arange(40) + 0.5), x=x0 + dx * (np.arange(30) + 0.5), spatial_ref=0
    )
    assert sc.open_raster(array, SENSOR).grid() is None
    array.coords["spatial_ref"].attrs["crs_wkt"] = grid.crs_wkt
    assert sc.open_raster(array, SENSOR).grid() == grid


BROKEN = {
    "two dimensions": (lambda: arranged(("y", "x", "band"))[..., 0], "2 dimensions; lines, samples and bands"),
    "times": (lambda: arranged(("time", "y", "x")), "time.*cannot be told"),
    "no names": (lambda: xr.DataArray(TRUTH), "cannot be told; rename them to y, x and band"),
    "complex": (lambda: arranged(("y", "x", "band"), TRUTH.astype(complex)), "complex128; real numbers"),
    "texts": (lambda: arranged(("y", "x", "band"), TRUTH.astype(str)), "real numbers"),
    "no variables": (lambda: xr.Dataset({"t": ("t", [1.0])}), "0 variables of three dimensions and 0 of two"),
    "two grids": (lambda: xr.Dataset({"a": PLANE, "b": (("y2", "x"), TRUTH[:9, :, 0])}), "differ"),
    "two kinds": (lambda: xr.Dataset({"a": PLANE, "b": (("y", "x"), PLANE[1] > 1)}), "bool"),
    "empty": (lambda: arranged(("y", "x", "band"), TRUTH[:0]), "is empty"),
    "scale": (lambda: arranged(("y", "x", "band")).assign_attrs(scale_factor="much"), "scale_factor is 'much'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_cube_costs_one_line(case):
    made, message = BROKEN[case]
    with pytest.raises(InputError, match=message) as caught:
        open_cube(made())
    assert "\n" not in str(caught.value)
