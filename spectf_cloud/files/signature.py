"""Recognise a file by its first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectf_cloud.errors import InputError

_HEAD_BYTES = 512


@dataclass(frozen=True)
class Kind:
    """A kind of file: what to call it, and what to do about one where a scene is needed."""

    name: str
    way_out: str

    @property
    def packed(self) -> bool:
        """Return whether the wanted file may be inside."""
        return self.way_out == _UNPACK


_CONVERT = "convert it to GeoTIFF with: gdal_translate IN OUT.tif"
_UNPACK = "unpack it and give the file in it"
_LOG_IN = "it is often the answer to a download without login; log in and fetch the file"

TIFF = Kind("a TIFF", "")
HDF5 = Kind("a netCDF-4/HDF5 file", "give its own name, without the header")
JSON = Kind("a JSON text", _LOG_IN)
TEXT = Kind("a text", _LOG_IN)
_CLASSIC = Kind("a netCDF-3 (classic) file", "convert it with: nccopy -k nc4 IN OUT.nc")

# (position, bytes, kind). Shorter signatures would occur in raw numbers by chance.
_SIGNATURES = (
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"II+\0", TIFF),
    (0, b"MM\0+", TIFF),
    (0, b"\x89HDF\r\n\x1a\n", HDF5),
    (0, b"CDF\x01", _CLASSIC),
    (0, b"CDF\x02", _CLASSIC),
    (0, b"CDF\x05", _CLASSIC),
    (0, b"\x0e\x03\x13\x01", Kind("an HDF4 file", "convert it with: h4toh5 IN OUT.h5")),
    (0, b"\x89PNG\r\n\x1a\n", Kind("a PNG picture", _CONVERT)),
    (0, b"\xff\xd8\xff\xe0", Kind("a JPEG picture", _CONVERT)),
    (0, b"\xff\xd8\xff\xe1", Kind("a JPEG picture", _CONVERT)),
    (0, b"\0\0\0\x0cjP  ", Kind("a JPEG 2000 file", _CONVERT)),
    (0, b"\xff\x4f\xff\x51", Kind("a JPEG 2000 file", _CONVERT)),
    (0, b"NITF0", Kind("a NITF file", _CONVERT)),
    (0, b"NSIF0", Kind("a NITF file", _CONVERT)),
    (0, b"EHFA_HEADER_TAG", Kind("an ERDAS Imagine file", _CONVERT)),
    (0, b"PCIDSK", Kind("a PCIDSK file", _CONVERT)),
    (0, b"SIMPLE  =", Kind("a FITS file", _CONVERT)),
    (0, b"SQLite format 3\0", Kind("an SQLite or GeoPackage file", _CONVERT)),
    (0, b"PK\x03\x04", Kind("a zip archive", _UNPACK)),
    (0, b"\x1f\x8b\x08", Kind("a gzip archive", _UNPACK)),
    (0, b"BZh91AY&SY", Kind("a bzip2 archive", _UNPACK)),
    (0, b"\xfd7zXZ\0", Kind("an xz archive", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Kind("a zstd archive", _UNPACK)),
    (0, b"Rar!", Kind("a rar archive", _UNPACK)),
    (0, b"\x93NUMPY", Kind("a NumPy array", "give the file of the scene")),
    (0, b"%PDF-", Kind("a PDF document", "give the file of the scene")),
    (257, b"ustar", Kind("a tar archive", _UNPACK)),
)
# Matched in any case, after blanks.
_TEXTS = (
    (b"<!doctype html", Kind("a web page", _LOG_IN)),
    (b"<html", Kind("a web page", _LOG_IN)),
    (b"<vrtdataset", Kind("a GDAL virtual raster", _CONVERT)),
    (b"<?xml", Kind("an XML text", _LOG_IN)),
    (b"<error", Kind("an XML text", _LOG_IN)),
    (b"version https://git-lfs", Kind("a Git LFS pointer", "fetch the file with: git lfs pull")),
    (b"envi meta file", Kind("an ENVI meta file", "give one of the files it names")),
)


def kind_of(path: Path) -> Kind | None:
    """Return the kind of file by its first bytes; None for an unknown kind. Raises `InputError`."""
    head = _head(path)
    for place, magic, kind in _SIGNATURES:
        if head[place : place + len(magic)] == magic:
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"{") and text[1:].lstrip().startswith(b'"'):
        return JSON
    return next((kind for start, kind in _TEXTS if text.startswith(start)), None)


def is_text(path: Path) -> bool:
    """Return whether the file begins with printable ASCII. Raises `InputError`."""
    head = _head(path)
    return bool(head.strip()) and head.isascii() and all(c.isprintable() or c.isspace() for c in head.decode())


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
