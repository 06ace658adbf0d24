import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pystac
import pytest

from spectf_cloud.catalogue.downloads import local_files
from spectf_cloud.catalogue.earthdata import granules_of, needs_login
from spectf_cloud.catalogue.granules import Granule
from spectf_cloud.catalogue.inputs import find_granules
from spectf_cloud.catalogue.search import Search, parse_box, parse_interval
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError, UsageError

from archives import granule_id, serving, write_archive, write_granule

EVERYTHING = Search()


@pytest.fixture
def archive(tmp_path):
    write_archive(tmp_path / "in")
    return tmp_path / "in"


def ids(*sources, search=EVERYTHING):
    return [granule.id for granule in find_granules([str(source) for source in sources], search).granules]


def test_files_folders_and_patterns_name_the_same(archive):
    all_ids = [granule_id(index) for index in (0, 1, 2, 3, 20, 21, 22)]
    assert ids(archive) == all_ids
    assert ids(f"{archive}/*") == all_ids
    assert ids(f"{archive}/**/*") == all_ids
    assert ids(*(path for path in archive.rglob("*") if path.is_file() and "_loc_" not in path.name)) == all_ids
    assert len(find_granules([str(archive)], EVERYTHING).repeated) == 1


@pytest.mark.parametrize("kind", ["txt", "csv", "plain.csv", "parquet"])
def test_lists_name_granules_from_their_own_folder(archive, kind):
    radiance, observation = (sorted(archive.glob(f"day/*{name}*.nc"))[0] for name in ("RAD", "OBS"))
    pairs = [("day/" + radiance.name, "day/" + observation.name)]
    path = archive / f"list.{kind}"
    if kind == "parquet":
        pa.parquet.write_table(pa.table({"radiance": [pairs[0][0]], "observation": [pairs[0][1]]}), path)
    elif kind == "txt":
        path.write_text(f"# mine\n{pairs[0][0]}\n\n")
    else:
        path.write_text(("radiance,observation\n" if kind == "csv" else "") + ",".join(pairs[0]) + "\n")
    assert find_granules([str(path)], EVERYTHING).granules == (Granule(granule_id(0), str(radiance), str(observation)),)


def test_what_is_not_there_is_named(archive, tmp_path):
    for source, message in (
        (tmp_path / "missing", "does not exist"),
        (f"{archive}/*.tif", "matches no file"),
        (tmp_path / "list.parquet", "not a Parquet table"),
        (tmp_path / "catalog.json", "catalogue cannot be read"),
        (tmp_path / "empty", "no granule found"),
    ):
        (tmp_path / "list.parquet").write_text("no table")
        (tmp_path / "catalog.json").write_text("{}")
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            ids(source)
    with pytest.raises(UsageError, match="name the granules"):
        find_granules([], EVERYTHING)


def stac_item(index, place):
    """An item whose assets are the files of a granule below ``place``."""
    stem = f"EMIT_L1B_{{}}_001_202402{index + 1:02d}T040506_24034{index:02d}_007.nc"
    lon = 10.0 + index
    item = pystac.Item(
        f"item-{index}",
        {"type": "Polygon", "coordinates": [[[lon, 0], [lon + 0.5, 0], [lon + 0.5, 1], [lon, 0]]]},
        [lon, 0, lon + 0.5, 1],
        datetime(2024, 2, index + 1, 4, 5, 6, tzinfo=UTC),
        {"eo:cloud_cover": 10.0 * index},
    )
    item.add_asset("rad", pystac.Asset(f"{place}/{stem.format('RAD')}"))
    item.add_asset("obs", pystac.Asset(f"{place}/{stem.format('OBS')}"))
    return item


