"""Remote granules, fetched to local scratch for as long as they are needed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from spectf_cloud.catalogue import earthdata
from spectf_cloud.catalogue.granules import Granule, check_source, file_name, is_address
from spectf_cloud.errors import InputError, OutputError
from spectf_cloud.files.download import RefusedError, fetch
from spectf_cloud.files.file_lock import claim
from spectf_cloud.readers.names import HDF5_SUFFIXES, other_halves, suffix_of

# Disk space left free for others, and how long to wait for other scenes to make room.
_MARGIN_BYTES = 256 * 2**20
_ROOM_WAIT_S, _ROOM_PAUSE_S = 3600.0, 5.0
_HDF5_BEGINS = b"\x89HDF"


@contextmanager
def local_files(granule: Granule, scratch: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield radiance and observation as local files; delete fetched ones afterwards.

    A scene waits until scratch has room for it. Raises `InputError` for what cannot be fetched, `OutputError` if
    scratch stays full.
    """
    sources = [granule.radiance, granule.observation]
    for source in sources:
        check_source(source or "")
    if not any(source is not None and is_address(source) for source in sources):
        yield Path(granule.radiance), None if granule.observation is None else Path(granule.observation)
        return
    with _own_folder(scratch) as folder:
        places = [_local(source, folder / role) if source else None for role, source in zip("ro", sources, strict=True)]
        assert places[0] is not None
        yield places[0], places[1]


def _local(source: str, folder: Path) -> Path:
    if not is_address(source):
        return Path(source)
    folder.mkdir()
    target = folder / file_name(source)
    _fetch(source, target)
    if not _is_hdf5(target):
        _fetch_other_half(source, target)
    return target


def _is_hdf5(path: Path) -> bool:
    if suffix_of(path.name) in HDF5_SUFFIXES:
        return True
    with path.open("rb") as stream:
        return stream.read(len(_HDF5_BEGINS)) == _HDF5_BEGINS


def _fetch_other_half(address: str, target: Path) -> Path:
    """Fetch the header of ENVI data, or the data of a header. Raises `InputError` if neither is there."""
    parts = urlsplit(address)
    halves = other_halves(target.name)
    for half in halves:
        try:
            place = parts._replace(path=f"{parts.path.rpartition('/')[0]}/{quote(half)}")
            return _fetch(place.geturl(), target.with_name(half))
        except RefusedError:
            continue
    raise InputError(
        f"{address} is neither netCDF nor ENVI with {' or '.join(halves[:2])} next to it; check the address"
    )


def _fetch(address: str, target: Path) -> Path:
    session = earthdata.session() if earthdata.needs_login(address) else None
    fetch(address, target, session=session, reserve=lambda descriptor, size: _reserve(descriptor, size, target))
    return target


def _reserve(descriptor: int, size: int, target: Path) -> None:
    """Reserve disk space before the download, waiting for other scenes to free theirs."""
    waited_s = 0.0
    while True:
        if shutil.disk_usage(target.parent).free >= size + _MARGIN_BYTES:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(descriptor, 0, size)
                return
            except OSError:  # another scene was faster
                os.ftruncate(descriptor, 0)
        if waited_s >= _ROOM_WAIT_S:
            raise OutputError(
                f"{target.parent}: no room for {size / 1e9:.2g} GB after an hour; choose another --scratch"
            )
        time.sleep(_ROOM_PAUSE_S)
        waited_s += _ROOM_PAUSE_S


@contextmanager
def _own_folder(scratch: Path) -> Iterator[Path]:
    """Make a folder for this scene alone; first remove those left by killed workers."""
    with ExitStack() as stack:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            with claim(scratch / ".spectf-scratch", keep=True):
                _sweep(scratch)
                folder = Path(tempfile.mkdtemp(prefix="spectf-", dir=scratch))
                stack.enter_context(claim(folder / ".owner"))
        except OSError as error:
            raise OutputError(
                f"{scratch} cannot be used as scratch ({error.strerror or error}); choose another --scratch"
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(scratch: Path) -> None:
    for folder in scratch.glob("spectf-*"):
        with claim(folder / ".owner", wait=False) as mine:
            if mine is not None:
                shutil.rmtree(folder, ignore_errors=True)
