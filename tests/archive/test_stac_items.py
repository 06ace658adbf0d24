import csv
import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet
import pystac
import pytest
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.eo import EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from shapely.geometry import shape

from spectf_cloud.archive import stac_items as catalogue
from spectf_cloud.archive.fingerprint import Settings
from spectf_cloud.archive.geoparquet import write_geoparquet
from spectf_cloud.archive.ledger import read_ledger
from spectf_cloud.archive.publish import export_table
from spectf_cloud.archive.run import ArchiveJob, run_archive
from spectf_cloud.catalogue.granules import read_name
from spectf_cloud.products.footprint import bounds

from archives import granule_id, serving, write_archive, write_granule
from scene_files import raster
from small_scenes import WGS84
from stac_schemas import SCHEMAS


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The catalogue of four good granules, two with a place."""
    folder = tmp_path_factory.mktemp("catalogue")
    write_archive(folder / "in")
    run_archive(ArchiveJob((str(folder / "in"),), folder / "out", Settings(ortho=True), engine="serial"))
    return folder / "out"


@pytest.fixture
def validator():
    """pystac's validator: its own copies of the core schemas, ours of the extensions; no network."""
    made = JsonSchemaSTACValidator()
    made.schema_cache |= SCHEMAS
    return made


def errors_of(validator, thing):
    try:
        thing.validate(validator=validator)
    except pystac.errors.STACValidationError as error:
        return str(error.source or error)
    return None


def test_every_object_is_valid_stac(out, validator):
    collection = pystac.Collection.from_file(str(out / "collection.json"))
    items = list(collection.get_items(recursive=True))
    assert [item.id for item in items] == [granule_id(index) for index in range(4)]
    for thing in (collection, *collection.get_children(), *items):
        assert errors_of(validator, thing) is None
    assert all(item.get_collection().id == collection.id for item in items)
    assert all(Path(asset.get_absolute_href()).is_file() for item in items for asset in item.assets.values())


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (("properties", "eo:cloud_cover"), 130),
        (("properties", "processing:software"), ["spectf-cloud"]),
        (("assets", "ortho", "proj:code"), 4326),
        (("assets", "ortho", "proj:transform"), [1, 2, 3]),
        (("assets", "mask", "classification:classes"), [{"name": "clear"}]),
    ],
)
def test_the_schemas_refuse_what_the_extensions_refuse(out, validator, change, value):
    content = json.loads(next(out.rglob(f"{granule_id(0)}.json")).read_text())
    place = content
    for key in change[:-1]:
        place = place[key]
    place[change[-1]] = value
    with pytest.raises(pystac.errors.STACValidationError):
        validator.validate(content, pystac.STACObjectType.ITEM, "1.1.0", content["stac_extensions"])


def test_items_say_what_the_files_hold(out):
    with read_ledger(out) as ledger:
        rows = {row.id: row for row in ledger.rows("done")}
    for item in pystac.Collection.from_file(str(out / "collection.json")).get_items(recursive=True):
        row = rows[item.id]
        assert EOExtension.ext(item).cloud_cover == round(100 * row.cloud_fraction, 2)
        classes = ClassificationExtension.ext(item.assets["mask"]).classes
        assert [each.value for each in classes] == [0, 1, 255]
        with raster(item.assets["mask"].get_absolute_href()) as dataset:
            assert ProjectionExtension.ext(item.assets["mask"]).shape == list(dataset.shape)
        if "ortho" in item.assets:
            with raster(item.assets["ortho"].get_absolute_href()) as dataset:
                told = ProjectionExtension.ext(item.assets["ortho"])
                assert told.shape == list(dataset.shape)
                assert told.code == dataset.crs.to_string()
                np.testing.assert_allclose(told.transform, list(dataset.transform)[:6])
                seen = item.bbox
                np.testing.assert_allclose(seen, list(dataset.bounds), atol=1e-6)