@pytest.fixture
def served(tmp_path):
    """A server with five granules, a STAC API and a static catalogue of them."""
    for index in range(5):
        write_granule(tmp_path / "files", index)
    with serving(tmp_path) as server:
        catalogue = pystac.Catalog("static", "the same items")
        items = [stac_item(index, f"{server.address}/files") for index in range(5)]
        server.items = [item.to_dict(include_self_link=False) for item in items]
        catalogue.add_items(items)
        catalogue.add_item(pystac.Item("no-files", None, None, datetime(2024, 2, 3, tzinfo=UTC), {}))
        catalogue.normalize_and_save(str(tmp_path / "stac"), pystac.CatalogType.SELF_CONTAINED)
        yield server


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(), range(5)),
        (Search(interval=parse_interval("2024-02-02/2024-02-04")), (1, 2, 3)),
        (Search(interval=parse_interval("2024-02-03T00:00Z/..")), (2, 3, 4)),
        (Search(box_deg=parse_box("10.6,0,13.2,5")), (1, 2, 3)),
        (Search(cloud_cover=20), (0, 1, 2)),
    ],
)
def test_an_api_and_a_static_catalogue_give_the_same_list(served, tmp_path, search, expected):
    api = find_granules([f"{served.address}/api/"], search).granules
    static = find_granules([str(tmp_path / "stac" / "catalog.json")], search).granules
    assert api == static == find_granules([f"{served.address}/stac/catalog.json"], search).granules
    assert [granule.id for granule in api] == [granule_id(index) for index in expected]
    assert all(granule.observation for granule in api)


def test_an_api_that_is_busy_twice_is_asked_again_and_one_that_stays_so_is_named(served):
    served.refusals = {"/api/search": [503, 503]}
    assert len(ids(f"{served.address}/api/")) == 5
    served.refusals = {"/api/": [404]}
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*cannot be read"):
        ids(f"{served.address}/api/")


def test_fetched_granules_are_whole_and_go_again(served, tmp_path, monkeypatch):
    monkeypatch.setattr("spectf_cloud.files.download._FIRST_PAUSE_S", 0.001)
    served.refusals = {"RAD": [503, 503]}
    granule = find_granules([f"{served.address}/stac/catalog.json"], EVERYTHING).granules[0]
    place = tmp_path / "scratch"
    with local_files(granule, place) as (radiance, observation):
        assert radiance.read_bytes() == (tmp_path / "files" / radiance.name).read_bytes()
        assert observation.read_bytes() == (tmp_path / "files" / observation.name).read_bytes()
    assert sum("RAD" in path for path in served.requests) == 3
    assert [path.name for path in place.iterdir()] == [".spectf-scratch"]


def test_what_cannot_be_fetched_is_named_and_leaves_nothing(served, tmp_path, monkeypatch):
    monkeypatch.setattr("spectf_cloud.files.download._FIRST_PAUSE_S", 0.001)
    granule = Granule("a", f"{served.address}/files/gone_rdn.nc", None)
    with pytest.raises(InputError, match="answered 404"), local_files(granule, tmp_path / "s"):
        pass
    served.refusals = {"busy": [503] * 20}
    granule = Granule("a", f"{served.address}/files/busy_rdn.nc", None)
    with pytest.raises(InputError, match="answered 503, 6 times"), local_files(granule, tmp_path / "s"):
        pass
    assert [path.name for path in (tmp_path / "s").iterdir()] == [".spectf-scratch"]


def test_what_a_killed_worker_left_on_scratch_is_removed(served, tmp_path):
    left = tmp_path / "s" / "spectf-dead"
    left.mkdir(parents=True)
    (left / ".owner").touch()
    granule = find_granules([f"{served.address}/stac/catalog.json"], EVERYTHING).granules[0]
    with local_files(granule, tmp_path / "s"):
        assert not left.exists()
        with local_files(granule, tmp_path / "s") as (again, _):
            assert len(list((tmp_path / "s").glob("spectf-*"))) == 2
            assert again.is_file()


def test_nasa_results_become_pairs():
    earthaccess = pytest.importorskip("earthaccess")
    stem = "https://data.lpdaac.earthdatacloud.nasa.gov/p/EMIT_L1B_{}_001_20240201T040506_2403400_007.nc"
    urls = [{"URL": stem.format(kind), "Type": "GET DATA"} for kind in ("OBS", "RAD")]
    found = {"umm": {"RelatedUrls": urls, "DataGranule": {}}, "meta": {"provider-id": "LPCLOUD"}}
    granules = list(granules_of([earthaccess.DataGranule(found, cloud_hosted=True)]))
    assert granules == [Granule(granule_id(0), stem.format("RAD"), stem.format("OBS"))]
    assert needs_login(granules[0].radiance)
    assert not needs_login("https://example.org/earthdatacloud.nasa.gov/file.nc")


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,5,1,2", "0,0,200,1"])
def test_areas_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="--bbox"):
        parse_box(text)


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", "2024-02-03/2024-02-01"])
def test_times_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="--datetime"):
        parse_interval(text)


