"""The outputs as a static STAC collection: one item a granule, gathered by month."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from spectf_cloud.archive.ledger import Row
from spectf_cloud.archive.receipts import granule_folder
from spectf_cloud.catalogue.granules import acquired, file_name, is_address
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.flags import SIMULATED_TAG
from spectf_cloud.products.footprint import bounds
from spectf_cloud.products.panels import CLEAR_COLOUR, CLOUD_COLOUR
from spectf_cloud.readers.names import HDF5_SUFFIXES, suffix_of

COLLECTION = "collection.json"
_STAC_VERSION = "1.1.0"
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
SpecTf Cloud claims no rights in the masks that it makes. The terms of the radiance that they were made from may hold
for them; each item's derived_from links name it. Whoever publishes the masks may put their own terms in place of this.
"""
# EMIT and AVIRIS, by the names of their granules.
_OF_JPL = re.compile(r"(emit|ang|av[35])\d{8}t|f\d{6}t\d\dp", re.IGNORECASE)
_JPL = "https://www.jpl.nasa.gov"
_GEOTIFF, _COG = "image/tiff; application=geotiff", "image/tiff; application=geotiff; profile=cloud-optimized"
# Media type, roles and title by kind of output.
_ASSETS: dict[str, tuple[str, list[str], str]] = {
    "mask": (_GEOTIFF, ["data", "cloud"], "Cloud mask on the sensor grid"),
    "probability": (_GEOTIFF, ["data"], "Cloud probability on the sensor grid"),
    "ortho": (_COG, ["data", "cloud"], "Cloud mask, orthorectified"),
    "netcdf": ("application/netcdf", ["data"], "Mask in the layout of EMIT's L2A mask"),
    "quicklook": ("image/png", ["overview"], "Quicklook"),
    "thumbnail": ("image/jpeg", ["thumbnail"], "True colour with the clouds' outline"),
}


def write_stac(rows: Iterable[Row], out: Path) -> Path:
    """Write items beside their outputs, a catalogue for each month, and the collection; returns its path.

    Granules whose id tells no time have no place in STAC and are left out. Files that would not change are not
    written. Raises `OutputError`.
    """
    dated = [(row, when) for row in rows if (when := acquired(row.id))]
    for row, when in dated:
        _write(granule_folder(out, row.id) / f"{row.id}.json", item(row, when))
    months = sorted({f"{when:%Y/%m}" for _, when in dated})
    for month in months:
        within = [(row.id, when) for row, when in dated if f"{when:%Y/%m}" == month]
        _write(out / month / "catalog.json", _month(month, within))
    if not (out / _LICENSE).exists():  # whoever publishes the masks may say more
        with atomic_output(out / _LICENSE) as temporary:
            temporary.write_text(_TERMS, encoding="utf-8")
    _write(out / COLLECTION, _collection(dated, months))
    return out / COLLECTION


