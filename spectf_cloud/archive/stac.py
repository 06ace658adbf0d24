"""Granules of a STAC catalogue: a static one, read by pystac, or an API, searched by pystac-client."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pystac

from spectf_cloud.archive import extras
from spectf_cloud.archive.granules import Granule, is_address, read_name
from spectf_cloud.archive.search import Search
from spectf_cloud.errors import InputError

_TIMEOUT_S = 60.0
_RETRIES = 5
_RETRY_STATUS = (429, 500, 502, 503, 504)


def stac_granules(source: str, search: Search) -> list[Granule]:
    """Granules of a static catalogue (a .json) or of an API (any other address), in the order of their ids.

    An item counts where one of its assets is radiance by its name. Answers such as 503 are asked for again, a few
    times, with growing pauses. Raises `InputError`.
    """
    try:
        with warnings.catch_warnings():
            # pystac-client says so when what it walks through is no API: here it is meant.
            warnings.filterwarnings("ignore", message="Falling back to pystac")
            items = _static_items(source) if source.endswith(".json") else _searched_items(source, search)
            found = [_granule(item) for item in items if _admitted(item, search)]
    except InputError:
        raise
    except Exception as error:  # whatever the libraries and the network raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{source}: the catalogue cannot be read ({reason[:300]})") from error
    granules = sorted(granule for granule in found if granule is not None)
    if not granules:
        raise InputError(f"{source}: no item with EMIT radiance within the bounds of the search")
    return granules


def _static_items(source: str) -> Iterator[pystac.Item]:
    io = _patient_io() if is_address(source) else pystac.StacIO.default()
    content = json.loads(io.read_text(source))
    if content.get("type") == "FeatureCollection":
        yield from pystac.ItemCollection.from_dict(content)
        return
    thing: Any = io.read_stac_object(source)
    if isinstance(thing, pystac.Item):
        yield thing
    else:
        yield from thing.get_items(recursive=True)


def _searched_items(address: str, search: Search) -> Iterator[pystac.Item]:
    extras.need("pystac_client", "a STAC API")
    from pystac_client import Client

    client = Client.open(address, stac_io=_patient_io())
    found = client.search(
        collections=[search.collection] if search.collection else None,
        bbox=search.box_deg,
        datetime=search.interval,
    )
    yield from found.items()


def _patient_io() -> Any:
    extras.need("pystac_client", "a STAC catalogue on the network")
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    # The last bad answer is reported as itself rather than as too many attempts.
    retry = Retry(
        total=_RETRIES,
        backoff_factor=0.5,
        status_forcelist=_RETRY_STATUS,
        allowed_methods=None,
        raise_on_status=False,
    )
    return StacApiIO(max_retries=retry, timeout=_TIMEOUT_S)


def _admitted(item: pystac.Item, search: Search) -> bool:
    box: Any = tuple(item.bbox) if item.bbox and len(item.bbox) == 4 else None
    return search.admits(item.collection_id, box, item.datetime, item.properties.get("eo:cloud_cover"))


def _granule(item: pystac.Item) -> Granule | None:
    places: dict[str, str] = {}
    ids = set()
    for asset in item.assets.values():
        place = asset.get_absolute_href() or asset.href
        name = read_name(place)
        if name and name[1] not in places:
            places[name[1]] = place if is_address(place) else str(Path(place))
            ids.add(name[0])
    if "radiance" not in places:
        return None
    return Granule(sorted(ids)[0], places["radiance"], places.get("observation"))