def test_an_area_across_the_antimeridian_meets_both_sides():
    search = Search(box_deg=parse_box("170,-10,-170,10"))
    for box, inside in (((175, 0, 176, 1), True), ((-176, 0, -175, 1), True), ((0, 0, 1, 1), False)):
        assert search.admits(None, box, None, None) == inside
    assert Search(box_deg=(-179.5, 0, -179, 1)).admits(None, (179, 0, -179, 1), None, None)


def test_a_feature_collection_is_a_catalogue(tmp_path):
    items = [stac_item(index, "files").to_dict(include_self_link=False) for index in range(2)]
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    assert ids(path) == [granule_id(0), granule_id(1)]
    assert Path(find_granules([str(path)], EVERYTHING).granules[0].radiance).name.startswith("EMIT_L1B_RAD")


RAD, OBS = (f"EMIT_L1B_{kind}_001_20240201T040506_2403400_007" for kind in ("RAD", "OBS"))
CMR = "https://data.lpdaac.earthdatacloud.nasa.gov"
DATA, METADATA, BROWSE = ["data"], ["metadata"], ["browse"]


def write_item(folder, assets, *, name="item", **more):
    """An item of one day with these assets: key to (address, roles, media type)."""
    item = pystac.Item(name, None, None, datetime(2024, 2, 1, 4, 5, 6, tzinfo=UTC), {}, **more)
    for key, (href, *rest) in assets.items():
        roles, media = (*rest, None, None)[:2]
        item.add_asset(key, pystac.Asset(href, roles=roles, media_type=media))
    path = folder / f"{name}.json"
    path.write_text(json.dumps(item.to_dict(include_self_link=False)))
    return path


def cmr_assets(data="{}.nc"):
    """As NASA's catalogue lists a granule; ``data`` is where the files themselves lie."""
    s3 = "s3://lp-prod-protected/EMITL1BRAD.001/{}.nc"
    return {
        "thumbnail_0": (f"{CMR}/lp-prod-public/{RAD}.png", ["thumbnail"], "image/png"),
        "browse": (f"s3://lp-prod-public/{RAD}.png", BROWSE, "image/png"),
        f"s3_{RAD}": (s3.format(RAD), DATA),
        f"s3_{OBS}": (s3.format(OBS), DATA),
        "opendap": (f"https://opendap.earthdata.nasa.gov/collections/C1/granules/{RAD}", DATA),
        "opendap_1": (f"https://opendap.earthdata.nasa.gov/providers/{RAD}.dap.nc4", DATA, "application/x-netcdf"),
        "dmrpp": (f"{CMR}/lp-prod-protected/{RAD}.nc.dmrpp", METADATA),
        "md5": (f"{CMR}/lp-prod-protected/{RAD}.nc.md5", METADATA),
        f"002/{OBS}": (data.format(OBS), DATA),
        f"002/{RAD}": (data.format(RAD), DATA, "application/x-netcdf"),
        "page": (f"{CMR}/{RAD}.html", METADATA, "text/html"),
        "metadata": (f"https://cmr.earthdata.nasa.gov/search/concepts/{RAD}.cmr.xml", METADATA, "application/xml"),
        "stac": (f"https://cmr.earthdata.nasa.gov/stac/LPCLOUD/items/{RAD}", METADATA, "application/json"),
    }


@pytest.mark.parametrize("turn", [0, 3, 6, 9, 12])
@pytest.mark.parametrize(
    "data", [f"{CMR}/lp-prod-protected/EMITL1BRAD.001/{{}}.nc", "./{}.nc", "/data/{}.nc", "file:///data/{}.nc"]
)
def test_of_cmr_assets_the_files_are_taken_wherever_they_stand(tmp_path, turn, data):
    assets = list(cmr_assets(data).items())
    path = write_item(tmp_path, dict(assets[turn:] + assets[:turn]))
    place = data.replace("file://", "").replace("./", f"{tmp_path}/")
    assert find_granules([str(path)], EVERYTHING).granules == (
        Granule(granule_id(0), place.format(RAD), place.format(OBS)),
    )


