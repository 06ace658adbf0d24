"""The outputs as a static STAC collection: one item per granule, grouped by month."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import shapely
from pystac import Asset, Catalog, Collection, Extent, Item, Link, MediaType, Provider, SpatialExtent, TemporalExtent

from spectf_cloud.archive.ledger import Row
from spectf_cloud.archive.receipts import COLLECTION, granule_folder
from spectf_cloud.catalogue.granules import acquired, file_name, is_address
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.flags import SIMULATED_TAG
from spectf_cloud.products.footprint import bounds
from spectf_cloud.products.panels import CLEAR_COLOUR, CLOUD_COLOUR
from spectf_cloud.readers.names import HDF5_SUFFIXES, suffix_of

_EXTENSIONS = [
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
]
_ID = "spectf-cloud-masks"
_ABOUT = "Cloud masks of imaging-spectroscopy granules, made by spectf-cloud"
_LICENSE = "LICENSE.txt"
_TERMS = """\
SpecTf Cloud claims no rights in the masks that it makes. The terms of the radiance that they were made from may apply
to them; each item's derived_from links name it. Those who publish the masks may replace this text with their own terms.
"""
# Granule names of EMIT and AVIRIS.
_OF_JPL = re.compile(r"(emit|ang|av[35])\d{8}t|f\d{6}t\d\dp", re.IGNORECASE)
_JPL = "https://www.jpl.nasa.gov"
_NETCDF = "application/netcdf"
# Media type, roles and title by kind of output.
_ASSETS: dict[str, tuple[str, list[str], str]] = {
    "mask": (MediaType.GEOTIFF, ["data", "cloud"], "Cloud mask on the sensor grid"),
    "probability": (MediaType.GEOTIFF, ["data"], "Cloud probability on the sensor grid"),
    "ortho": (MediaType.COG, ["data", "cloud"], "Cloud mask, orthorectified"),
    "netcdf": (_NETCDF, ["data"], "Mask in the layout of EMIT's L2A mask"),
    "quicklook": (MediaType.PNG, ["overview"], "Quicklook"),
    "thumbnail": (MediaType.JPEG, ["thumbnail"], "True colour with the clouds' outline"),
}


def write_stac(rows: Iterable[Row], out: Path) -> Path:
    """Write items next to their outputs, a catalogue for each month, and the collection; return its path.

    Granules without a time in their id are left out, as STAC needs one. Unchanged files are not written again. Raises
    `OutputError`.
    """
    # One object at a time, with relative links as text: pystac's own tree would hold an archive's 100,000 items at
    # once and walk through all of them for each link to an input.
    dated = [(row, when) for row in rows if (when := acquired(row.id))]
    for row, when in dated:
        _write(granule_folder(out, row.id) / f"{row.id}.json", item(row, when))
    months = sorted({f"{when:%Y/%m}" for _, when in dated})
    for month in months:
        within = [(row.id, when) for row, when in dated if f"{when:%Y/%m}" == month]
        _write(out / month / "catalog.json", _month(month, within))
    if not (out / _LICENSE).exists():  # never replaces the publisher's own terms
        with atomic_output(out / _LICENSE) as temporary:
            temporary.write_text(_TERMS, encoding="utf-8")
    _write(out / COLLECTION, _collection(dated, months))
    return out / COLLECTION


def item(row: Row, when: datetime) -> Item:
    """Return the STAC item of a finished granule."""
    properties: dict[str, Any] = {
        "title": f"Cloud mask of {row.id}",
        "processing:software": {"spectf-cloud": row.tags.get("SPECTF_VERSION", "")},
        "processing:level": "L2",
        "processing:lineage": f"SpecTf weights {row.tags.get('SPECTF_WEIGHTS', '')} on TOA reflectance",
        "processing:datetime": row.finished,
        "spectf:threshold": float(row.tags["SPECTF_THRESHOLD"]) if "SPECTF_THRESHOLD" in row.tags else None,
        "spectf:weights_sha256": row.tags.get("SPECTF_WEIGHTS_SHA256", ""),
        "spectf:valid_pixels": row.valid_pixels,
    }
    if SIMULATED_TAG in row.tags:
        properties |= {"title": f"SIMULATED: cloud mask of {row.id}", "spectf:simulated": True}
    if row.id.startswith("emit"):
        properties |= {"platform": "iss", "instruments": ["emit"]}
    if row.cloud_fraction is not None:
        properties["eo:cloud_cover"] = round(100 * row.cloud_fraction, 2)
    made = Item(
        row.id,
        row.footprint,
        None if row.footprint is None else bounds(row.footprint),
        when,
        properties,
        stac_extensions=_EXTENSIONS,
        collection=_ID,
        assets={kind: _asset(kind, row) for kind in _ASSETS if kind in row.outputs},
    )
    root = f"../../../../{COLLECTION}"
    made.add_links([_link("root", root), _link("parent", "../../catalog.json"), _link("collection", root)])
    made.add_links(list(_sources(row)))
    return made


def _sources(row: Row) -> Iterator[Link]:
    """Yield links to radiance and geometry, by address or absolute path."""
    for role, given in (("radiance", row.radiance), ("observation", row.observation)):
        place = row.inputs[role].path if role in row.inputs else given
        # Old ledgers hold paths relative to the folder where the run was started, which is unknown.
        if place and (is_address(place) or Path(place).is_absolute()):
            media = _NETCDF if suffix_of(file_name(place)) in HDF5_SUFFIXES else "application/octet-stream"
            yield Link("derived_from", place, media, role.capitalize())


def _asset(kind: str, row: Row) -> Asset:
    media, roles, title = _ASSETS[kind]
    fields: dict[str, Any] = {}
    if kind == "ortho" and row.grid is not None:
        fields = {f"proj:{name}": value for name, value in row.grid.items()}
    elif kind in ("mask", "probability"):
        fields = {"proj:code": None, "proj:shape": [row.lines, row.samples]}
    if "cloud" in roles:
        fields["classification:classes"] = [
            _class(0, "clear", "No cloud", CLEAR_COLOUR),
            _class(1, "cloud", "Cloud", CLOUD_COLOUR),
            {"value": 255, "name": "no_data", "description": "Not measured", "nodata": True},
        ]
    return Asset(f"./{row.outputs[kind].path}", title, media_type=media, roles=roles, extra_fields=fields)


def _class(value: int, name: str, description: str, colour: Sequence[int]) -> dict[str, Any]:
    hint = "".join(f"{part:02X}" for part in colour)
    return {"value": value, "name": name, "description": description, "color_hint": hint}


def _month(month: str, within: Iterable[tuple[str, datetime]]) -> Catalog:
    name = month.replace("/", "-")
    made = Catalog(f"{_ID}-{name}", f"{_ABOUT}, seen in {name}")
    made.clear_links()
    made.add_links([_link(rel, f"../../{COLLECTION}") for rel in ("root", "parent")])
    made.add_links([Link("item", f"./{when:%d}/{name}/{name}.json", MediaType.GEOJSON) for name, when in within])
    return made


def _collection(dated: Sequence[tuple[Row, datetime]], months: Iterable[str]) -> Collection:
    places = [shapely.geometry.shape(row.footprint) for row, _ in dated if row.footprint is not None]
    # A footprint across the antimeridian makes the box span all longitudes.
    box = shapely.total_bounds(places).tolist() if places else [-180.0, -90.0, 180.0, 90.0]
    times = [when for _, when in dated]
    made = Collection(
        _ID,
        _ABOUT,
        Extent(SpatialExtent([box]), TemporalExtent([[min(times, default=None), max(times, default=None)]])),
        # spectf-cloud claims no rights in the masks, and cannot know whose terms apply.
        license="other",
        providers=_providers(dated),
        extra_fields={
            "item_assets": {
                kind: {"type": media, "roles": roles, "title": title}
                for kind, (media, roles, title) in _ASSETS.items()
                if any(kind in row.outputs for row, _ in dated)
            }
        },
    )
    made.clear_links()
    made.add_links([_link("root", f"./{COLLECTION}"), Link("license", f"./{_LICENSE}", MediaType.TEXT)])
    made.add_links([_link("child", f"./{month}/catalog.json") for month in months])
    return made


def _providers(dated: Sequence[tuple[Row, datetime]]) -> list[Provider]:
    versions = sorted({row.tags.get("SPECTF_VERSION", "") for row, _ in dated} - {""})
    about = f"The software that made the masks: spectf-cloud {', '.join(versions)}".rstrip()
    software = Provider("SpecTf Cloud", about, [pystac.ProviderRole.PROCESSOR])
    if not any(_OF_JPL.match(row.id) and SIMULATED_TAG not in row.tags for row, _ in dated):
        return [software]
    measured = "Measured the radiance and calibrated it"
    return [Provider("NASA Jet Propulsion Laboratory", measured, [pystac.ProviderRole.PRODUCER], _JPL), software]


def _link(rel: str, href: str) -> Link:
    return Link(rel, href, MediaType.JSON)


def _write(path: Path, thing: Item | Catalog) -> None:
    text = json.dumps(thing.to_dict(include_self_link=False, transform_hrefs=False), indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
