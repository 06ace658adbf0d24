"""Granules that lie elsewhere, brought to local scratch for as long as they are needed."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from spectf_cloud.catalogue import earthdata
from spectf_cloud.catalogue.granules import Granule, check_source, file_name, is_address
from spectf_cloud.errors import InputError, OutputError
from spectf_cloud.files.file_lock import claim
from spectf_cloud.readers.names import HDF5_SUFFIXES, other_halves, suffix_of

_ATTEMPTS = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_TIMEOUT_S = 60.0
_BLOCK = 2**20
# Left free for others, and how long to wait for other scenes to make room.
_MARGIN_BYTES = 256 * 2**20
_ROOM_WAIT_S, _ROOM_PAUSE_S = 3600.0, 5.0
_HDF5_BEGINS = b"\x89HDF"
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@contextmanager
def local_files(granule: Granule, scratch: Path) -> Iterator[tuple[Path, Path | None]]:
    """Radiance and observation as local files; what was fetched is deleted afterwards.

    A scene waits until scratch has room for it. Raises `InputError` for what cannot be fetched, `OutputError`
    where scratch stays full.
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
    fetch(source, target)
    if not _is_hdf5(target):
        _fetch_other_half(source, target)
    return target


def _is_hdf5(path: Path) -> bool:
    if suffix_of(path.name) in HDF5_SUFFIXES:
        return True
    with path.open("rb") as stream:
        return stream.read(len(_HDF5_BEGINS)) == _HDF5_BEGINS


def _fetch_other_half(address: str, target: Path) -> None:
    """The header of ENVI data, or the data of a header, from beside it. Raises `InputError` where there is none."""
    parts = urlsplit(address)
    halves = other_halves(target.name)
    for half in halves:
        try:
            place = parts._replace(path=f"{parts.path.rpartition('/')[0]}/{quote(half)}")
            return fetch(place.geturl(), target.with_name(half))
        except _RefusedError:
            continue
    raise InputError(f"{address}: neither netCDF nor ENVI with {' or '.join(halves[:2])} beside it; check the address")


def fetch(address: str, target: Path) -> None:
    """Download, patiently: answers such as 503 and broken connections are tried again with growing pauses.

    Raises `InputError` once it is hopeless, `OutputError` where there is no room.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _download(address, target)
        except _Passing as error:
            if attempt == _ATTEMPTS:
                raise InputError(f"{address}: {error}, {attempt} times; run again later") from error
            pause_s = min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S)
            time.sleep(pause_s * random.uniform(0.75, 1.25))
    return None


class _RefusedError(InputError):
    """The server has no such file, or not for us."""


class _Passing(Exception):  # noqa: N818 - not for anyone outside
    """A failure that may pass."""


def _download(address: str, target: Path) -> None:
    blocks, expected = _open(address)
    done = 0
    with target.open("wb") as stream:
        if expected:
            _reserve(stream.fileno(), expected, target)
        try:
            for block in blocks:
                stream.write(block)
                done += len(block)
        except OSError as error:
            if error.errno is not None and not isinstance(error, (ConnectionError, TimeoutError)):
                raise OutputError(f"{target}: could not be written: {error.strerror}") from error
            raise _Passing(f"the download broke off ({error})") from error
        except Exception as error:  # http.client's and requests' own
            raise _Passing(f"the download broke off ({type(error).__name__})") from error
    if expected and done != expected:
        raise _Passing(f"{done:,} of {expected:,} bytes arrived")


def _open(address: str) -> tuple[Iterator[bytes], int]:
    """Blocks and their sum in bytes, 0 where the server does not tell."""
    if earthdata.needs_login(address):
        return _open_logged_in(address)
    try:
        response = urllib.request.urlopen(address, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        _refuse(address, error.code)
    except (OSError, ValueError) as error:
        raise _Passing(f"no answer ({getattr(error, 'reason', error)})") from error

    def blocks() -> Iterator[bytes]:
        with response:
            while block := response.read(_BLOCK):
                yield block

    return blocks(), int(response.headers.get("Content-Length") or 0)


def _open_logged_in(address: str) -> tuple[Iterator[bytes], int]:
    session = earthdata.session()
    try:
        response: Any = session.get(address, stream=True, timeout=_TIMEOUT_S)
    except Exception as error:  # requests' own
        raise _Passing(f"no answer ({type(error).__name__})") from error
    if response.status_code >= 400:
        _refuse(address, response.status_code)
    return response.iter_content(_BLOCK), int(response.headers.get("Content-Length") or 0)


def _refuse(address: str, status: int) -> NoReturn:
    if status in _PASSING:
        raise _Passing(f"the server answered {status}")
    way_out = "check its login" if status in (401, 403) else "check the address"
    raise _RefusedError(f"{address}: the server answered {status}; {way_out}")


def _reserve(descriptor: int, size: int, target: Path) -> None:
    """Take the room on disk before it is filled, waiting for other scenes to give theirs back."""
    waited_s = 0.0
    while True:
        if shutil.disk_usage(target.parent).free >= size + _MARGIN_BYTES:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(descriptor, 0, size)
                return
            except OSError:  # another scene was quicker
                os.ftruncate(descriptor, 0)
        if waited_s >= _ROOM_WAIT_S:
            raise OutputError(
                f"{target.parent}: no room for {size / 1e9:.2g} GB after an hour; choose another --scratch"
            )
        time.sleep(_ROOM_PAUSE_S)
        waited_s += _ROOM_PAUSE_S


@contextmanager
def _own_folder(scratch: Path) -> Iterator[Path]:
    """A folder of this scene alone; those that killed workers left are removed first."""
    with ExitStack() as stack:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            with claim(scratch / ".spectf-scratch", keep=True):
                _sweep(scratch)
                folder = Path(tempfile.mkdtemp(prefix="spectf-", dir=scratch))
                stack.enter_context(claim(folder / ".owner"))
        except OSError as error:
            raise OutputError(f"{scratch}: cannot be used as scratch: {error.strerror or error}") from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(scratch: Path) -> None:
    for folder in scratch.glob("spectf-*"):
        with claim(folder / ".owner", wait=False) as mine:
            if mine is not None:
                shutil.rmtree(folder, ignore_errors=True)