def test_items_name_what_they_were_made_from(out):
    for item in pystac.Collection.from_file(str(out / "collection.json")).get_items(recursive=True):
        links = item.get_links("derived_from")
        assert [link.title for link in links] == ["Radiance", "Observation"]
        for link in links:
            place = Path(link.get_absolute_href())
            assert place.is_absolute() and place.is_file()
            assert (Path(item.self_href).parent / link.href).is_file()
        assert read_name(links[0].href).id == read_name(links[1].href).id == item.id


@pytest.mark.parametrize("given", ["in", "./in", "list.csv"])
def test_links_hold_wherever_the_run_was_started(tmp_path, monkeypatch, given):
    radiance = write_granule(tmp_path / "in", 0)
    (tmp_path / "list.csv").write_text(f"in/{radiance.name};in/{radiance.name.replace('RAD', 'OBS')}\n")
    monkeypatch.chdir(tmp_path)
    run_archive(ArchiveJob((given,), Path("out"), engine="serial"))
    monkeypatch.chdir("/")
    (item,) = pystac.Collection.from_file(str(tmp_path / "out/collection.json")).get_items(recursive=True)
    found = [Path(link.get_absolute_href()) for link in item.get_links("derived_from")]
    assert found == [radiance, radiance.with_name(radiance.name.replace("RAD", "OBS"))]
    with read_ledger(tmp_path / "out") as ledger:
        (row,) = ledger.rows("done")
    # What an old ledger holds of a run started elsewhere names nothing.
    old = replace(row, inputs={}, radiance=f"in/{radiance.name}", observation=None)
    assert not catalogue.item(old, datetime.now(UTC)).get_links("derived_from")


def test_addresses_stay_what_they_are(tmp_path):
    radiance = write_granule(tmp_path / "files", 0)
    with serving(tmp_path) as server:
        addresses = [f"{server.address}/files/{radiance.name.replace('RAD', kind)}" for kind in ("RAD", "OBS")]
        (tmp_path / "list.csv").write_text(";".join(addresses))
        run_archive(ArchiveJob((str(tmp_path / "list.csv"),), tmp_path / "out", engine="serial"))
    (item,) = pystac.Collection.from_file(str(tmp_path / "out/collection.json")).get_items(recursive=True)
    assert [link.href for link in item.get_links("derived_from")] == addresses


def test_the_collection_says_whose_it_is_and_what_it_holds(out, tmp_path):
    collection = pystac.Collection.from_file(str(out / "collection.json"))
    assert collection.license == "other"
    assert Path(collection.get_single_link("license").get_absolute_href()).is_file()
    assert [provider.roles for provider in collection.providers] == [["producer"], ["processor"]]
    assert all(provider.name for provider in collection.providers)
    kinds = {kind for item in collection.get_items(recursive=True) for kind in item.assets}
    assert set(collection.item_assets) == kinds
    for item in collection.get_items(recursive=True):
        for kind, asset in item.assets.items():
            told = collection.item_assets[kind]
            assert (told.media_type, told.title, told.properties["roles"]) == (
                asset.media_type,
                asset.title,
                asset.roles,
            )


