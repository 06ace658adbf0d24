from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray
from scipy.ndimage import distance_transform_edt

from spectf_cloud.products.netcdf import BANDS, granule_attributes
from spectf_cloud.scene import NODATA

from small_scenes import make_mask, make_scene, nearest_glt, sheared_location


@pytest.fixture
def mask():
    location = sheared_location(30, 90)
    location.elevation_m[0, 0] = NODATA
    return make_mask(make_scene(30, 90, location=location, glt=nearest_glt(location)))


@pytest.fixture
def path(mask, tmp_path):
    mask.to_netcdf(tmp_path / "mask.nc")
    return tmp_path / "mask.nc"


def test_bands_hold_probability_flag_and_distance(mask, path):
    with h5py.File(path) as file:
        values = file["mask"][:]
        names = file["sensor_band_parameters/mask_bands"].asstr()[:].tolist()
        assert file["mask"].fillvalue == NODATA and file["mask"].dtype == np.float32
    assert names == ["SpecTf-Cloud Probability", "SpecTf-Cloud Flag", "SpecTf-Buffer Distance"] == list(BANDS)
    missing = mask.mask == 255
    assert (values[missing] == NODATA).all() and missing.any()
    distance = distance_transform_edt(mask.mask != 1)
    distance[distance > 50] = -1
    assert (distance == -1).any() or distance.max() > 10
    np.testing.assert_array_equal(values[~missing, 0], mask.probability[~missing])
    np.testing.assert_array_equal(values[~missing, 1], mask.mask[~missing])
    np.testing.assert_allclose(values[~missing, 2], distance[~missing], rtol=1e-6)


def test_xarray_reads_every_group(mask, path):
    with xarray.open_dataset(path, engine="h5netcdf") as root:
        assert root["mask"].dims == ("downtrack", "crosstrack", "bands")
        assert np.isnan(root["mask"].values[mask.mask == 255]).all()
        assert root.attrs["SPECTF_WEIGHTS"] == "v-test" and root.attrs["Conventions"].startswith("CF")
        np.testing.assert_array_equal(root.attrs["geotransform"], mask.scene.glt().geotransform)
    with xarray.open_dataset(path, engine="h5netcdf", group="location") as location:
        np.testing.assert_array_equal(location["lon"], mask.scene.location().lon_deg)
        assert np.isnan(location["elev"].values[0, 0]) and location["elev"].attrs["units"] == "m"
    with xarray.open_dataset(path, engine="h5netcdf", group="sensor_band_parameters") as parameters:
        assert parameters["mask_bands"].values.tolist() == list(BANDS)


def test_the_lookup_table_counts_from_one_again(mask, path):
    with h5py.File(path) as file:
        line, sample = file["location/glt_y"][:], file["location/glt_x"][:]
        assert line.dtype == np.int32
        assert file["location/glt_y"].attrs["_FillValue"] == 0
    glt = mask.scene.glt()
    np.testing.assert_array_equal(line - 1, glt.line)
    np.testing.assert_array_equal(sample - 1, glt.sample)
    assert (line == 0).any() and line.max() == mask.scene.lines


def test_a_scene_without_a_place_has_bands_only(tmp_path):
    make_mask(make_scene(4, 20)).to_netcdf(tmp_path / "mask.nc")
    with h5py.File(tmp_path / "mask.nc") as file:
        assert set(file) == {"mask", "sensor_band_parameters", "downtrack", "crosstrack", "bands"}
        assert "geotransform" not in file.attrs and "coordinates" not in file["mask"].attrs


def test_layout_is_that_of_a_real_mask_file(path, reference):
    (real_path,) = (reference / "emit").glob("EMIT_L2A_MASK_*.nc")
    with h5py.File(real_path) as real, h5py.File(path) as ours:
        for name in ("mask", "sensor_band_parameters/mask_bands", "location/lon", "location/lat", "location/elev",
                     "location/glt_x", "location/glt_y"):  # fmt: skip
            assert ours[name].dtype == real[name].dtype, name
            assert dims(ours[name]) == dims(real[name]), name
        for name in ("mask", "location/lon", "location/lat", "location/elev"):
            assert ours[name].attrs["long_name"] == real[name].attrs["long_name"].decode()
            assert ours[name].attrs["_FillValue"] == real[name].attrs["_FillValue"]
        for name in ("geotransform", "spatial_ref", "flight_line", "time_coverage_start", "title", "Conventions"):
            assert name in ours.attrs and name in real.attrs
        ours_extra = {name for name in ours if name not in real}
    assert not ours_extra


def dims(variable):
    """Names of a netCDF variable's dimensions, from the scales HDF5 attaches to them."""
    file = variable.file
    return [file[reference[0]].name for reference in variable.attrs["DIMENSION_LIST"]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "EMIT_L1B_RAD_001_20220827T060753_2223904_001",
            {"flight_line": "emit20220827t060753_o23904_s001", "time_coverage_start": "2022-08-27T06:07:53+0000"},
        ),
        (
            "ang20170323t202244_rdn_7000",
            {"flight_line": "ang20170323t202244_rdn_7000", "time_coverage_start": "2017-03-23T20:22:44+0000"},
        ),
        ("my scene", {"flight_line": "my scene"}),
    ],
)
def test_attributes_told_by_the_name(name, expected):
    assert granule_attributes(make_scene(1, 1, name=name)) == expected
