"""Output names whose suffix promises another form are refused before any work, by every command."""

from __future__ import annotations

import pytest

from spectf_cloud.__main__ import main

from scene_files import arrays, raster, write_emit
from small_scenes import make_mask, make_scene


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a granule and its probability."""
    folder = tmp_path_factory.mktemp("suffixes")
    for path, name in zip(write_emit(folder, arrays()), ("rad.nc", "obs.nc"), strict=True):
        path.rename(folder / name)
    make_mask(make_scene(9, 8)).to_probability_geotiff(folder / "p.tif")
    return folder


DEPLOY = ("deploy-pt", "m.tif", "obs.nc", "rad.nc")


@pytest.mark.parametrize(
    ("command", "end"),
    [
        (("deploy-pt", "m.nc", "obs.nc", "rad.nc"), ".tif"),
        (("deploy-pt", "m.png", "obs.nc", "rad.nc"), ".tif"),
        (("deploy-pt", "M.IMG", "obs.nc", "rad.nc", "--proba"), ".tif"),
        (("deploy-trt", "m.h5", "obs.nc", "rad.nc"), ".tif"),
        ((*DEPLOY, "--ortho", "x.png"), ".tif"),
        ((*DEPLOY, "--netcdf", "x.tif"), ".nc"),
        ((*DEPLOY, "--netcdf", "x.h5"), ".nc"),
        ((*DEPLOY, "--quicklook", "x.tif"), ".png"),
        ((*DEPLOY, "--quicklook", "x.JPG"), ".png"),
        (("threshold", "p.tif", "x.png"), ".tif"),
        (("threshold", "p.tif", "x.nc"), ".tif"),
        (("explain", "rad.nc", "--obs", "obs.nc", "--pixel", "1,1", "--out", "x.tif"), ".png"),
        (("explain", "rad.nc", "--obs", "obs.nc", "--pixel", "1,1", "--out", "x.json"), ".png"),
        (("export", "onnx", "x.pt"), ".onnx"),
        (("export", "engine", "x.onnx", "rad.nc"), ".engine"),
        (("dataset", "simulate", "x.csv"), ".h5"),
    ],
)
def test_refused_with_the_suffix_that_is_expected(place, monkeypatch, capsys, command, end):
    monkeypatch.chdir(place)
    before = set(place.iterdir())
    assert main(command) == 2
    error = capsys.readouterr().err
    assert f"use a name that ends in {end}" in error and error.count("\n") == 1
    assert set(place.iterdir()) == before


@pytest.mark.parametrize("name", ["out.TIF", "out", "out.v0.51", "out.tiff"])
def test_other_names_are_as_good_as_ever(place, monkeypatch, tmp_path, name):
    monkeypatch.chdir(place)
    assert main(["threshold", "p.tif", str(tmp_path / name), "-q"]) == 0
    with raster(tmp_path / name) as dataset:
        assert dataset.driver == "GTiff"