def test_the_publishers_own_terms_stay(tmp_path):
    write_granule(tmp_path / "in", 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "LICENSE.txt").write_text("mine")
    run_archive(ArchiveJob((str(tmp_path / "in"),), tmp_path / "out", engine="serial"))
    assert (tmp_path / "out" / "LICENSE.txt").read_text() == "mine"


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
@pytest.mark.parametrize("where", ["out", "elsewhere"])
def test_tables_name_every_granule_its_error_and_its_mask(out, tmp_path, monkeypatch, suffix, where):
    shutil.copytree(out, tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    file = Path(where) / f"table{suffix}"
    with read_ledger(Path("out")) as ledger:
        rows = list(ledger.rows())
        assert export_table(ledger, Path("out"), file) == len(rows) == 7
    monkeypatch.chdir("/")
    file = tmp_path / file
    if suffix == ".parquet":
        table = pyarrow.parquet.read_table(file)
        assert json.loads(table.schema.metadata[b"geo"])["primary_column"] == "geometry"
        entries = table.to_pylist()
    else:
        text = file.read_text()
        entries = json.loads(text) if suffix == ".json" else list(csv.DictReader(text.splitlines()))
    for row, entry in zip(rows, entries, strict=True):
        assert (entry["id"], entry["state"], entry["error"] or None) == (row.id, row.state, row.error)
        assert (row.state == "failed") == bool(entry["error"])
        mask = entry["mask"]
        assert bool(mask) == (row.state == "done")
        if mask:
            assert Path(mask).is_absolute() == (where == "elsewhere")
            assert (file.parent / mask).is_file() and (tmp_path / "out" / mask).is_file()


def test_a_table_of_failures_alone_is_a_table(tmp_path):
    write_granule(tmp_path / "in", 0).write_bytes(b"no granule")
    run_archive(ArchiveJob((str(tmp_path / "in"),), tmp_path / "out", engine="serial"))
    with read_ledger(tmp_path / "out") as ledger:
        assert export_table(ledger, tmp_path / "out", tmp_path / "t.parquet") == 1
    (entry,) = pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert (entry["state"], entry["mask"], entry["geometry"], entry["threshold"]) == ("failed", None, None, None)
    assert "is a text, not a scene" in entry["error"]


def test_the_index_is_geoparquet(out):
    table = pyarrow.parquet.read_table(out / "index.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0"
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon"]
    with read_ledger(out) as ledger:
        rows = list(ledger.rows("done"))
    for row, line in zip(rows, table.to_pylist(), strict=True):
        assert line["id"] == row.id
        assert line["datetime"].strftime("emit%Y%m%dt%H%M%S") == row.id
        assert line["cloud_fraction"] == row.cloud_fraction
        assert (out / line["mask"]).is_file()
    shapes = geopandas.read_parquet(out / "index.parquet").geometry
    assert shapes.crs == "OGC:CRS84"
    assert shapes.isna().tolist() == [False, True, False, True]
    assert all(found.equals(shape(row.footprint)) for found, row in zip(shapes, rows, strict=True) if row.footprint)


def test_a_footprint_across_the_antimeridian_is_found_on_both_sides(out, tmp_path):
    parts = [
        [[[179.0, 0.0], [180.0, 0.0], [180.0, 1.0], [179.0, 0.0]]],
        [[[-180.0, 0.0], [-179.0, 1.0], [-180.0, 1.0], [-180.0, 0.0]]],
    ]
    with read_ledger(out) as ledger:
        row = next(ledger.rows("done"))
    row = replace(row, footprint={"type": "MultiPolygon", "coordinates": parts})
    write_geoparquet([row], tmp_path / "t.parquet", out)
    for box in ((178, 0, 179.9, 1), (-179.9, 0, -178, 1)):
        (found,) = geopandas.read_parquet(tmp_path / "t.parquet", bbox=box).geometry
        assert found.equals(shape(row.footprint))
    assert catalogue.item(row, datetime.now(UTC)).bbox == bounds(row.footprint) == [179.0, 0.0, -179.0, 1.0]


def test_without_a_granule_the_catalogue_is_whole(tmp_path, validator):
    write_geoparquet([], tmp_path / "t.parquet", tmp_path)
    assert geopandas.read_parquet(tmp_path / "t.parquet").empty
    collection = pystac.Collection.from_file(str(catalogue.write_stac([], tmp_path)))
    assert errors_of(validator, collection) is None
    assert collection.extent.spatial.bboxes == [[-180, -90, 180, 90]]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset")]


def test_the_page_needs_nothing_from_elsewhere_and_names_all(out):
    text = (out / "browse.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.addresses
    assert not re.search(r"https?://|@import|url\(", text)
    data = json.loads(re.search(r"^const data = (.*);$", text, re.MULTILINE)[1])
    assert [entry["id"] for entry in data["done"]] == [granule_id(index) for index in range(4)]
    assert all((out / entry["d"] / entry["o"]["thumbnail"]).is_file() for entry in data["done"])
    assert len(data["failed"]) == 3
    assert WGS84 not in text
