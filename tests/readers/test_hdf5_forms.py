"""Forms of file that are read, and the names of those that are not."""

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray

from spectf_cloud.dataset import open_cube, open_scene
from spectf_cloud.errors import InputError

from scene_files import FWHM_NM, OBS_NAMES, WAVELENGTH_NM, arrays, write_emit


def by_xarray(folder, data):
    """A pair as xarray writes it: packed, turned, names in fixed-width bytes, groups with dimensions of their own."""
    shape = {"downtrack": 7, "crosstrack": 5}
    place = xarray.Dataset({key: (tuple(shape), np.full((7, 5), 12.5)) for key in ("lon", "lat", "elev")})
    centres = xarray.Dataset({"wavelengths": ("bands", WAVELENGTH_NM), "fwhm": ("bands", FWHM_NM)})
    titles = xarray.Dataset({"observation_bands": ("bands", np.array(OBS_NAMES, "S80"))})
    packing = {"dtype": "int16", "scale_factor": 0.002, "_FillValue": np.int16(-32768)}
    paths = folder / "x_rad.nc", folder / "x_obs.nc"
    for path, name, values, bands in zip(
        paths, ("radiance", "obs"), (data.radiance, data.obs), (centres, titles), strict=True
    ):
        cube = xarray.Dataset({name: ((*shape, "bands"), values)}).transpose("bands", "crosstrack", "downtrack")
        encoding = {name: packing if name == "radiance" else {}}
        cube.to_netcdf(path, engine="h5netcdf", encoding=encoding)
        bands.to_netcdf(path, engine="h5netcdf", mode="a", group="sensor_band_parameters")
        place.transpose().to_netcdf(path, engine="h5netcdf", mode="a", group="location")
    return paths


def test_a_pair_written_by_xarray(tmp_path):
    data = arrays()
    data.radiance[3] = np.nan
    rad, obs = by_xarray(tmp_path, data)
    scene = open_scene(rad, obs)
    assert scene.observation.band_names == OBS_NAMES
    np.testing.assert_allclose(scene.read_radiance(0, 7), data.radiance, atol=0.00101)
    np.testing.assert_array_equal(scene.observation.read(2, 5), data.obs[2:5])
    assert (scene.location().lon_deg == 12.5).all() and scene.location().lon_deg.shape == (7, 5)


def test_names_in_rows_of_letters(tmp_path):
    """As netCDF-3 had them, and what is converted from it."""
    _, obs = write_emit(tmp_path, arrays())
    with h5py.File(obs, "r+") as file:
        del file["sensor_band_parameters/observation_bands"]
        letters = np.array(OBS_NAMES, "S80")
        letters = np.where(letters[:, None].view("S1") == b"", b" ", letters[:, None].view("S1"))
        file["sensor_band_parameters/observation_bands"] = letters
    assert open_cube(obs).band_names == OBS_NAMES


def write_aviris(path, values, *, named=True, **storage):
    """Radiance as AVIRIS-3 has it: a group, bands first."""
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"wavelength": 12, "lines": values.shape[0], "samples": values.shape[1]}
        dimensions = ("wavelength", "lines", "samples")
        group = file.create_group("radiance")
        group.create_variable("radiance", dimensions, "f4", data=values.transpose(2, 0, 1), **storage)
        for key, centres in (("wavelength", WAVELENGTH_NM), ("fwhm", FWHM_NM)):
            group.create_variable(key, ("wavelength",), data=centres.astype("f4")).attrs["unit"] = "nm"
    if not named:
        with h5py.File(path, "r+") as file:
            del file["radiance/radiance"]
            file["radiance/radiance"] = values.transpose(2, 0, 1)
    return path


@pytest.mark.parametrize(("lines", "samples"), [(7, 5), (12, 12)])
@pytest.mark.parametrize("named", [True, False])
def test_radiance_of_aviris_3(tmp_path, lines, samples, named):
    data = arrays(lines, samples)
    rad = write_aviris(tmp_path / "AV3_RDN.nc", data.radiance, named=named, chunks=(2, 4, 5))
    _, obs = write_emit(tmp_path, data)
    scene = open_scene(rad, obs)
    np.testing.assert_array_equal(scene.read_radiance(2, 6), data.radiance[2:6])
    np.testing.assert_allclose(scene.sensor.wavelength_nm, WAVELENGTH_NM)
    assert scene.radiance.lines_per_chunk == (4 if named else 1)


def test_groups_written_into_one(tmp_path):
    """As `xarray.Dataset.to_netcdf` leaves a granule whose groups were merged."""
    data = arrays()
    rad, obs = tmp_path / "x_rad.nc", tmp_path / "x_obs.nc"
    for path, name, values in ((rad, "radiance", data.radiance), (obs, "obs", data.obs)):
        with h5netcdf.File(path, "w") as file:
            file.dimensions = {"downtrack": 7, "crosstrack": 5, "wavelengths": values.shape[2]}
            file.create_variable(name, ("downtrack", "crosstrack", "wavelengths"), "f4", data=values)
            for key in ("lon", "lat", "elev"):
                file.create_variable(key, ("downtrack", "crosstrack"), data=values[..., 0])
            if name == "radiance":
                file.create_variable("wavelengths", ("wavelengths",), data=WAVELENGTH_NM)
                file.create_variable("fwhm", ("wavelengths",), data=FWHM_NM)
            else:
                titles = np.array(OBS_NAMES, dtype=object)
                file.create_variable("observation_bands", ("wavelengths",), h5py.string_dtype(), data=titles)
    scene = open_scene(rad)
    np.testing.assert_array_equal(scene.read_radiance(0, 7), data.radiance)
    assert scene.observation.band_names == OBS_NAMES
    np.testing.assert_array_equal(scene.location().lat_deg, data.radiance[..., 0].astype(np.float64))


OTHERS = {
    "L2A reflectance": ({"reflectance": (7, 5, 12)}, "surface reflectance"),
    "L2A mask": ({"mask": (7, 5, 8)}, "is a mask"),
    "AVIRIS reflectance": ({"reflectance/reflectance": (12, 7, 5)}, "surface reflectance of AVIRIS"),
    "AVIRIS geometry": ({"observation_parameters/to_sun_zenith": (7, 5)}, "observation geometry of AVIRIS-3"),
    "PRISMA": ({"HDFEOS/SWATHS/PRS_L1_HCO/Data Fields/VNIR_Cube": (7, 6, 5)}, "PRISMA L1"),
    "Tanager": ({"HDFEOS/GRIDS/HYP/Data Fields/toa_radiance": (6, 7, 5)}, "Tanager"),
    "other HDF-EOS": ({"HDFEOS/GRIDS/OMI/Data Fields/NO2": (7, 5)}, "HDF-EOS5"),
    "PACE": ({"observation_data/rhot_blue": (6, 7, 5), "sensor_band_parameters/blue_wavelength": (6,)}, "PACE OCI"),
    "labelled spectra": ({"spectra": (9, 12), "labels": (9,)}, "labelled spectra, which is for training"),
    "something else": ({"weights": (3,)}, r"it has weights|has weights"),
    "nothing": ({}, "has nothing"),
    "a group of that name": ({"radiance/data": (7, 5, 12)}, "/radiance is a group"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_products_are_named_and_not_downloaded_again(tmp_path, case):
    contents, message = OTHERS[case]
    path = tmp_path / "file.nc"
    with h5py.File(path, "w") as file:
        for key, shape in contents.items():
            file[key] = np.zeros(shape, "f4")
    with pytest.raises(InputError, match=message) as caught:
        open_cube(path)
    assert "download" not in str(caught.value) and str(path) in str(caught.value)
