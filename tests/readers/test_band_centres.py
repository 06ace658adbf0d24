"""Where a TIFF notes its bands: every place gives the same sensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

import spectf_cloud as sc
from spectf_cloud.errors import InputError
from spectf_cloud.readers.raster import open_cube

from rasters import CENTRES_NM, WIDTHS_NM, reflectance, write_raster

ENMAP = Path("/work/shared/reference/multisensor/enmap/images")
TRUTH = reflectance().astype("f4")


def each(**columns):
    return [{key: str(values[band]) for key, values in columns.items()} for band in range(6)]


IN_UM = [round(centre / 1000, 6) for centre in CENTRES_NM]
WIDTHS_UM = [round(width / 1000, 6) for width in WIDTHS_NM]
BANDS = {
    "upper case": ("", each(WAVELENGTH=CENTRES_NM, FWHM=WIDTHS_NM, WAVELENGTH_UNITS=["nm"] * 6)),
    "micrometres": ("", each(wavelength=IN_UM, fwhm=WIDTHS_UM, wavelength_units=["Micrometers"] * 6)),
    "central": ("", each(CENTRAL_WAVELENGTH=CENTRES_NM, BANDWIDTH=WIDTHS_NM)),
    "GDAL": ("IMAGERY", each(CENTRAL_WAVELENGTH_UM=IN_UM, FWHM_UM=WIDTHS_UM)),
}


@pytest.mark.parametrize("case", BANDS)
def test_tags_of_each_band(tmp_path, case):
    domain, rows = BANDS[case]
    path = write_raster(tmp_path / "x.tif", TRUTH, tags=False)
    with rasterio.open(path, "r+") as raster:
        for band, tags in enumerate(rows, start=1):
            raster.update_tags(band, ns=domain, **tags)
    sensor = open_cube(path).sensor
    np.testing.assert_allclose(sensor.wavelength_nm, CENTRES_NM)
    np.testing.assert_allclose(sensor.fwhm_nm, WIDTHS_NM)


def test_lists_of_the_file(tmp_path):
    path = write_raster(tmp_path / "x.tif", TRUTH, tags=False)
    lists = {"wavelength": CENTRES_NM, "fwhm": WIDTHS_NM}
    with rasterio.open(path, "r+") as raster:
        told = {key: "{" + ", ".join(map(str, values)) + "}" for key, values in lists.items()}
        raster.update_tags(ns="ENVI", wavelength_units="Nanometers", **told)
    sensor = open_cube(path).sensor
    np.testing.assert_allclose(sensor.wavelength_nm, CENTRES_NM)
    np.testing.assert_allclose(sensor.fwhm_nm, WIDTHS_NM)


NAMES = {
    "Band {band} ({nm:.1f} nm)": CENTRES_NM,
    "B{band}A, central wavelength {nm:.0f} nm": np.round(CENTRES_NM),
    "band {band} ({nm} Nanometers)": CENTRES_NM,
    "{um} µm": CENTRES_NM,
    "Band_{nm:.0f}": np.round(CENTRES_NM),
}


@pytest.mark.parametrize("form", NAMES)
def test_names_of_bands(tmp_path, form):
    names = tuple(form.format(band=b + 1, nm=nm, um=round(nm / 1000, 6)) for b, nm in enumerate(CENTRES_NM))
    sensor = open_cube(write_raster(tmp_path / "x.tif", TRUTH, tags=False, names=names)).sensor
    np.testing.assert_allclose(sensor.wavelength_nm, NAMES[form])


@pytest.mark.parametrize("form", ["Band {}", "B{}", "band_{}", "{}", "4{} nm to 5{} nm"])
def test_names_that_only_count_say_nothing(tmp_path, form):
    names = tuple(form.replace("{}", str(band)) for band in range(1, 7))
    assert open_cube(write_raster(tmp_path / "x.tif", TRUTH, tags=False, names=names)).sensor is None


def test_bad_bands_by_their_tags(tmp_path):
    path = write_raster(tmp_path / "x.tif", TRUTH)
    with rasterio.open(path, "r+") as raster:
        for band in raster.indexes:
            raster.update_tags(band, bbl="0" if band in (2, 5) else "1")
    assert open_cube(path).marked_bad == sc.open_raster(path).image.marked_bad == (1, 4)


@pytest.mark.parametrize("text", ["green", "nan", "-5", "0", "1e400", ""])
def test_centres_that_are_none_cost_one_line(tmp_path, text):
    path = write_raster(tmp_path / "x.tif", TRUTH)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(3, wavelength=text)
    with pytest.raises(InputError, match=r"x\.tif") as caught:
        sc.open_raster(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not ENMAP.is_dir(), reason="the reference is not on this machine")
def test_real_chips_of_enmap_box():
    path = next(iter(sorted(ENMAP.glob("*.tif"))))
    scene = sc.open_raster(path)
    with rasterio.open(path) as raster:
        centres = [float(raster.tags(band)["wavelength"]) for band in raster.indexes]
        truth = np.moveaxis(raster.read(), 0, -1).astype(np.float64) * raster.scales
        bad = [band - 1 for band in raster.indexes if raster.tags(band)["bbl"] == "0"]
        valid = np.moveaxis(raster.read_masks(), 0, -1) > 0
    np.testing.assert_allclose(scene.sensor.wavelength_nm, centres)
    assert list(scene.image.marked_bad) == bad
    np.testing.assert_allclose(scene.image.read(0, scene.lines)[valid], truth[valid], rtol=1e-5)
