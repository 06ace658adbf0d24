"""Probability out of files that other programs wrote; truth is GDAL's masked reading, or xarray's."""

from __future__ import annotations

import h5netcdf
import h5py
import numpy as np
import pytest
import rasterio
import xarray
from rasterio.enums import ColorInterp

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.products.rethreshold import rethreshold
from spectf_cloud.products.saved_probability import read_probability
from spectf_cloud.scene import NODATA

from scene_files import raster
from small_scenes import make_mask, make_scene, sheared_location

SHARES = np.random.default_rng(1).random((6, 9)).astype(np.float32)
HIDDEN = np.zeros(SHARES.shape, bool)
HIDDEN[:2] = True


def write(path, *bands, scale=None, offset=None, mask=None, names=(), colours=(), **options):
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(60, 0, 4e5, 0, -60, 5e6)}
    shape = {"height": bands[0].shape[0], "width": bands[0].shape[1], "count": len(bands), "dtype": bands[0].dtype}
    with rasterio.open(path, "w", **{"driver": "GTiff", **place, **shape, **options}) as dataset:
        if colours:
            dataset.colorinterp = colours
        for number, values in enumerate(bands, start=1):
            dataset.write(values, number)
        for number, name in enumerate(names, start=1):
            dataset.set_band_description(number, name)
        if scale is not None:
            dataset.scales = (scale,) * len(bands)
        if offset is not None:
            dataset.offsets = (offset,) * len(bands)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def as_gdal_reads(path, band=1):
    """(lines, samples) of GDAL's own masked reading, scaled; −9999 where it masks."""
    with raster(path) as dataset:
        stored = dataset.read(band, masked=True)
        return (stored * dataset.scales[band - 1] + dataset.offsets[band - 1]).astype(np.float32).filled(NODATA)


def agrees(path, band=1):
    np.testing.assert_allclose(read_probability(path).probability, as_gdal_reads(path, band), atol=2e-5)
    return True


def masked_out(path, out):
    rethreshold(path, out, 0.5)
    with raster(out) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize("inside", [True, False])
def test_a_mask_inside_or_beside_the_file_hides_pixels(tmp_path, inside):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
        path = write(tmp_path / "x.tif", np.where(HIDDEN, 0, SHARES), mask=~HIDDEN)
    assert (tmp_path / "x.tif.msk").exists() is not inside
    assert agrees(path)
    mask = masked_out(path, tmp_path / "out.tif")
    assert (mask[:2] == 255).all() and np.array_equal(mask[2:], SHARES[2:] > 0.5)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])  # GDAL masks by the first kind alone
def test_an_alpha_band_hides_pixels(tmp_path, dtype):
    values = SHARES if dtype == "float32" else np.round(SHARES * 1e4).astype(dtype)
    scale = None if dtype == "float32" else 1e-4
    alpha = np.where(HIDDEN, 0, 65535).astype(dtype)
    path = write(tmp_path / "x.tif", values, alpha, scale=scale, colours=(ColorInterp.gray, ColorInterp.alpha))
    assert dtype == "float32" or agrees(path)
    assert (masked_out(path, tmp_path / "out.tif")[:2] == 255).all()


@pytest.mark.parametrize(
    ("dtype", "scale", "offset", "nodata"),
    [
        ("uint8", 1 / 255, None, None),
        ("uint8", 0.00392157, None, None),  # 255 of it is a little above 1
        ("uint8", 0.005, None, 255),
        ("uint16", 1e-4, None, 65535),
        ("int16", 1e-4, 0.5, -32768),
        ("int16", 1e-4, None, None),  # −9999 undeclared, as stored
        ("float32", 0.01, None, -1.0),
    ],
)
def test_scale_and_offset_count_and_no_data_is_as_stored(tmp_path, dtype, scale, offset, nodata):
    stored = (SHARES - (offset or 0)) / scale
    stored = (np.minimum(np.round(stored), 255) if dtype == "uint8" else np.round(stored)).astype(dtype)
    undeclared = nodata is None and dtype == "int16"
    if nodata is not None or undeclared:
        stored[HIDDEN] = NODATA if undeclared else nodata
    path = write(tmp_path / "x.tif", stored, scale=scale, offset=offset, nodata=nodata)
    found = read_probability(path).probability
    assert found[~HIDDEN].min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(found[~HIDDEN], as_gdal_reads(path)[~HIDDEN], atol=1e-5)
    assert ((found == NODATA) == (HIDDEN & (nodata is not None or undeclared))).all()


def test_undeclared_no_data_and_nan_are_no_data(tmp_path):
    values = np.where(HIDDEN, np.float32(NODATA), SHARES)
    values[2] = np.nan
    mask = masked_out(write(tmp_path / "x.tif", values), tmp_path / "out.tif")
    assert (mask[:3] == 255).all() and (mask[3:] != 255).all()


def test_of_several_bands_the_one_described_as_probability_counts(tmp_path):
    path = write(tmp_path / "x.tif", SHARES * 9, SHARES, names=("distance", "SpecTf-Cloud Probability"))
    assert agrees(path, band=2)
    for names in ((), ("probability of cloud", "probability of snow")):
        with pytest.raises(InputError, match="exactly one of its 2 bands"):
            read_probability(write(tmp_path / f"{len(names)}.tif", SHARES, SHARES, names=names))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0.0, 37.5, 100.0]], np.float32), "from 0 to 100 .* per cent.*-a_scale 0.01"),
        (np.array([[0, 37, 100]], np.uint8), "uint8 values from 0 to 100 .* per cent"),
        (np.array([[0, 3700, 10000]], np.int16), "int16 values from 0 to 10000 without a scale.*-a_scale SCALE"),
        (np.array([[0, 1, 1]], np.uint8), "a mask"),
        (np.array([[0j, 1j]], np.complex64), "complex"),
    ],
)
def test_what_needs_a_scale_is_refused_by_name(tmp_path, values, words):
    with pytest.raises(InputError, match=words):
        read_probability(write(tmp_path / "x.tif", values))