@pytest.mark.parametrize(
    ("assets", "radiance", "observation"),
    [
        # ENVI: header and data of each, geometry on two grids.
        (
            {
                "hdr": ("ang20240201t040506_rdn_v2p9_img.hdr", METADATA, "text/plain"),
                "glt": ("ang20240201t040506_rdn_glt", DATA),
                "img": ("ang20240201t040506_rdn_v2p9_img", DATA, "application/octet-stream"),
                "obs": ("ang20240201t040506_rdn_obs_ort", DATA),
            },
            "ang20240201t040506_rdn_v2p9_img",
            "ang20240201t040506_rdn_obs_ort",
        ),
        # AVIRIS-3: two checksums, band mask and quicklook beside.
        (
            {
                "ql": ("AV320240201t040506_003_L1B_RDN_3f4aef90_QL.tif", ["overview"], "image/tiff"),
                "mask": ("AV320240201t040506_003_L1B_RDN_3f4aef90_BANDMASK.nc", DATA),
                "obs": ("AV320240201t040506_003_L1B_ORT_55901fd4_OBS.nc", DATA),
                "rdn": ("AV320240201t040506_003_L1B_RDN_3f4aef90_RDN.nc", DATA),
            },
            "AV320240201t040506_003_L1B_RDN_3f4aef90_RDN.nc",
            "AV320240201t040506_003_L1B_ORT_55901fd4_OBS.nc",
        ),
        # Names that tell nothing: the keys do.
        (
            {
                "preview": ("a.png", ["thumbnail"]),
                "observation": ("b.nc", DATA),
                "radiance": ("c.nc", DATA),
                "reflectance": ("d.nc", DATA),
                "radiance_page": ("about/radiance", METADATA),
                "radiance_doi": ("10.5067/emitl1brad",),
            },
            "c.nc",
            "b.nc",
        ),
        # The roles do.
        ({"x": ("a.nc", ["data", "observation"]), "y": ("b.nc", ["data", "radiance"])}, "b.nc", "a.nc"),
        # The files' names tell the kind, but no scene.
        ({"x": ("observation.nc", DATA), "y": ("radiance.nc", DATA)}, "radiance.nc", "observation.nc"),
    ],
)
def test_assets_of_other_sensors(tmp_path, assets, radiance, observation):
    (granule,) = find_granules([str(write_item(tmp_path, assets))], EVERYTHING).granules
    assert (granule.radiance, granule.observation) == (str(tmp_path / radiance), str(tmp_path / observation))


def test_an_alternate_place_that_can_be_read_is_taken(tmp_path):
    path = write_item(tmp_path, {"a": (f"s3://bucket/{RAD}.nc",), "b": (f"{CMR}/{OBS}.nc",)})
    content = json.loads(path.read_text())
    content["assets"]["a"]["alternate"] = {"download": {"href": f"{CMR}/{RAD}.nc"}}
    path.write_text(json.dumps(content))
    assert find_granules([str(path)], EVERYTHING).granules[0].radiance == f"{CMR}/{RAD}.nc"


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_where_only_a_bucket_remains_it_is_named(tmp_path, scheme):
    path = write_item(tmp_path, {"a": (f"{scheme}://bucket/{RAD}.nc",), "b": (f"{scheme}://bucket/{OBS}.nc",)})
    with pytest.raises(InputError, match=rf"item.json: its radiance is only at {scheme}://, .*https://"):
        find_granules([str(path)], EVERYTHING)
    granule = Granule("a", f"{scheme}://bucket/{RAD}.nc")
    with pytest.raises(InputError, match=f"{scheme}:// is not supported"), local_files(granule, tmp_path):
        pass


@pytest.mark.parametrize("collections", [("rad", "obs"), (None, None)])
def test_geometry_may_lie_in_another_item(tmp_path, collections):
    catalogue = pystac.Catalog("two", "radiance and geometry apart")
    for kind, stem, collection in zip(("a", "b"), (RAD, OBS), collections, strict=True):
        item = pystac.Item(kind, None, None, datetime(2024, 2, 1, tzinfo=UTC), {}, collection=collection)
        item.add_asset("data", pystac.Asset(f"{CMR}/{kind}/{stem}.nc", roles=DATA))
        catalogue.add_item(item)
    catalogue.normalize_and_save(str(tmp_path), pystac.CatalogType.SELF_CONTAINED)
    (granule,) = find_granules([str(tmp_path / "catalog.json")], Search(collection=collections[0])).granules
    assert granule == Granule(granule_id(0), f"{CMR}/a/{RAD}.nc", f"{CMR}/b/{OBS}.nc")


