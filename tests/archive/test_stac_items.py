import csv
import json
import re
import shutil
import struct
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pystac
import pytest
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.eo import EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from spectf_cloud.archive import stac_items as catalogue
from spectf_cloud.archive.export import export_table
from spectf_cloud.archive.fingerprint import Settings
from spectf_cloud.archive.geoparquet import to_wkb
from spectf_cloud.archive.ledger import read_ledger
from spectf_cloud.archive.run import ArchiveJob, run_archive
from spectf_cloud.catalogue.granules import read_name
from spectf_cloud.products.footprint import bounds, convex_hull, footprint

from archives import granule_id, serving, write_archive, write_granule
from scene_files import raster
from small_scenes import WGS84, make_scene, nearest_glt, sheared_location
from stac_schemas import SCHEMAS

UTM33 = (
    'PROJCS["WGS 84 / UTM zone 33N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",15],PARAMETER["scale_factor",0.9996],'
    'PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1],AUTHORITY["EPSG","32633"]]'
)


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


def read_wkb(data):
    """Polygons as lists of rings, read independently of the writer."""
    order, kind = struct.unpack_from("<BI", data)
    assert order == 1
    at, polygons = 5, []
    count = 1
    if kind == 6:
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
    for _ in range(count):
        if kind == 6:
            assert struct.unpack_from("<BI", data, at) == (1, 3)
            at += 5
        (rings,) = struct.unpack_from("<I", data, at)
        at += 4
        polygon = []
        for _ in range(rings):
            (points,) = struct.unpack_from("<I", data, at)
            polygon.append(np.frombuffer(data, "<f8", 2 * points, at + 4).reshape(-1, 2).tolist())
            at += 4 + 16 * points
        polygons.append(polygon)
    assert at == len(data)
    return polygons


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
    assert not [link for link in catalogue.item(old, datetime.now(UTC))["links"] if link["rel"] == "derived_from"]


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
        if row.footprint is None:
            assert line["geometry"] is None and line["bbox"] is None
        else:
            assert read_wkb(line["geometry"]) == [row.footprint["coordinates"]]
            assert list(line["bbox"].values()) == bounds(row.footprint)


def test_two_parts_survive_wkb():
    parts = [
        [[[179.0, 0.0], [180.0, 0.0], [180.0, 1.0], [179.0, 0.0]]],
        [[[-180.0, 0.0], [-179.0, 1.0], [-180.0, 0.0]]],
    ]
    assert read_wkb(to_wkb({"type": "MultiPolygon", "coordinates": parts})) == parts


def inside(ring, points, slack=2e-6):
    """Whether points lie in an anticlockwise convex ring."""
    ring, points = np.array(ring), np.array(points)
    edges = np.diff(ring, axis=0)
    offsets = points[:, None] - ring[None, :-1]
    cross = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    return (cross >= -slack * np.hypot(*edges.T)).all(axis=1)


def area(ring):
    x, y = np.array(ring).T
    return 0.5 * (x[:-1] @ y[1:] - y[:-1] @ x[1:])


def test_a_footprint_holds_every_seen_cell_and_little_else():
    location = sheared_location(60, 40)
    glt = nearest_glt(location)
    found = footprint(make_scene(60, 40, glt=glt), glt)
    assert found["type"] == "Polygon"
    row, column = np.nonzero(glt.line >= 0)
    west, step, _, north, _, _ = glt.geotransform
    for right in (0, 1):
        for down in (0, 1):
            corners = np.stack([west + step * (column + right), north - step * (row + down)], axis=1)
            assert inside(found["coordinates"][0], corners).all()
    cells = len(row) * step**2
    assert cells <= area(found["coordinates"][0]) < 1.1 * cells


def test_without_a_table_the_pixels_centres_make_the_footprint():
    location = sheared_location(20, 10)
    found = footprint(make_scene(20, 10, location=location), None)
    points = np.stack([location.lon_deg.ravel(), location.lat_deg.ravel()], axis=1)
    assert inside(found["coordinates"][0], points).all()
    assert footprint(make_scene(20, 10), None) is None
    location.lon_deg[...] = -9999
    assert footprint(make_scene(20, 10, location=location), None) is None


def test_a_grid_in_metres_becomes_degrees():
    from spectf_cloud.scene import Grid

    found = footprint(make_scene(100, 50, grid=Grid((500000.0, 60.0, 0, 0.0, 0, -60.0), UTM33)), None)
    west, south, east, north = bounds(found)
    # At the equator on the central meridian: 3 km east, 6 km south, scale 0.9996.
    np.testing.assert_allclose([west, east, north], [15.0, 15 + 3000 / 0.9996 / 111319.49, 0.0], atol=2e-6)
    np.testing.assert_allclose(south, -6000 / 0.9996 / 110574.39, rtol=1e-4)


@pytest.mark.parametrize("lon0", [179.99, -180.01])
def test_a_footprint_across_the_antimeridian_has_two_parts(lon0):
    location = sheared_location(60, 40, lon0=lon0)
    glt = nearest_glt(location)
    found = footprint(make_scene(60, 40, glt=glt), glt)
    assert found["type"] == "MultiPolygon"
    east, west = (np.array(part[0]) for part in found["coordinates"])
    assert east[:, 0].max() == 180 and west[:, 0].min() == -180
    whole = footprint(
        make_scene(60, 40, glt=nearest_glt(sheared_location(60, 40))), nearest_glt(sheared_location(60, 40))
    )
    np.testing.assert_allclose(area(east) + area(west), area(whole["coordinates"][0]), rtol=0.02)
    box = bounds(found)
    assert box[0] > box[2]
    wrapped = np.where(location.lon_deg > 180, location.lon_deg - 360, location.lon_deg)
    location.lon_deg[...] = np.where(wrapped < -180, wrapped + 360, wrapped)
    assert footprint(make_scene(60, 40, location=location), None)["type"] == "MultiPolygon"


def test_a_hull_is_that_of_an_exhaustive_search():
    points = np.random.default_rng(3).normal(size=(40, 2))
    hull = {tuple(point) for point in convex_hull(points)}
    for point in points:
        # On the hull: some line through the point leaves all others on one side.
        angles = np.arctan2(*(points[(points != point).any(axis=1)] - point).T[::-1])
        angles.sort()
        widest = max(np.diff(angles, append=angles[0] + 2 * np.pi))
        assert (tuple(point) in hull) == (widest > np.pi)


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
