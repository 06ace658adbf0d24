"""Where a raster is: a file, a file in a zip or tar, or one on a server, however it is written down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from spectf_cloud.errors import InputError
from spectf_cloud.readers.delivery import Delivery, is_archive, open_delivery
from spectf_cloud.readers.names import address_of

#: For reads over the network: no listing of folders, and an end to waiting.
_HTTP = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_RETRY_DELAY": "1",
}
# GDAL's names of a member of an archive, with or without braces around the archive.
_VSI_ARCHIVE = re.compile(r"/vsi(?:zip|tar)/(.+)", re.DOTALL)
_TIFF_SUFFIXES = (".tif", ".tiff", ".gtiff")
_ONLY_TIFF = "only GeoTIFF is read in an archive or over the network, in parts"


@dataclass(frozen=True, eq=False)
class Place:
    """Where something is.

    path
        What to call it: as it was written, without what is secret in an address.
    name
        What GDAL opens it by, where that is not its path.
    local
        The files on this machine that hold it, where that is not its path.
    delivery
        The archive it is in, which must be kept as long as it is read.
    address
        Of a file on a server, as `path` but with both slashes.
    inner
        What of the archive at `path` was meant, a folder or another file than a GeoTIFF: readers of products may know.
    """

    path: Path
    name: str | None = None
    local: tuple[Path, ...] | None = None
    delivery: Delivery | None = None
    address: str = ""
    inner: str = ""

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Let GDAL read there, and say failures of the network as such. Raises `InputError`."""
        if not self.address:
            yield
            return
        import rasterio

        try:
            with rasterio.Env(**_HTTP):
                yield
        except InputError as error:
            cause = error.__cause__
            reason = " ".join(str(cause.__cause__ or cause).split()) if cause else str(error)
            raise InputError(
                f"{self.address}: cannot be read in parts ({_without_query(reason)}); a GeoTIFF on a server that sends "
                "parts of files is needed; else download it and give the local file"
            ) from error


def find_place(spec: str | os.PathLike[str]) -> Place:
    """Find what a path, an address or a ``/vsi…`` name stands for. Raises `InputError` naming the way out."""
    text = os.fspath(spec)
    if found := _VSI_ARCHIVE.fullmatch(text):
        return _of_archive_name(text, found[1])
    address = text if "://" in text else address_of(Path(text))
    if address is not None:
        return _of_address(address)
    path = Path(text)
    try:
        return Place(path) if path.exists() else _within(path) or Place(path)
    except (OSError, ValueError) as error:  # too long for a name, or a null byte in it
        raise InputError(f"{text[:200]!r}: cannot be read: {error}") from error


def the_image(place: Place) -> Place:
    """Find the one GeoTIFF in an archive, or in the folder of it that was meant. Raises `InputError` otherwise."""
    if place.name is not None or not is_archive(place.path):
        return place
    delivery, asked = open_delivery(place.path), place.path / place.inner
    if place.inner in delivery.names:
        raise InputError(f"{asked}: {_ONLY_TIFF}; unpack the archive and give the file")
    start = f"{place.inner}/" if place.inner else ""
    tiffs = [name for name in delivery.names if name.startswith(start) and name.lower().endswith(_TIFF_SUFFIXES)]
    if len(tiffs) == 1:
        return _of_member(place.path / tiffs[0], tiffs[0], delivery)
    if not tiffs:
        raise InputError(f"{asked} holds no product that is known and no GeoTIFF; unpack it and give a file")
    raise InputError(f"{asked} holds several images; name one of them: {_listed(place.path, tiffs)}")


def _within(path: Path) -> Place | None:
    """Find a file within an archive on the way to a path that is not there itself."""
    for archive in path.parents:
        if archive.is_dir():
            return None
        if archive.is_file():
            if not is_archive(archive):
                return None
            inner = path.relative_to(archive).as_posix()
            delivery = open_delivery(archive)
            if inner in delivery.names and inner.lower().endswith(_TIFF_SUFFIXES):
                return _of_member(path, inner, delivery)
            if any(name == inner or name.startswith(f"{inner}/") for name in delivery.names):
                return Place(archive, inner=inner)
            raise InputError(f"{archive} holds no {inner}; it holds {_listed(archive, list(delivery.names))}")
    return None


def _of_member(path: Path, inner: str, delivery: Delivery) -> Place:
    return Place(path, delivery.gdal_path(inner), (delivery.path,), delivery)


def _of_archive_name(text: str, rest: str) -> Place:
    """Find a member by GDAL's name: a path without its first slash may be meant, which a Path takes away."""
    if "://" in rest or address_of(Path(rest.lstrip("/"))) or "/vsi" in f"/{rest}":
        raise InputError(f"{_without_query(text)}: archives are not read over the network; download it")
    rest = rest.replace("{", "", 1).replace("}", "", 1) if rest.startswith("{") else rest
    for path in (Path(rest), Path(f"/{rest}")):
        found = Place(path) if path.exists() else _within(path)
        if found:
            return found
    raise InputError(f"{text} does not exist")


def _of_address(address: str) -> Place:
    shown = _without_query(address.removeprefix("/vsicurl/").replace("/vsis3/", "s3://"))
    scheme, _, rest = shown.partition("://")
    suffix = Path(rest).suffix.lower()
    if scheme.lower() not in ("http", "https", "s3") or (suffix and suffix not in _TIFF_SUFFIXES):
        raise InputError(f"{shown}: {_ONLY_TIFF}, at http, https or s3 addresses; download it and give the local file")
    s3 = scheme.lower() == "s3"
    name = f"/vsis3/{rest}" if s3 else f"/vsicurl/{address.removeprefix('/vsicurl/')}"
    return Place(Path(shown), name, (), address=shown)


def _without_query(address: str) -> str:
    """An address without its query and its password, which may be secret."""
    shown = re.sub(r"\?[^\s)'\"]*", "", address)
    user = urlsplit(shown).netloc.rpartition("@")[0] if "://" in shown else ""
    return shown.replace(f"{user}@", "", 1) if user else shown


def _listed(archive: Path, names: list[str]) -> str:
    few = ", ".join(str(archive / name) for name in names[:3])
    return few + (f", … ({len(names)} in all)" if len(names) > 3 else "")
