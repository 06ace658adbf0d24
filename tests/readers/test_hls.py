"""HLS granules against the definition of the product, and Fmask against its bits."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from spectf_cloud.errors import InputError, SpectfError, UsageError
from spectf_cloud.readers.hls import decode_fmask, is_hls, open_hls, read_fmask
from spectf_cloud.readers.sensor_yaml import known_sensors
from spectf_cloud.tokens import Tokens

from band_files import HLS_L30, HLS_S30, L30_BANDS, LINES, PLACE, SAMPLES, counts, write_band, write_hls

REFERENCE = Path("/work/shared/reference/formats/hls")
#: In the order of wavelength: S30's cirrus is B10 and its water vapour B09, L30's cirrus is B09.
S30_ORDER = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
L30_ORDER = ("B01", "B02", "B03", "B04", "B05", "B09", "B06", "B07")


def expected(held, order):
    values = np.stack([held[band].astype(np.float64) for band in order], axis=-1)
    return np.where(values == -9999, np.nan, values / 10_000)


@pytest.mark.parametrize(
    ("granule", "order", "toa"), [(HLS_S30, S30_ORDER, "B09, B10: top"), (HLS_L30, L30_ORDER, "B09: top")]
)
def test_it_is_surface_reflectance(tmp_path, granule, order, toa):
    held = write_hls(tmp_path, granule, sorted(order))
    scene = open_hls(tmp_path)
    assert scene.quantity == "surface_reflectance" and scene.name == granule
    assert scene.image.band_names == order
    values = scene.image.read(0, LINES)
    np.testing.assert_allclose(values, expected(held, order), atol=1e-7)
    assert np.isnan(values[1, 1]).all() and (values[0, 0] == 0).all()
    np.testing.assert_array_equal(scene.image.read(2, 5, np.array([7, 3])), values[2:5][..., [7, 3]])
    assert scene.grid().geotransform == PLACE.to_gdal()
    facts = scene.facts
    assert "surface" in facts.notes[0] and facts.notes[1].startswith(toa)
    assert (facts.sun_zenith_deg, facts.sun_azimuth_deg) == (45.5, 36.25)
    assert facts.acquired == datetime(2022, 6, 15, 14, 57, 57, 208242, UTC)


def test_one_name_is_another_band_of_each():
    """B05 is near infrared in L30, red edge in S30; B09 cirrus and water vapour."""
    nm = {kind: known_sensors()[f"HLS_{kind}"].by_name for kind in ("L30", "S30")}
    assert round(nm["L30"]["B05"][0]) == 865 and round(nm["S30"]["B05"][0]) == 704
    assert round(nm["L30"]["B09"][0]) == 1373 and round(nm["S30"]["B09"][0]) == 945
    assert set(nm["L30"]) == set(L30_BANDS)


def test_tokens_are_made_of_it(tmp_path):
    write_hls(tmp_path, HLS_L30, L30_BANDS)
    assert Tokens.of_scene(open_hls(tmp_path), min_bands=3).kept.size == 8


@pytest.mark.parametrize("form", ["band", "mask", "zip"])
def test_every_way_to_name_it(tmp_path, form):
    held = write_hls(tmp_path, HLS_L30, L30_BANDS)
    write_hls(tmp_path) if form != "zip" else None
    write_band(tmp_path / f"{HLS_L30}.Fmask.tif", counts(3, "uint8", 0, 255))
    path = {"band": tmp_path / f"{HLS_L30}.B04.tif", "mask": tmp_path / f"{HLS_L30}.Fmask.tif"}.get(form)
    if path is None:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(tmp_path.glob("*.tif")):
                archive.write(file, f"{HLS_L30}/{file.name}")
    assert is_hls(path)
    np.testing.assert_allclose(open_hls(path).image.read(0, LINES), expected(held, L30_ORDER), atol=1e-7)
    assert read_fmask(path).cloud.shape == (LINES, SAMPLES)


def test_two_granules_in_one_folder_are_not_mixed(tmp_path):
    write_hls(tmp_path, HLS_L30, ("B02", "B03"))
    write_hls(tmp_path, HLS_S30, ("B02", "B03"))
    with pytest.raises(InputError, match="holds 2 HLS granules"):
        open_hls(tmp_path)


def test_thermal_bands_and_angles_are_left_out(tmp_path):
    write_hls(tmp_path, HLS_L30, ("B02", "B03", "B04", "B10", "B11"))
    write_band(tmp_path / f"{HLS_L30}.SZA.tif", counts())
    scene = open_hls(tmp_path)
    assert scene.image.band_names == ("B02", "B03", "B04")
    assert "missing and left out: B01, B05, B06, B07, B09" in scene.facts.notes


@pytest.mark.parametrize(
    ("values", "options", "note"),
    [
        (counts(1, "int16", 0, 9_999), {"scale": 0.0001, "nodata": -9999}, None),
        (counts(1, "uint16", 0, 9_999), {}, "times 10000"),
        ((counts(1, "int16", 0, 9_999) / 10_000).astype(np.float32), {"tags": {"scale_factor": "0.0001"}}, "itself"),
    ],
    ids=["scale field", "uint16", "float32"],
)
def test_copies_of_other_places_are_scaled_once(tmp_path, values, options, note):
    for band in ("B02", "B03", "B04"):
        write_band(tmp_path / f"{HLS_L30}.{band}.tif", values, **options)
    scene = open_hls(tmp_path)
    truth = values if values.dtype.kind == "f" else values / 10_000
    np.testing.assert_allclose(scene.image.read(0, LINES)[..., 1], truth, atol=1e-7)
    assert (scene.facts.notes[-1].endswith(note)) if note else "left out" in scene.facts.notes[-1]


def test_the_first_of_two_joined_scenes_is_its_time(tmp_path):
    times = "2024-04-29T21:12:23.5877990Z; 2024-04-29T21:11:59.7221750Z"
    products = "LC08_L1TP_069014_20240429_20240430_02_RT; LC08_L1TP_069015_20240429_20240430_02_RT"
    tags = {"SENSING_TIME": times, "LANDSAT_PRODUCT_ID": products}
    write_hls(tmp_path / "joined", HLS_L30, ("B02", "B03"), tags)
    facts = open_hls(tmp_path / "joined").facts
    assert facts.acquired == datetime(2024, 4, 29, 21, 11, 59, 722175, UTC) and facts.satellite == "Landsat 8"
    write_hls(tmp_path / "without", HLS_L30, ("B02", "B03"), {"SENSING_TIME": ""})
    assert open_hls(tmp_path / "without").facts.acquired == datetime(2022, 6, 14, 14, 40, 27, tzinfo=UTC)


def test_fmask_bits_against_their_table():
    numbers = np.arange(256, dtype=np.uint8)
    mask = decode_fmask(numbers)
    for number in range(255):
        bits = f"{number:08b}"[::-1]
        flags = mask.cirrus, mask.cloud, mask.adjacent, mask.shadow, mask.snow, mask.water
        assert [bool(flag[number]) for flag in flags] == [bit == "1" for bit in bits[:6]]
        assert mask.aerosol[number] == int(bits[6]) + 2 * int(bits[7])
    assert mask.nodata.tolist() == [number == 255 for number in numbers] and not mask.cloud[255]


@pytest.mark.parametrize(
    ("tags", "message"),
    [({"scale_factor": "small"}, "'small', not a number"), ({"scale_factor": "-1"}, "above zero")],
)
def test_tags_that_cannot_be_meant_cost_a_line(tmp_path, tags, message):
    write_hls(tmp_path, bands=("B02", "B03"), tags=tags)
    with pytest.raises(InputError, match=message):
        open_hls(tmp_path)


def test_damaged_and_foreign_files_cost_a_line(tmp_path):
    write_hls(tmp_path, bands=("B02", "B03"))
    path = tmp_path / f"{HLS_S30}.B03.tif"
    write_band(path, counts(dtype="int32"))
    with pytest.raises(InputError, match=r"B03.tif holds int32"):
        open_hls(tmp_path)
    path.write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"B03.tif: cannot be read"):
        open_hls(tmp_path)
    with pytest.raises(UsageError, match="its own 30 m"):
        open_hls(tmp_path, 10)
    with pytest.raises(InputError, match=r"no HLS\.S30.*Fmask"):
        read_fmask(tmp_path)
    (tmp_path / "empty").mkdir()
    write_band(tmp_path / "empty" / f"{HLS_S30}.SZA.tif", counts())
    with pytest.raises(InputError, match="no band of reflectance"):
        open_hls(tmp_path / "empty")
    assert not is_hls(tmp_path / "empty" / "none.tif") and not is_hls(tmp_path / f"{HLS_S30}.B99.tif")


def test_mutated_files_cost_a_line_at_most(tmp_path):
    write_hls(tmp_path, bands=("B02", "B03"))
    path = tmp_path / f"{HLS_S30}.B03.tif"
    whole = path.read_bytes()
    random = np.random.default_rng(19)
    for _ in range(200):
        content = bytearray(whole)
        for place in random.integers(0, 900, random.integers(1, 4)):
            content[place] = random.integers(0, 256)
        path.write_bytes(content[: random.integers(0, len(whole))] if random.random() < 0.2 else content)
        try:
            open_hls(path).image.read(0, 1)
        except SpectfError as refused:
            assert "\n" not in str(refused)


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the reference files")
@pytest.mark.parametrize(
    ("granule", "satellite", "zenith_deg", "minute"),
    [
        ("HLS.L30.T06WVS.2024120T211159.v2.0", "Landsat 8", 50.005689052611, 11),
        ("HLS.S30.T13RCN.2024128T173909.v2.0", "Sentinel-2B", 19.5190392083788, 55),
    ],
)
def test_real_fmask_and_its_tags(tmp_path, granule, satellite, zenith_deg, minute):
    real = REFERENCE / f"{granule}.Fmask.tif"
    with rasterio.open(real) as raster:
        numbers, tags = raster.read(1), raster.tags()
    mask = read_fmask(real)
    assert (mask.cloud == ((numbers & 2) > 0) & (numbers != 255)).all() and mask.water.any()
    for band in ("B02", "B03"):
        write_band(tmp_path / f"{granule}.{band}.tif", counts(1, "int16", 0, 9_999), tags=tags, nodata=-9999)
    facts = open_hls(tmp_path).facts
    assert (facts.satellite, facts.sun_zenith_deg, facts.acquired.minute) == (satellite, zenith_deg, minute)