def item(row: Row, when: datetime) -> dict[str, Any]:
    """The STAC item of a granule that is done."""
    properties: dict[str, Any] = {
        "datetime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
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
    place = {} if row.footprint is None else {"bbox": bounds(row.footprint)}
    return {
        "type": "Feature",
        "stac_version": _STAC_VERSION,
        "stac_extensions": _EXTENSIONS,
        "id": row.id,
        "collection": _ID,
        "geometry": row.footprint,
        **place,
        "properties": properties,
        "assets": {kind: _asset(kind, row) for kind in _ASSETS if kind in row.outputs},
        "links": [
            _link("root", f"../../../../{COLLECTION}"),
            _link("parent", "../../catalog.json"),
            _link("collection", f"../../../../{COLLECTION}"),
            *_sources(row),
        ],
    }


def _sources(row: Row) -> Iterator[dict[str, str]]:
    """Links to radiance and geometry, by address or absolute path."""
    for role, given in (("radiance", row.radiance), ("observation", row.observation)):
        place = row.inputs[role].path if role in row.inputs else given
        # Ledgers of old hold paths that counted from wherever the run was started: nobody knows what they name.
        if place and (is_address(place) or Path(place).is_absolute()):
            media = "application/netcdf" if suffix_of(file_name(place)) in HDF5_SUFFIXES else "application/octet-stream"
            yield {"rel": "derived_from", "href": place, "type": media, "title": role.capitalize()}


def _asset(kind: str, row: Row) -> dict[str, Any]:
    media, roles, title = _ASSETS[kind]
    asset: dict[str, Any] = {"href": f"./{row.outputs[kind].path}", "type": media, "roles": roles, "title": title}
    if kind == "ortho" and row.grid is not None:
        asset |= {f"proj:{name}": value for name, value in row.grid.items()}
    elif kind in ("mask", "probability"):
        asset |= {"proj:code": None, "proj:shape": [row.lines, row.samples]}
    if "cloud" in roles:
        asset["classification:classes"] = [
            _class(0, "clear", "No cloud", CLEAR_COLOUR),
            _class(1, "cloud", "Cloud", CLOUD_COLOUR),
            {"value": 255, "name": "no_data", "description": "Not measured", "nodata": True},
        ]
    return asset


def _class(value: int, name: str, description: str, colour: Sequence[int]) -> dict[str, Any]:
    hint = "".join(f"{part:02X}" for part in colour)
    return {"value": value, "name": name, "description": description, "color_hint": hint}


def _month(month: str, within: Iterable[tuple[str, datetime]]) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "stac_version": _STAC_VERSION,
        "id": f"{_ID}-{month.replace('/', '-')}",
        "description": f"{_ABOUT}, seen in {month.replace('/', '-')}",
        "links": [
            _link("root", f"../../{COLLECTION}"),
            _link("parent", f"../../{COLLECTION}"),
            *(
                {"rel": "item", "href": f"./{when:%d}/{name}/{name}.json", "type": "application/geo+json"}
                for name, when in within
            ),
        ],
    }


def _collection(dated: Sequence[tuple[Row, datetime]], months: Iterable[str]) -> dict[str, Any]:
    boxes = [bounds(row.footprint) for row, _ in dated if row.footprint is not None]
    # A box across the antimeridian makes the whole the world around.
    wests = [-180.0 if box[0] > box[2] else box[0] for box in boxes] or [-180.0]
    easts = [180.0 if box[0] > box[2] else box[2] for box in boxes] or [180.0]
    souths, norths = [box[1] for box in boxes] or [-90.0], [box[3] for box in boxes] or [90.0]
    times = [f"{when:%Y-%m-%dT%H:%M:%SZ}" for _, when in dated]
    return {
        "type": "Collection",
        "stac_version": _STAC_VERSION,
        "id": _ID,
        "description": _ABOUT,
        # Of the masks themselves: spectf-cloud claims none, and cannot know whose terms hold.
        "license": "other",
        "providers": _providers(dated),
        "item_assets": {
            kind: {"type": media, "roles": roles, "title": title}
            for kind, (media, roles, title) in _ASSETS.items()
            if any(kind in row.outputs for row, _ in dated)
        },
        "extent": {
            "spatial": {"bbox": [[min(wests), min(souths), max(easts), max(norths)]]},
            "temporal": {"interval": [[min(times, default=None), max(times, default=None)]]},
        },
        "links": [
            _link("root", f"./{COLLECTION}"),
            {"rel": "license", "href": f"./{_LICENSE}", "type": "text/plain"},
            *({"rel": "child", "href": f"./{month}/catalog.json", "type": "application/json"} for month in months),
        ],
    }


def _providers(dated: Sequence[tuple[Row, datetime]]) -> list[dict[str, Any]]:
    versions = sorted({row.tags.get("SPECTF_VERSION", "") for row, _ in dated} - {""})
    software = {
        "name": "SpecTf Cloud",
        "description": f"The software that made the masks: spectf-cloud {', '.join(versions)}".rstrip(),
        "roles": ["processor"],
    }
    if not any(_OF_JPL.match(row.id) and SIMULATED_TAG not in row.tags for row, _ in dated):
        return [software]
    measured = "Measured the radiance and calibrated it"
    return [
        {"name": "NASA Jet Propulsion Laboratory", "description": measured, "roles": ["producer"], "url": _JPL},
        software,
    ]


def _link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": "application/json"}


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
