"""Downloads: retried, resumed where they stopped, and checked against the published checksums."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pooch
import requests

from spectf_cloud.errors import InputError, OutputError, UsageError

logger = logging.getLogger(__name__)

ZENODO_URL = "https://zenodo.org/api/records/"
#: The published training data: two hand-labelled sets, and a third added later.
PUBLISHED_DOIS = ("10.5281/zenodo.14607937", "10.5281/zenodo.15833303")
_MAX_ATTEMPTS = 6
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 60.0
_TIMEOUT_S = 60.0
_BLOCK_BYTES = 2**18
# Status codes worth another try.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class RefusedError(InputError):
    """The server does not have the file, or does not give it to this user."""


class _PassingError(Exception):
    """A failure that another try may not meet."""


@dataclass(frozen=True)
class RecordFile:
    """One file of a record: name, size in bytes, checksum as ``algorithm:hex``, address."""

    name: str
    size: int
    checksum: str
    url: str


def fetch(
    url: str,
    target: Path,
    *,
    size: int = 0,
    session: requests.Session | None = None,
    reserve: Callable[[int, int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Download to ``target``, continuing an earlier attempt.

    Broken connections and answers such as 503 are tried again, with growing pauses.

    Parameters
    ----------
    size
        Bytes of the whole file; 0 for the number that the server gives.
    session
        A session with a login, where the server needs one.
    reserve
        Called with the open file's descriptor and its size in bytes, to make room before the first byte arrives.
    progress
        Called with the bytes downloaded so far and ``size``.

    Raises
    ------
    InputError
        The file cannot be downloaded; `RefusedError` where the server refuses it.
    OutputError
        It cannot be written.
    """
    try:
        target.touch()
        with target.open("r+b") as stream:
            done = stream.seek(0, os.SEEK_END)
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                try:
                    for here in _receive(url, stream, done, size, session, reserve):
                        done = here
                        if progress:
                            progress(done, size)
                    return
                except _PassingError as error:
                    if attempt == _MAX_ATTEMPTS:
                        raise InputError(f"{url}: {error}, {attempt} times; run again later") from error
                time.sleep(min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _MAX_PAUSE_S) * random.uniform(0.75, 1.25))
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error.strerror or error}") from error


def _receive(
    url: str,
    stream: BinaryIO,
    done: int,
    size: int,
    session: requests.Session | None,
    reserve: Callable[[int, int], None] | None,
) -> Iterator[int]:
    """Write what is missing after ``done`` bytes; yield how many there are. Raises `_PassingError`, `RefusedError`."""
    with _answer(url, done, session) as answer:
        if answer.status_code != requests.codes.partial_content:  # the whole file, from its start
            stream.truncate(done := 0)
        coming = int(answer.headers.get("Content-Length") or 0)
        total = size or (coming and done + coming)
        if reserve and total and not done:  # an earlier attempt has reserved already
            reserve(stream.fileno(), total)
        stream.seek(done)
        yield done
        try:
            for block in answer.iter_content(_BLOCK_BYTES):
                stream.write(block)
                yield (done := done + len(block))
        except requests.RequestException as error:
            raise _PassingError(f"the download broke off ({type(error).__name__})") from error
    if total and done != total:
        raise _PassingError(f"{done:,} of {total:,} bytes arrived")


def _answer(url: str, start: int, session: requests.Session | None) -> requests.Response:
    # If it were compressed for transport, its length would not be that of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        answer = (session or requests).get(url, headers=headers, stream=True, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise _PassingError(f"no answer ({type(error).__name__})") from error
    if answer.status_code >= 400:
        answer.close()
        if answer.status_code in _PASSING:
            raise _PassingError(f"the server answered {answer.status_code}")
        advice = "check its login" if answer.status_code in (401, 403) else "check the address"
        raise RefusedError(f"{url}: the server answered {answer.status_code}; {advice}")
    return answer


def fetch_pinned(url: str, sha256: str, path: Path) -> Path:
    """Return ``path`` with the published content, which is downloaded if missing. Raises `InputError`."""
    if not path.is_file():
        logger.info("downloading %s", url)
        pooch.get_logger().setLevel("WARNING")
        try:
            pooch.retrieve(url, sha256, path.name, path.parent)
        except ValueError:  # pooch has deleted a download with another checksum
            raise InputError(
                f"{url}: the downloaded file is not the published one (sha256 differs); "
                f"fetch it by hand and place it at {path}"
            ) from None
        except Exception as error:  # name, route, proxy, disk
            raise InputError(f"cannot download {url} ({type(error).__name__}); place the file at {path}") from error
    elif not _is_published(path, f"sha256:{sha256}"):
        raise InputError(f"{path} is not the published file (sha256 differs); remove it and fetch it again")
    return path


def list_record(doi: str) -> list[RecordFile]:
    """Return the files of a Zenodo record. Raises `InputError`, `UsageError` for another DOI than Zenodo's."""
    match = re.search(r"zenodo\.(\d+)$", doi.strip())
    if not match:
        raise UsageError(f"{doi!r} is not a Zenodo DOI (expected e.g. {PUBLISHED_DOIS[0]})")
    url = ZENODO_URL + match[1]
    try:
        answer = requests.get(url, timeout=_TIMEOUT_S)
        if not answer.ok:
            raise InputError(f"{url}: the server answered {answer.status_code}; check the DOI")
        return [
            RecordFile(Path(item["key"]).name, int(item["size"]), str(item["checksum"]), str(item["links"]["self"]))
            for item in answer.json()["files"]
        ]
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{url}: the record cannot be read ({type(error).__name__}); is there a network?") from error


def fetch_file(file: RecordFile, folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download to ``folder``, resuming an earlier attempt; the file gets its name once the checksum fits.

    Raises `OutputError` for a full disk or an unusable folder, and `InputError` where the download fails or differs.
    """
    target, partial = folder / file.name, folder / f".{file.name}.part"
    if not file.url.startswith(("https://", "http://127.0.0.1")):
        raise InputError(f"{file.url} is not an https address")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_file():
            if target.stat().st_size == file.size and _is_published(target, file.checksum):
                return target
            raise OutputError(f"{target} exists and is not the published file; move it away")
        if partial.exists() and partial.stat().st_size > file.size:
            partial.unlink()
        missing = file.size - (partial.stat().st_size if partial.exists() else 0)
        if (free := shutil.disk_usage(folder).free) < missing:
            needed, left = (size / 2**30 for size in (missing, free))
            raise OutputError(f"{folder}: {needed:.1f} GiB are needed and {left:.1f} GiB are free")
        if missing:
            fetch(file.url, partial, size=file.size, progress=progress)
        if not _is_published(partial, file.checksum):
            partial.unlink()
            raise InputError(f"{file.url}: the downloaded file is not the published one (checksum differs); try again")
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error.strerror or error}") from error
    return target


def _is_published(path: Path, checksum: str) -> bool:
    algorithm, _, value = checksum.rpartition(":")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm or "md5").hexdigest() == value.lower()
