"""Whatever is made from a simulated granule says so, and nothing else does."""

from __future__ import annotations

import json

import h5netcdf
import numpy as np
import pytest
import rasterio
from PIL import Image

from spectf_cloud.archive.job import Settings
from spectf_cloud.archive.run import ArchiveJob, run_archive
from spectf_cloud.dataset import open_cube, open_scene
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.products import panels, quicklook
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.flags import SIMULATED_TAG
from spectf_cloud.products.rethreshold import rethreshold
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.granule import simulate_granule

from archives import write_granule
from scene_files import raster
from small_scenes import TAGS, make_mask, make_scene

SIMULATED, REAL = "simulated", "real"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of the products of a simulated granule and of one that says nothing, and the archive of both."""
    folder = tmp_path_factory.mktemp("mark")
    simulate_granule(folder / "in", SimulationConfig(lines=12, samples=14, seed=2))
    write_granule(folder / "in", 0)
    settings = Settings(MaskOptions(fidelity="exact"), probability=True, ortho=True, netcdf=True, quicklook=True)
    report = run_archive(ArchiveJob((str(folder / "in"),), folder / "out", settings, engine="serial"))
    assert report.masked == 2
    folders = {path.parent.name: path.parent for path in folder.glob("out/*/*/*/*/receipt.json")}
    real = folders.pop("emit20240201t040506")
    return {SIMULATED: next(iter(folders.values())), REAL: real, "out": folder / "out", "in": folder / "in"}


def test_a_reader_tells_the_one_from_the_other(made):
    told = {path.name[17:25]: open_scene(path).simulated for path in made["in"].glob("*RAD*.nc")}
    assert told.pop("20240201") is False and list(told.values()) == [True]


@pytest.fixture(scope="module")
def envi_pair(tmp_path_factory):
    """Header and data of simulated radiance in ENVI form."""
    folder = tmp_path_factory.mktemp("envi")
    simulate_granule(folder, SimulationConfig(lines=8, samples=9, seed=2, format="envi"))
    return next(folder.glob("*_rdn_*.hdr")), next(folder.glob("*_rdn_*.img"))


def test_an_envi_header_says_it_too(envi_pair):
    header, data = envi_pair
    assert open_cube(data).simulated
    text = header.read_text()
    for before, after in (("{SIMULATED", "{\n  SIMULATED"), ("{SIMULATED", "{not SIMULATED")):
        header.write_text(text.replace(before, after))
        assert open_cube(data).simulated is (after != "{not SIMULATED")
    header.write_text(text)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("where", ["header", "tag", "nowhere"])
def test_a_tiff_of_simulated_radiance_is_known(envi_pair, tmp_path, where):
    tags = {"NC_GLOBAL#simulated": "SIMULATED by spectf-cloud"} if where == "tag" else {"title": "a SIMULATED one"}
    path = tmp_path / "rdn.tif"
    with rasterio.open(path, "w", driver="GTiff", width=9, height=8, count=285, dtype="float32") as dataset:
        dataset.update_tags(**tags)
    if where == "header":
        (tmp_path / "rdn.hdr").write_text(envi_pair[0].read_text().replace("ENVI Standard", "TIFF"))
    assert open_cube(path).simulated is (where != "nowhere")


@pytest.mark.parametrize(("kind", "expected"), [(SIMULATED, True), (REAL, False)])
def test_every_product_is_marked_or_not(made, kind, expected):
    def product(ending):
        return next(made[kind].glob(f"*{ending}"))

    for ending in ("_mask.tif", "_mask_prob.tif", "_ortho.tif"):
        with raster(product(ending)) as dataset:
            assert (SIMULATED_TAG in dataset.tags()) is expected
    with h5netcdf.File(product("_mask.nc")) as file:
        assert (SIMULATED_TAG in file.attrs) is expected and ("comment" in file.attrs) is expected
        assert file.attrs["title"].startswith("SIMULATED") is expected
    with Image.open(product("_quicklook.png")) as picture:
        assert (SIMULATED_TAG in picture.text) is expected


@pytest.mark.parametrize("ending", ["_prob.tif", "_mask.nc"])
@pytest.mark.parametrize(("kind", "expected"), [(SIMULATED, True), (REAL, False)])
def test_a_mask_made_again_keeps_the_mark(made, tmp_path, ending, kind, expected):
    rethreshold(next(made[kind].glob(f"*{ending}")), tmp_path / "again.tif", 0.3)
    with raster(tmp_path / "again.tif") as dataset:
        assert (SIMULATED_TAG in dataset.tags()) is expected


def test_stac_and_page_are_marked(made):
    for kind, expected in ((SIMULATED, True), (REAL, False)):
        item = json.loads((made[kind] / f"{made[kind].name}.json").read_text())
        assert item["properties"].get("spectf:simulated", False) is expected
        assert item["properties"]["title"].startswith("SIMULATED") is expected
    page = (made["out"] / "browse.html").read_text()
    data = json.loads(page.split("const data = ")[1].split(";\n")[0])
    assert {entry["id"]: entry.get("s", 0) for entry in data["done"]} == {
        made[SIMULATED].name: 1,
        made[REAL].name: 0,
    }
    assert page.count("SIMULATED") >= 2  # where the page shows an entry


def test_the_word_is_on_the_picture():
    plain = make_mask(make_scene(60, 70))
    marked = CloudMask(plain.scene, plain.probability, plain.threshold, {**TAGS, SIMULATED_TAG: "yes"}, plain.preview)
    pages = [np.asarray(quicklook.render(mask)).astype(int) for mask in (marked, plain)]
    rows = np.flatnonzero((pages[0] != pages[1]).any(axis=(1, 2)))
    header = 7 * 14  # of the smallest text
    assert len(rows) and rows.max() < 2 * header  # nothing else changed
    inked = (np.abs(pages[0] - panels.OUTLINE).sum(axis=2) < 30)[: rows.max() + 1]
    assert inked.sum() > 100 and np.ptp(np.nonzero(inked)[1]) > 100
    assert "SIMULATED" in quicklook.to_html(marked) and "SIMULATED" not in quicklook.to_html(plain)
    assert marked.to_xarray().attrs["title"].startswith("SIMULATED")
