"""A product of many files as it was delivered: a folder, a zip or a tar, its files named as they are within it."""

from __future__ import annotations

import fnmatch
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from spectf_cloud.errors import InputError

#: A product has fewer files, its metadata are smaller, and its images do not unpack to more.
MAX_FILES = 20_000
MAX_METADATA_BYTES = 64 * 2**20
MAX_UNPACKED_BYTES = 64 * 2**30
#: Images are packed already: what unpacks to many times its size was made to fill a disk.
MAX_PACKING = 200
#: What reading a damaged archive raises.
_DAMAGED = (
    OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Delivery:
    """Files of one product. Nothing but names is read before it is asked for.

    path
        What the user named: a folder, or an archive.
    names
        Files relative to it, with ``/`` between the parts, sorted.
    """

    path: Path
    names: tuple[str, ...]
    _prefix: str
    _open: Callable[[str], IO[bytes]]
    #: Of compressed members, where a reader would have to unpack from the start for every window.
    _unpacked: tempfile.TemporaryDirectory[str] | None = None
    _copies: dict[str, str] = field(default_factory=dict)

    def find(self, pattern: str) -> tuple[str, ...]:
        """Return the names that fit a shell pattern, in any case; ``*`` also stands for ``/``."""
        return tuple(name for name in self.names if fnmatch.fnmatchcase(name.lower(), pattern.lower()))

    def read(self, name: str) -> bytes:
        """Read a small file whole, such as metadata. Raises `InputError`."""
        try:
            with self._open(name) as stream:
                content = stream.read(MAX_METADATA_BYTES + 1)
        except (*_DAMAGED, KeyError) as error:
            raise InputError(f"{self.path}: {name} cannot be read ({error}); is it complete?") from error
        if len(content) > MAX_METADATA_BYTES:
            raise InputError(f"{self.path}: {name} is larger than {MAX_METADATA_BYTES >> 20} MiB, no metadata")
        return content

    def gdal_path(self, name: str) -> str:
        """Return what GDAL opens one of the files by; compressed members are unpacked into a temporary folder."""
        if name not in self.names:
            raise InputError(f"{self.path}: {name} is missing")
        if self._unpacked is None:
            return f"{self._prefix}{name}"
        if name not in self._copies:
            copy = Path(self._unpacked.name) / f"{len(self._copies)}-{PurePosixPath(name).name}"
            try:
                with self._open(name) as stream, copy.open("wb") as target:
                    while piece := stream.read(2**20):
                        target.write(piece)
            except _DAMAGED as error:
                raise InputError(f"{self.path}: {name} cannot be unpacked ({error}); is it complete?") from error
            self._copies[name] = str(copy)
        return self._copies[name]


def open_delivery(path: Path) -> Delivery:
    """Open a folder, a zip or a tar; for any other file, the folder it is in. Raises `InputError`."""
    try:
        if path.is_dir():
            return _of_folder(path)
        if zipfile.is_zipfile(path):
            return _of_zip(path)
        if path.is_file() and tarfile.is_tarfile(path):
            return _of_tar(path)
        if path.is_file():
            return _of_folder(path.parent)
    except _DAMAGED as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    raise InputError(f"{path} does not exist")


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar, compressed or not, by its content."""
    try:
        return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))
    except _DAMAGED:
        return False


def _of_folder(folder: Path) -> Delivery:
    names = []
    for file in folder.rglob("*"):
        if file.is_file():
            names.append(file.relative_to(folder).as_posix())
        if len(names) > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES} files; name the folder of one product")
    return Delivery(folder, tuple(sorted(names)), f"{folder.resolve()}/", lambda name: (folder / name).open("rb"))


def _of_zip(path: Path) -> Delivery:
    archive = zipfile.ZipFile(path)
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    for entry in files:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{path}: {entry.filename} is a link, which no product holds; unpack it by hand")
        if entry.flag_bits & 1:
            raise InputError(f"{path}: {entry.filename} is encrypted; unpack it by hand")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in files)
    names = _checked(path, [entry.filename for entry in files], sum(entry.file_size for entry in files))
    prefix = f"/vsizip/{{{path.resolve()}}}/"
    return Delivery(
        path, names, prefix, archive.open, tempfile.TemporaryDirectory(prefix="spectf-") if packed else None
    )


def _of_tar(path: Path) -> Delivery:
    archive = tarfile.open(path)  # noqa: SIM115 - it stays open for what is asked of it later
    members = {}
    for member in archive:
        if member.isfile():
            members[member.name.removeprefix("./")] = member
        elif not member.isdir():
            raise InputError(f"{path}: {member.name} is a link or a device, which no product holds; unpack it by hand")
        if len(members) > MAX_FILES:
            break
    names = _checked(path, list(members), sum(member.size for member in members.values()))

    def opened(name: str) -> IO[bytes]:
        stream = archive.extractfile(members[name])
        if stream is None:
            raise KeyError(name)
        return stream

    with path.open("rb") as stream:
        packed = stream.read(262)[257:] != b"ustar"
    # GDAL knows members by the very names of the archive.
    prefix = f"/vsitar/{{{path.resolve()}}}/"
    same = all(member.name == name for name, member in members.items())
    unpacked = tempfile.TemporaryDirectory(prefix="spectf-") if packed or not same else None
    return Delivery(path, names, prefix, opened, unpacked)


def _checked(path: Path, names: list[str], unpacked_bytes: int) -> tuple[str, ...]:
    """Refuse names that lead out of the archive, and sizes that no product has."""
    if len(names) > MAX_FILES:
        raise InputError(f"{path} holds more than {MAX_FILES} files; that is not one product")
    for name in names:
        if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts or "\0" in name:
            raise InputError(f"{path}: the name {name!r} leads out of the archive; do not trust this file")
    if unpacked_bytes > min(MAX_UNPACKED_BYTES, max(path.stat().st_size * MAX_PACKING, MAX_METADATA_BYTES)):
        raise InputError(f"{path} unpacks to {unpacked_bytes:.3g} bytes, more than any product; do not trust this file")
    if len(set(names)) < len(names):
        raise InputError(f"{path} holds two files of one name; unpack it by hand")
    return tuple(sorted(names))