@pytest.mark.parametrize("own_address", [None, "https://example.org/items/item.json"])
def test_relative_places_count_from_the_item(tmp_path, own_address):
    """Also of an item that was saved with the address it came from, beside files that were fetched."""
    radiance = write_granule(tmp_path / "below", 0)
    (tmp_path / radiance.name).write_text("another file of this name, beside the catalogue")
    path = write_item(tmp_path / "below", {"data": (f"./{RAD}.nc",), "data1": (f"./{OBS}.nc",)})
    if own_address:
        content = json.loads(path.read_text())
        content["links"] = [{"rel": "self", "href": own_address}]
        path.write_text(json.dumps(content))
    else:
        catalogue = pystac.Catalog("above", "one item below").to_dict(include_self_link=False)
        catalogue["links"] = [{"rel": "item", "href": "./below/item.json"}]
        path = tmp_path / "catalog.json"
        path.write_text(json.dumps(catalogue))
    expected = Granule(granule_id(0), str(radiance), str(radiance.with_name(f"{OBS}.nc")))
    assert find_granules([str(path)], EVERYTHING).granules == (expected,)


def test_geometry_of_another_granule_is_not_taken(tmp_path):
    other = OBS.replace("0201T", "0202T")
    path = write_item(tmp_path, {"data": (f"{CMR}/{RAD}.nc", DATA), "data1": (f"{CMR}/{other}.nc", DATA)})
    assert find_granules([str(path)], EVERYTHING).granules == (Granule(granule_id(0), f"{CMR}/{RAD}.nc"),)


def test_an_id_of_an_item_stays_within_the_archive(tmp_path):
    path = write_item(tmp_path, {"radiance": ("c.nc",), "obs": ("b.nc",)})
    path.write_text(path.read_text().replace('"id": "item"', '"id": "../../up/down"'))
    (granule,) = find_granules([str(path)], EVERYTHING).granules
    assert (tmp_path / granule.id).resolve().parent == tmp_path


def test_an_item_and_pages_of_items_are_read_from_their_addresses(served, tmp_path):
    (tmp_path / "items").mkdir()
    first, second = (stac_item(index, "../files").to_dict(include_self_link=False) for index in range(2))
    (tmp_path / "items" / RAD).write_text(json.dumps(first))
    link = {"rel": "next", "href": f"{served.address}/page2.json"}
    (tmp_path / "page1.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [first], "links": [link]})
    )
    (tmp_path / "page2.json").write_text(json.dumps({"type": "FeatureCollection", "features": [second]}))
    one = find_granules([f"{served.address}/items/{RAD}"], EVERYTHING).granules
    assert [granule.radiance for granule in one] == [f"{served.address}/files/{RAD}.nc"]
    assert ids(f"{served.address}/page1.geojson") == [granule_id(0), granule_id(1)]


def test_a_page_of_several_says_so(tmp_path, caplog):
    features = [stac_item(0, "files").to_dict(include_self_link=False)]
    content = {"type": "FeatureCollection", "features": features, "links": [{"rel": "next", "href": "https://x/2"}]}
    (tmp_path / "page.json").write_text(json.dumps(content))
    (granule,) = find_granules([str(tmp_path / "page.json")], EVERYTHING).granules
    assert granule.radiance == str(tmp_path / "files" / f"{RAD}.nc")
    assert "page.json is one page of several" in caplog.text


@pytest.mark.parametrize("by_header", [False, True])
def test_of_envi_both_halves_are_fetched(tmp_path, by_header):
    radiance = write_granule(tmp_path / "files", 1, envi=True)
    observation = radiance.with_name(radiance.name.replace("rdn", "obs"))
    with serving(tmp_path) as server:
        ending = ".hdr" if by_header else ""
        addresses = [f"{server.address}/files/{path.name}{ending}" for path in (radiance, observation)]
        with local_files(Granule("a", *addresses), tmp_path / "s") as (found, geometry):
            scene = open_scene(found, geometry)
            assert (scene.lines, scene.samples) == (7, 5)
        (tmp_path / "files" / f"{radiance.name}.hdr").unlink()
        alone = Granule("a", f"{server.address}/files/{radiance.name}")
        with pytest.raises(InputError, match=r"neither netCDF nor ENVI with .*hdr"), local_files(alone, tmp_path / "s"):
            pass