def test_a_scale_that_goes_beyond_one_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"from 0 to 1\.02"):  # 255 is fill here, and nothing says so
        read_probability(write(tmp_path / "x.tif", np.array([[0, 250, 255]], np.uint8), scale=0.004))


# netCDF


@pytest.fixture
def mask():
    return make_mask(make_scene(40, 50, location=sheared_location(40, 50)))


def test_our_netcdf_gives_the_mask_that_the_geotiff_gives(mask, tmp_path):
    mask.to_netcdf(tmp_path / "a.nc")
    mask.to_probability_geotiff(tmp_path / "a_prob.tif")
    for name in ("a.nc", "a_prob.tif"):
        rethreshold(tmp_path / name, tmp_path / f"{name}.out.tif", 0.7, 1)
    with raster(tmp_path / "a.nc.out.tif") as one, raster(tmp_path / "a_prob.tif.out.tif") as other:
        assert np.array_equal(one.read(1), other.read(1))
        assert one.gcps[1] == other.gcps[1]
        places = ([(p.row, p.col, p.x, p.y, p.z) for p in dataset.gcps[0]] for dataset in (one, other))
        np.testing.assert_allclose(*places)
        assert one.tags()["SPECTF_WEIGHTS"] == "v-test" and one.tags()["SPECTF_THRESHOLD"] == "0.7"
    assert read_probability(tmp_path / "a.nc").threshold() == 0.5  # noted in it


def test_what_xarray_saved_is_read(mask, tmp_path):
    mask.to_xarray().to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    found = read_probability(tmp_path / "x.nc")
    np.testing.assert_array_equal(found.probability, mask.probability)
    assert len(found.georeference.gcps) == 64 and found.threshold() == 0.5


def l2a_mask(path, values, names, attributes=(), dtype=np.float32, fill=NODATA):
    """As EMIT delivers its L2A mask: (downtrack, crosstrack, bands) with names in a group."""
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"downtrack": values.shape[0], "crosstrack": values.shape[1], "bands": values.shape[2]}
        dims = ("downtrack", "crosstrack", "bands")
        variable = file.create_variable("mask", dims, dtype, data=values.astype(dtype), fillvalue=dtype(fill))
        variable.attrs.update(dict(attributes))
        bands = file.create_variable("/sensor_band_parameters/mask_bands", ("bands",), h5py.string_dtype())
        bands[:] = np.array(names, dtype=object)
    return path


NAMES = ("Cloud flag", "Cirrus flag", "SpecTf-Cloud Probability", "SpecTf-Cloud Flag")


def test_emits_own_mask_is_read_and_asks_for_a_threshold(tmp_path):
    values = np.stack([SHARES > 0.3, SHARES > 0.4, np.where(HIDDEN, NODATA, SHARES), SHARES > 0.5], axis=-1)
    path = l2a_mask(tmp_path / "EMIT_L2A_MASK_001.nc", values, NAMES)
    np.testing.assert_array_equal(read_probability(path).probability, values[..., 2].astype(np.float32))
    with pytest.raises(UsageError, match="--threshold"):
        rethreshold(path, tmp_path / "out.tif")


def test_packed_probability_is_unpacked_as_xarray_does(tmp_path):
    stored = np.round(np.stack([SHARES] * 4, axis=-1) * 1e4)
    stored[HIDDEN] = -1
    path = l2a_mask(tmp_path / "x.nc", stored, NAMES, {"scale_factor": 1e-4}, np.int16, -1)
    with xarray.open_dataset(path, engine="h5netcdf") as truth:
        expected = truth["mask"].values[..., 2]
    found = read_probability(path).probability
    np.testing.assert_allclose(np.where(found == NODATA, np.nan, found), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("Cloud flag", "Cirrus flag", "Water flag", "Spacecraft Flag"), "none of its mask bands.*Cirrus flag"),
        (NAMES[:3], r"3 bands are named"),
    ],
)
def test_a_mask_without_probability_is_named(tmp_path, names, words):
    path = l2a_mask(tmp_path / "x.nc", np.stack([SHARES] * 4, axis=-1), (*names, "")[:4])
    if len(names) == 3:
        with h5py.File(path, "r+") as file:
            del file["sensor_band_parameters/mask_bands"]
            file["sensor_band_parameters/mask_bands"] = list(names)
    with pytest.raises(InputError, match=words):
        read_probability(path)


@pytest.mark.parametrize(
    ("key", "words"), [("radiance", "deploy-pt"), ("obs", "geometry"), ("reflectance", "it has reflectance")]
)
def test_other_netcdf_is_named_rightly(tmp_path, key, words):
    with h5py.File(tmp_path / "x.nc", "w") as file:
        file[key] = np.zeros((3, 4, 5), np.float32)
    with pytest.raises(InputError, match=words):
        read_probability(tmp_path / "x.nc")


def test_netcdf_3_per_cent_and_folders_are_named(tmp_path):
    two = {"p": (("y", "x"), SHARES), "q": (("y", "x"), SHARES)}
    xarray.Dataset(two).to_netcdf(tmp_path / "3.nc", engine="scipy")
    l2a_mask(tmp_path / "cent.nc", np.stack([SHARES * 100] * 4, axis=-1), NAMES)
    for name, words in (("3.nc", "netCDF-3"), ("cent.nc", "per cent"), ("", "is a folder")):
        with pytest.raises(InputError, match=words):
            read_probability(tmp_path / name)
