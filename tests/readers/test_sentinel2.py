"""Sentinel-2 products, written here as the specification says: values, grids, forms of delivery, and damage."""

import re
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from spectf_cloud.errors import InputError, SpectfError, UsageError
from spectf_cloud.readers.metadata_xml import read_xml
from spectf_cloud.readers.sensor_yaml import known_sensor
from spectf_cloud.readers.sentinel2 import is_sentinel2, open_sentinel2
from spectf_cloud.readers.sentinel2_metadata import SunGrid, read_product, read_tile, width_at_half
from spectf_cloud.tokens import Tokens

NAMES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
PIXEL_M = dict(zip(NAMES, (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20), strict=True))
CENTRE_NM = (443, 493, 560, 665, 704, 741, 783, 833, 865, 945, 1374, 1614, 2202)
EXTENT_M = 720, 600  # south and east
GRANULE = "L1C_T32UMA_A032448_20210908T043714"
OFFSETS = {name: -1000 - number for number, name in enumerate(NAMES)}


def numbers(name):
    """Stored numbers of one band, among them 0, saturated and ones below the offset."""
    shape = [length // PIXEL_M[name] for length in EXTENT_M]
    values = np.random.default_rng(NAMES.index(name)).integers(1, 12_000, shape, np.uint16)
    values[-max(1, 80 // PIXEL_M[name]) :, :3] = 0
    values[0, 1], values[0, 0] = 0, 65535
    return values


def expected(name, offset, resolution_m):
    """What the format's definition makes of the numbers, float64, one coarse pixel after the other."""
    stored = numbers(name)
    rho = np.where(stored == 0, np.nan, (np.minimum(stored, 65534).astype(float) + offset) / 10_000)
    if PIXEL_M[name] >= resolution_m:
        return np.kron(rho, np.ones((PIXEL_M[name] // resolution_m,) * 2))
    step = resolution_m // PIXEL_M[name]
    coarse = np.full([length // step for length in rho.shape], np.nan)
    for line, sample in np.ndindex(*coarse.shape):
        block = rho[line * step : (line + 1) * step, sample * step : (sample + 1) * step]
        if not np.isnan(block).all():
            coarse[line, sample] = np.nanmean(block)
    return coarse


def image_name(name, level):
    """L1C: one file a band; L2A: one folder a resolution."""
    stem = f"GRANULE/{GRANULE}/IMG_DATA/"
    return f"{stem}T32_{name}" if level == "1C" else f"{stem}R{PIXEL_M[name]}m/T32_{name}_{PIXEL_M[name]}m"


def product_xml(level="1C", offsets=OFFSETS, names=NAMES, spectral=True):
    tags = {"1C": ("", "RADIO_ADD_OFFSET"), "2A": ("BOA_", "BOA_ADD_OFFSET")}[level]
    images = [image_name(name, level) for name in names if level == "1C" or name != "B10"]
    if level == "2A":  # also at coarser pixels, which must not be taken
        images = [image_name("B02", level).replace("10m", "60m"), *images]
    listed = "".join(f"<IMAGE_FILE>{image}</IMAGE_FILE>" for image in [*images, f"GRANULE/{GRANULE}/IMG_DATA/T32_TCI"])
    added = "".join(
        f'<{tags[1]} band_id="{NAMES.index(name)}">{value}</{tags[1]}>' for name, value in (offsets or {}).items()
    )
    bands = "".join(
        f'<Spectral_Information bandId="{number}" physicalBand="B{name[1:].lstrip("0")}"><RESOLUTION>{PIXEL_M[name]}'
        f'</RESOLUTION><Wavelength><MIN>1</MIN><CENTRAL unit="nm">{centre}</CENTRAL></Wavelength><Spectral_Response>'
        "<STEP>2</STEP><VALUES>0 0.25 1 1 0</VALUES></Spectral_Response></Spectral_Information>"
        for number, (name, centre) in enumerate(zip(NAMES, CENTRE_NM, strict=True))
    )
    return (
        f'<n1:Level-{level}_User_Product xmlns:n1="https://psd-15.example/x.xsd"><Product_Info>'
        "<PRODUCT_START_TIME>2021-09-08T04:27:01.024Z</PRODUCT_START_TIME><PRODUCT_URI>S2A_X.SAFE</PRODUCT_URI>"
        "<PROCESSING_BASELINE>05.00</PROCESSING_BASELINE><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>"
        f"<Granule_List><Granule>{listed}</Granule></Granule_List></Product_Info>"
        f"<{tags[0]}QUANTIFICATION_VALUE>10000</{tags[0]}QUANTIFICATION_VALUE><List>{added}</List>"
        f"<Spectral_Information_List>{bands if spectral else ''}</Spectral_Information_List>"
        f"</n1:Level-{level}_User_Product>"
    )


def tile_xml(extent_m=EXTENT_M):
    sizes = "".join(
        f'<Size resolution="{pixel}"><NROWS>{extent_m[0] // pixel}</NROWS><NCOLS>{extent_m[1] // pixel}</NCOLS></Size>'
        f'<Geoposition resolution="{pixel}"><ULX>399960</ULX><ULY>5700000</ULY><XDIM>{pixel}</XDIM>'
        f"<YDIM>-{pixel}</YDIM></Geoposition>"
        for pixel in (10, 20, 60)
    )
    grids = "".join(
        f"<{name}><COL_STEP>500</COL_STEP><ROW_STEP>400</ROW_STEP><Values_List>"
        + "".join(f"<VALUES>{' '.join(f'{base + 4 * i + 5 * j}' for j in range(3))}</VALUES>" for i in range(3))
        + f"</Values_List></{name}>"
        for name, base in (("Zenith", 30), ("Azimuth", 355))
    )
    return (
        '<n1:Level-1C_Tile_ID xmlns:n1="x"><SENSING_TIME>2021-09-08T04:40:48.75Z</SENSING_TIME>'
        f"<HORIZONTAL_CS_CODE>EPSG:32632</HORIZONTAL_CS_CODE>{sizes}<Sun_Angles_Grid>{grids}</Sun_Angles_Grid>"
        "<Mean_Sun_Angle><ZENITH_ANGLE>26.5</ZENITH_ANGLE><AZIMUTH_ANGLE>143</AZIMUTH_ANGLE></Mean_Sun_Angle>"
        "</n1:Level-1C_Tile_ID>"
    )


def write_image(path, values, block=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixel = EXTENT_M[0] // values.shape[0]
    options = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO", "BLOCKXSIZE": block, "BLOCKYSIZE": block}
    place = {"crs": "EPSG:32632", "transform": from_origin(399960, 5700000, pixel, pixel)}
    height, width = values.shape
    with rasterio.open(path, "w", "JP2OpenJPEG", width, height, 1, dtype=values.dtype, **place, **options) as raster:
        raster.write(values, 1)


def write_product(folder, level="1C", **changed):
    for name in NAMES:
        if level == "1C" or name != "B10":
            write_image(folder / f"{image_name(name, level)}.jp2", numbers(name))
    (folder / f"MTD_MSIL{level}.xml").write_text(product_xml(level, **changed))
    (folder / "GRANULE" / GRANULE / "MTD_TL.xml").write_text(tile_xml())
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One L1C product, only to be read."""
    return write_product(tmp_path_factory.mktemp("s2") / "S2A_MSIL1C_X.SAFE")


@pytest.fixture
def safe(written, tmp_path):
    """A copy of it to damage."""
    return shutil.copytree(written, tmp_path / "S2A_MSIL1C_X.SAFE")


@pytest.mark.parametrize("resolution_m", [None, 10, 20, 60])
def test_values_are_those_of_the_definition(written, resolution_m):
    scene = open_sentinel2(written, resolution_m)
    cube, pixel = scene.image, resolution_m or 20
    assert (scene.lines, scene.samples, scene.quantity) == (720 // pixel, 600 // pixel, "toa_reflectance")
    truth = np.stack([expected(name, OFFSETS[name], pixel) for name in NAMES], axis=-1)
    read = cube.read(0, scene.lines)
    assert read.dtype == np.float32 and (truth[~np.isnan(truth)] < 0).any()
    np.testing.assert_allclose(read, truth, rtol=0, atol=1e-6)
    assert cube.grid().geotransform == (399960, pixel, 0, 5700000, 0, -pixel)
    assert rasterio.crs.CRS.from_wkt(cube.grid().crs_wkt).to_epsg() == 32632


@pytest.mark.parametrize("resolution_m", [10, 20, 60])
def test_no_value_depends_on_how_it_is_read(written, resolution_m):
    scene = open_sentinel2(written, resolution_m)
    whole = scene.image.read(0, scene.lines)
    other = open_sentinel2(written, resolution_m)
    parts = [other.image.read(*ends) for ends in list(other.blocks(11))[::-1]]
    np.testing.assert_array_equal(np.concatenate(parts[::-1]), whole)
    again = np.concatenate([scene.image.read(*ends, np.array([9, 1, 4])) for ends in scene.blocks(7)])
    np.testing.assert_array_equal(again, whole[..., [9, 1, 4]])


def test_saturated_values_are_bright_and_counted(written):
    cube = open_sentinel2(written, 10).image
    assert cube.notes == ()
    assert cube.read(0, 1, np.array([1]))[0, 0, 0] == np.float32((65534 + OFFSETS["B02"]) / 10_000)
    for _ in range(2):  # counted once, however often they are read
        cube.read(0, cube.lines)
        assert cube.saturated == 13 and "13 stored values are saturated (65535)" in cube.notes[0]


def test_level_2a_is_surface_reflectance_of_the_native_images(tmp_path):
    folder = write_product(tmp_path / "cut name", "2A", offsets=dict.fromkeys(NAMES, -900))
    scene = open_sentinel2(folder)
    names = [name for name in NAMES if name != "B10"]
    assert scene.quantity == "surface_reflectance" and scene.image.band_names == tuple(names)
    truth = np.stack([expected(name, -900, 20) for name in names], axis=-1)
    np.testing.assert_allclose(scene.image.read(0, 36), truth, rtol=0, atol=1e-6)
    assert scene.image.facts.level == "L2A" and "surface reflectance" in scene.image.facts.notes[0]
    tokens = Tokens.of_scene(scene, min_bands=3)
    np.testing.assert_allclose(tokens.read_line(scene, 9), truth[9], rtol=0, atol=1e-6)


def test_without_a_list_of_offsets_nothing_is_added(safe):
    (safe / "MTD_MSIL1C.xml").write_text(product_xml(offsets=None))
    read = open_sentinel2(safe, 60).image.read(0, 12, np.array([0]))
    np.testing.assert_allclose(read[..., 0], expected("B01", 0, 60), atol=1e-6)


def test_what_the_product_says(written):
    scene = open_sentinel2(written)
    facts, sensor = scene.image.facts, scene.sensor
    assert facts.product == "Sentinel-2 L1C, processing baseline 05.00" and scene.name == "S2A_X"
    assert facts.acquired == datetime(2021, 9, 8, 4, 40, 48, 750_000, UTC)
    assert (facts.sun_zenith_deg, facts.sun_azimuth_deg, facts.satellite) == (26.5, 143, "Sentinel-2A")
    assert sensor.name == "Sentinel-2A MSI" and sensor.wavelength_nm.tolist() == list(CENTRE_NM)
    np.testing.assert_allclose(sensor.fwhm_nm, 2 * (2 / 3 + 1 + 1 / 2))  # steps of 2 nm, linear between them
    assert len(scene.files) == 15 and all(file.is_file() for file in scene.files)


def test_the_suns_grid_is_bilinear_at_pixel_centres(written):
    cube = open_sentinel2(written, 20).image
    zenith, azimuth = cube.read_sun_deg(3, 30)
    south, east = ((np.arange(3, 30) + 0.5) * 20)[:, None], ((np.arange(30) + 0.5) * 20)[None]
    np.testing.assert_allclose(zenith, 30 + 4 * south / 400 + 5 * east / 500, rtol=1e-12)  # the nodes are a plane
    # Azimuths cross north; between directions 5 degrees apart the chord is within 0.01 degrees of the arc.
    np.testing.assert_allclose((azimuth - 355 - 4 * south / 400 - 5 * east / 500 + 180) % 360 - 180, 0, atol=0.01)
    line = SunGrid(np.array([[0.0, 10], [20, 30]]), np.zeros((2, 2)), 100, 100)
    assert line.at(np.array([100.0]), np.array([0.0, 50]))[0].tolist() == [[20, 25]]


def pack(folder, path, method):
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}")
    return path


FORMS = {
    "folder": lambda safe: safe,
    "renamed": lambda safe: safe.rename(safe.with_name("mine")),
    "around it": lambda safe: safe.parent,
    "metadata": lambda safe: safe / "MTD_MSIL1C.xml",
    "granules": lambda safe: safe / "GRANULE",
    "granule": lambda safe: safe / "GRANULE" / GRANULE,
    "tile metadata": lambda safe: safe / "GRANULE" / GRANULE / "MTD_TL.xml",
    "image": lambda safe: safe / f"{image_name('B05', '1C')}.jp2",
    "stored zip": lambda safe: pack(safe, safe.with_name("x.zip"), zipfile.ZIP_STORED),
    "deflated zip": lambda safe: pack(safe, safe.with_name("y.zip"), zipfile.ZIP_DEFLATED),
    "lower case": lambda safe: (safe / "MTD_MSIL1C.xml").rename(safe / "mtd_msil1c.xml").parent,
    "renamed granule": lambda safe: (safe / "GRANULE" / GRANULE).rename(safe / "GRANULE" / "L1C_[T]").parents[1],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_the_same(written, safe, form):
    path = FORMS[form](safe)
    assert is_sentinel2(path)
    scene = open_sentinel2(path, 60)
    np.testing.assert_array_equal(scene.image.read(2, 11), open_sentinel2(written, 60).image.read(2, 11))
    assert all(file.is_file() for file in scene.files)


def test_what_is_no_product_is_not_taken_for_one(safe, tmp_path):
    (safe / "mine").mkdir()
    (safe / "mine" / "other.xml").write_text("<A/>")
    (safe / "mask.tif").write_bytes(b"II*\0")
    for path in (safe / "mine", safe / "mine" / "other.xml", safe / "mask.tif", tmp_path / "none", tmp_path / "a\0b"):
        assert not is_sentinel2(path)
    with pytest.raises(InputError, match="it has no MTD_MSIL1C"):
        open_sentinel2(safe / "mine")


def test_two_products_and_another_resolution_are_refused(safe):
    shutil.copytree(safe, safe.with_name("B.SAFE"))
    with pytest.raises(InputError, match=r"holds 2 Sentinel-2 products \(B\.SAFE/MTD_MSIL1C\.xml, S2A_MSIL1C_X"):
        open_sentinel2(safe.parent)
    with pytest.raises(UsageError, match="not read at 30 m; choose one of 10, 20 and 60 m"):
        open_sentinel2(safe, 30)


def swap(name, old, new):
    def damage(safe):
        path = safe / name
        text = path.read_text()
        assert re.search(old, text)
        path.write_text(re.sub(old, new, text))

    return damage


def cut(name, keep):
    return lambda safe: (safe / name).write_bytes((safe / name).read_bytes()[:keep])


MTD, TILE, B05 = "MTD_MSIL1C.xml", f"GRANULE/{GRANULE}/MTD_TL.xml", f"{image_name('B05', '1C')}.jp2"
DAMAGE = {
    "truncated XML": (cut(MTD, 900), "not whole XML"),
    "truncated tile": (cut(TILE, 300), r"MTD_TL\.xml is not whole XML"),
    "no tile": (lambda safe: (safe / TILE).unlink(), r"MTD_TL\.xml cannot be read"),
    "entities": (swap(MTD, "^", "<!DOCTYPE x [<!ENTITY a 'b'>]>"), "defines entities"),
    "other level": (swap(MTD, "-1C_User", "-1B_User"), "Level-1B_User_Product, not a Level-1C"),
    "several tiles": (swap(MTD, "<Granule>", "<Granule></Granule><Granule>"), "lists 2 tiles"),
    "leads out": (swap(MTD, r"GRANULE/\S+?T32_B05", "../../../etc/T1_B05"), "image of B05.*is missing"),
    "no image": (lambda safe: (safe / B05).unlink(), "image of B05.*is missing; download"),
    "no centre": (swap(MTD, ">443<", ">-443<"), r"MTD_MSIL1C\.xml: Sentinel-2A MSI: band centres must be positive"),
    "no time": (swap(TILE, "2021-09-08T04:40:48.75Z", "0001-01-01T00:00+14:00"), "is not a time"),
    "no scale": (swap(MTD, ">10000<", ">0<"), "QUANTIFICATION_VALUE is 0"),
    "scale of nothing": (swap(MTD, ">10000<", ">nan<"), "'nan', not a number"),
    "offset of some": (swap(MTD, 'band_id="8"', 'band_id="80"'), "not for B8A"),
    "flat response": (swap(MTD, "0 0.25 1 1 0", "0 0 0"), "has no width"),
    "no grid": (swap(TILE, 'Size resolution="20"', 'Size resolution="25"'), "has no Size of resolution 20"),
    "odd size": (swap(TILE, "<NROWS>36<", "<NROWS>35<"), "35 lines x 30 samples of 20 m are no tile"),
    "immense": (swap(TILE, "<NROWS>36<", "<NROWS>3e12<"), "is the file damaged"),
    "other map": (swap(TILE, "EPSG:32632", "/etc/passwd"), "a UTM zone such as"),
    "other pixels": (swap(TILE, "<XDIM>20<", "<XDIM>30<"), "pixels of 30 x -20 m"),
    "no sun": (swap(TILE, "<VALUES>30 35", "<VALUES>30"), "grid of the sun's angles"),
    "truncated image": (cut(B05, 900), r"T32_B05\.jp2: cannot be read as JPEG 2000"),
    "empty image": (cut(B05, 0), "cannot be read as JPEG 2000"),
    "other image": (lambda safe: write_image(safe / B05, numbers("B04")), "of 72 x 60 uint16, but the metadata"),
    "other type": (lambda safe: write_image(safe / B05, numbers("B05").astype("u1")), "36 x 30 uint8, but"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_costs_one_line(safe, case):
    damage, message = DAMAGE[case]
    damage(safe)
    with pytest.raises(InputError, match=message) as error:
        open_sentinel2(safe).image.read(0, 36)
    assert "\n" not in str(error.value)


def test_large_tiles_cut_short_are_noticed(tmp_path):
    """GDAL decodes these in several threads, where it may, and then only prints that one failed."""
    values = np.random.default_rng(0).integers(1, 12_000, (192, 1830), np.uint16)
    images = [tmp_path / f"{image_name(name, '1C')}.jp2" for name in ("B01", "B09")]
    for image in images:
        write_image(image, values, block=192)
    (tmp_path / MTD).write_text(product_xml(names=("B01", "B09")))
    (tmp_path / TILE).write_text(tile_xml((192 * 60, 1830 * 60)))
    stored = open_sentinel2(tmp_path, 60).image.read(0, 192)[..., 0] * 10_000 - OFFSETS["B01"]
    np.testing.assert_array_equal(stored.round(), values)
    cut(images[1], images[1].stat().st_size * 9 // 10)(tmp_path)
    with pytest.raises(InputError, match=r"T32_B09\.jp2: cannot be read as JPEG 2000"):
        open_sentinel2(tmp_path, 60).image.read(0, 192)


def test_bands_that_are_not_listed_are_named(safe):
    (safe / MTD).write_text(product_xml(names=[name for name in NAMES if name not in ("B09", "B10")]))
    scene = open_sentinel2(safe)
    assert scene.image.bands == 11 and "no image of B09, B10" in scene.image.facts.notes[0]


def test_without_spectral_information_the_satellite_decides(safe):
    (safe / MTD).write_text(product_xml(spectral=False))
    assert open_sentinel2(safe).sensor.wavelength_nm[12] == 2202.4
    swap(MTD, "Sentinel-2A", "Sentinel-2Z")(safe)
    with pytest.raises(InputError, match="Sentinel-2Z no nominal one"):
        open_sentinel2(safe)


def test_hostile_zips_cost_a_line(written, tmp_path):
    path = pack(written, tmp_path / "x.zip", zipfile.ZIP_STORED)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../out.xml", "")
    assert not is_sentinel2(path)
    with pytest.raises(InputError, match="leads out"):
        open_sentinel2(path)


def mutated(content, seed):
    """Bytes with a few flipped, or cut short, or a digit turned into a letter."""
    rng = np.random.default_rng(seed)
    changed = bytearray(content)
    digits = [place for place, byte in enumerate(content) if byte in b"0123456789"]
    for _ in range(rng.integers(1, 6)):
        if seed % 2:
            changed[rng.integers(len(content))] = rng.integers(0, 256)
        else:
            changed[rng.choice(digits)] = rng.choice(list(b"09-.en x"))
    return bytes(changed[: rng.integers(1, len(changed))] if seed % 5 == 0 else changed)


@pytest.mark.parametrize(("read", "text"), [(read_product, product_xml()), (lambda *x: read_tile(*x, 20), tile_xml())])
def test_only_our_errors_escape_from_damaged_metadata(read, text):
    for seed in range(300):
        try:
            read(mutated(text.encode(), seed), "MTD.xml")
        except SpectfError as error:
            assert "\n" not in str(error), seed


def test_only_our_errors_escape_from_damaged_images(safe):
    content = (safe / B05).read_bytes()
    for seed in range(60):
        (safe / B05).write_bytes(mutated(content, seed))
        try:
            open_sentinel2(safe).image.read(0, 36, np.array([4]))
        except SpectfError as error:
            assert "\n" not in str(error), seed


@pytest.mark.parametrize(
    ("response", "width"), [([0, 1, 0], 1.0), ([1, 1], 1.0), ([0, 1, 1, 0], 2.0), ([0, 0, 4, 1, 4, 0], 3.0), ([5], 0)]
)
def test_width_at_half(response, width):
    assert width_at_half(np.array(response, float)) == width


REAL = {
    "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE": (32646, 0, 442.7, 26.4932),
    "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCS_20230626T022157.SAFE": (32601, -1000, 442.7, 45.6),
    "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE": (32633, -1000, 442.3, 76.3),
}


@pytest.mark.parametrize("name", REAL)
def test_real_metadata(reference, name):
    folder = reference / "formats" / "sentinel2" / name
    zone, offset, first_nm, zenith_deg = REAL[name]
    (path,) = folder.glob("MTD_MSIL*.xml")
    assert is_sentinel2(folder) and read_xml(path.read_bytes(), name).tag.endswith("User_Product")
    product = read_product(path.read_bytes(), name)
    assert {band.offset for band in product.bands} == {offset} and product.quantification == 10_000
    assert product.bands[0].centre_nm == first_nm and product.name == name.removesuffix(".SAFE")
    assert {band.name: band.resolution_m for band in product.bands} == {
        band: pixel for band, pixel in PIXEL_M.items() if "L1C" in name or band != "B10"
    }
    for band in product.bands:  # ESA's table is of the same satellites, made with other responses
        centre_nm, fwhm_nm = known_sensor(product.satellite).by_name[band.name]
        assert band.centre_nm == pytest.approx(centre_nm, abs=0.5) and band.fwhm_nm == pytest.approx(fwhm_nm, abs=2.5)
    (path,) = folder.glob("GRANULE/*/MTD_TL.xml")
    for pixel in (10, 20, 60):
        tile = read_tile(path.read_bytes(), name, pixel)
        assert tile.lines == tile.samples == 109_800 // pixel
        assert rasterio.crs.CRS.from_wkt(tile.grid.crs_wkt).to_epsg() == zone
    assert tile.sun.zenith_deg.shape == (23, 23)
    assert tile.sun_zenith_deg == pytest.approx(zenith_deg, abs=0.3)
    assert tile.sun.zenith_deg.mean() == pytest.approx(tile.sun_zenith_deg, abs=0.1)


@pytest.mark.parametrize(("script", "level"), [("s2_recipe.py", "1C"), ("s2_l2a_recipe.py", "2A")])
def test_the_recipes_open_unmodified(reference, tmp_path, script, level):
    recipe = reference / "formats" / "recipes" / script
    # The second one ends with another reader, which need not be there: what it wrote by then counts.
    subprocess.run([sys.executable, recipe], cwd=tmp_path, capture_output=True, check=level == "1C", timeout=300)
    (folder,) = tmp_path.rglob("*.SAFE")
    scene = open_sentinel2(folder)
    assert scene.image.bands == (13 if level == "1C" else 12) and (scene.lines, scene.samples) == (183, 183)
    read = scene.image.read(0, 183)
    if level == "2A":
        np.testing.assert_allclose(read, 0.2, atol=1e-6)  # 3000 stored, -1000 added
        return
    (path,) = folder.glob("GRANULE/*/IMG_DATA/*_B8A.jp2")
    with rasterio.open(path) as raster:
        np.testing.assert_allclose(read[..., 8], (raster.read(1) - 1000.0) / 10_000, atol=1e-6)
    np.testing.assert_array_equal(open_sentinel2(tmp_path / "S2A.zip").image.read(0, 183), read)
