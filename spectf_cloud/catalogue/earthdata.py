"""EMIT granules from NASA's archive through earthaccess: search, and sessions to download."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from spectf_cloud.catalogue.granules import Granule, is_data_place, pair, read_name
from spectf_cloud.catalogue.search import Search
from spectf_cloud.errors import InputError
from spectf_cloud.files import extras

#: The collection of radiance with observation geometry.
EMIT_L1B = "EMITL1BRAD"
_HOSTS = (".earthdatacloud.nasa.gov", ".earthdata.nasa.gov")


def emit_granules(search: Search) -> list[Granule]:
    """Return granules that NASA's search (CMR) finds, with their files' addresses. Raises `InputError`."""
    extras.need("earthdata", "a search for EMIT granules")
    import earthaccess

    bounds: dict[str, Any] = {"short_name": search.collection or EMIT_L1B}
    if search.box_deg is not None:
        bounds["bounding_box"] = search.box_deg
    if search.interval is not None:
        bounds["temporal"] = tuple(moment.isoformat() if moment else None for moment in search.interval)
    if search.cloud_cover is not None:
        bounds["cloud_cover"] = (0, search.cloud_cover)
    try:
        results = earthaccess.search_data(**bounds)
    except Exception as error:  # its HTTP stack may raise anything
        raise InputError(f"NASA's search did not answer ({type(error).__name__}: {error})") from error
    granules = list(granules_of(results))
    if not granules:
        raise InputError(f"NASA's search found no granule of {bounds['short_name']} within these bounds")
    return granules


def granules_of(results: Iterable[Any]) -> Iterator[Granule]:
    """Yield granules from those of earthaccess's results that have radiance."""
    for result in results:
        links = [link for link in result.data_links(access="external") if is_data_place(link)]
        found = pair(link for link in links if read_name(link))
        yield from found.granules


def needs_login(address: str) -> bool:
    """Return whether this is a NASA address, which needs an Earthdata login."""
    return (urlsplit(address).hostname or "").endswith(_HOSTS)


@cache
def session() -> Any:
    """Log in with EARTHDATA_… variables or ~/.netrc, and return the requests session. Raises `InputError`."""
    extras.need("earthdata", "a download from NASA")
    import earthaccess

    for strategy in ("environment", "netrc"):
        try:
            if earthaccess.login(strategy=strategy).authenticated:
                return earthaccess.get_requests_https_session()
        except Exception:  # no such credentials, or refused: try the next way
            continue
    raise InputError("no Earthdata login; set EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or add it to ~/.netrc")
