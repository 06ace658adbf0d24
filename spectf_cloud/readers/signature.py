"""What a file is that no reader takes, told by its first bytes."""

from __future__ import annotations

from pathlib import Path

# An end mark of POSIX tar stands here.
_TAR_AT = 257
_UNPACK = "unpack it and give the file in it"
_REWRITE = "rewrite it as netCDF-4 with: nccopy -k nc4 IN OUT"
_SIGNATURES = (
    (b"CDF\x01", "a netCDF-3 (classic) file", _REWRITE),
    (b"CDF\x02", "a netCDF-3 (64-bit offset) file", _REWRITE),
    (b"CDF\x05", "a netCDF-3 (CDF-5) file", _REWRITE),
    (b"\x0e\x03\x13\x01", "an HDF4 file", "convert it to netCDF-4/HDF5, for example with h4toh5"),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"II*\x00", "a TIFF image", "give the file of the scene"),
    (b"MM\x00*", "a TIFF image", "give the file of the scene"),
    (b"%PDF", "a PDF document", "give the file of the scene"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "fetch them with: git lfs pull"),
)
_LOG_IN = "log in to the archive (Earthdata Login) and download the file again"
_TEXTS = (
    (b"<!doctype html", "a web page, such as a log-in page", _LOG_IN),
    (b"<html", "a web page, such as a log-in page", _LOG_IN),
    (b"<?xml", "an XML document, such as a server's error message", _LOG_IN),
    (b"{", "a JSON document, such as a server's error message", _LOG_IN),
)


def other_format(path: Path) -> str | None:
    """What the file is, and the way out; None where that is not known. Raises `OSError`."""
    with path.open("rb") as stream:
        start = stream.read(512)
    if not start:
        return "is empty; download it again"
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return f"is a tar archive; {_UNPACK}"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = [(what, way_out) for mark, what, way_out in _SIGNATURES if start.startswith(mark)]
    found += [(what, way_out) for mark, what, way_out in _TEXTS if text.startswith(mark)]
    return f"is {found[0][0]}; {found[0][1]}" if found else None
