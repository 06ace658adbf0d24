"""Granules of a STAC catalogue: a static one read by pystac, or an API searched by pystac-client."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pystac

from spectf_cloud.catalogue.assets import offers_of
from spectf_cloud.catalogue.granules import READABLE_SCHEMES, Granule, is_address, scheme_of
from spectf_cloud.catalogue.search import Search
from spectf_cloud.errors import InputError

logger = logging.getLogger(__name__)

# Addresses of catalogues, items and pages of items; any other address is an API.
_STATIC = re.compile(r"\.(geo)?json$|/items(/[^/]+)?/?$", re.IGNORECASE)
_TIMEOUT_S = 60.0
_RETRIES = 5
_RETRY_STATUS = (429, 500, 502, 503, 504)


def stac_offers(source: str, search: Search) -> list[str | Granule]:
    """Return granules of a static catalogue (.json, .geojson, an item) or an API, and OBS files of other items.

    An item counts if one of its assets is radiance. Answers such as 503 are retried a few times with growing pauses.
    Raises `InputError`.
    """
    try:
        with warnings.catch_warnings():
            # pystac-client warns when it reads a catalogue that is not an API: here that is intended.
            warnings.filterwarnings("ignore", message="Falling back to pystac")
            items = _static_items(source) if _is_static(source) else _searched_items(source, search)
            offers = [
                offer
                for item in items
                for offer in offers_of(item, source)
                if isinstance(offer, str) or _admitted(item, search)
            ]
    except InputError:
        raise
    except Exception as error:  # the libraries and the network may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{source}: the catalogue cannot be read ({reason[:300]})") from error
    schemes = {scheme_of(offer.radiance) for offer in offers if isinstance(offer, Granule)}
    if not schemes:
        raise InputError(f"{source}: no item with radiance within the bounds of the search; widen them")
    if not schemes & set(READABLE_SCHEMES):
        raise InputError(
            f"{source}: its radiance is only at {schemes.pop()}://, which is not supported; "
            "give a catalogue with https:// addresses, or local copies"
        )
    return offers


def _is_static(source: str) -> bool:
    return not is_address(source) or bool(_STATIC.search(urlsplit(source).path))


def _static_items(source: str) -> Iterator[pystac.Item]:
    io = _patient_io() if is_address(source) else pystac.StacIO.default()
    read: set[str] = set()
    place: str | None = source
    while place is not None:
        read.add(place)
        content = json.loads(io.read_text(place))
        if content.get("type") != "FeatureCollection":
            thing: Any = io.read_stac_object(place)
            yield from [thing] if isinstance(thing, pystac.Item) else thing.get_items(recursive=True)
            return
        yield from pystac.ItemCollection.from_dict(content)
        further = [link.get("href") for link in content.get("links", ()) if link.get("rel") == "next"]
        place = next((href for href in further if is_address(source) and href not in read), None)
        if further and not is_address(source):
            logger.warning("%s is one page of several; give the address of the API to get them all", source)


def _searched_items(address: str, search: Search) -> Iterator[pystac.Item]:
    from pystac_client import Client

    client = Client.open(address, stac_io=_patient_io())
    found = client.search(
        collections=[search.collection] if search.collection else None,
        bbox=search.box_deg,
        datetime=search.interval,
    )
    yield from found.items()


def _patient_io() -> Any:
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    # Without raise_on_status, the last bad answer is reported instead of too many attempts.
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
