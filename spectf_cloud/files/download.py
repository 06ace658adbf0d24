"""Fetching data sets by DOI from Zenodo: resumed where it stopped, checked against the published checksum."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectf_cloud.errors import InputError, OutputError, SpectfError, UsageError

ZENODO_URL = "https://zenodo.org/api/records/"
#: The published training data: two hand-labelled sets, and a third added later.
PUBLISHED_DOIS = ("10.5281/zenodo.14607937", "10.5281/zenodo.15833303")
_BLOCK = 2**20
_TIMEOUT_S = 60


@dataclass(frozen=True)
class RecordFile:
    """One file of a record: name, size in bytes, checksum as ``algorithm:hex``, address."""

    name: str
    size: int
    checksum: str
    url: str


def list_record(doi: str) -> list[RecordFile]:
    """The files of a Zenodo record. Raises `UsageError` for a DOI that is none of Zenodo's, `InputError`."""
    match = re.search(r"zenodo\.(\d+)$", doi.strip())
    if not match:
        raise UsageError(f"{doi!r} is no DOI of Zenodo, such as {PUBLISHED_DOIS[0]}")
    url = ZENODO_URL + match[1]
    try:
        with _open(url) as response:
            record = json.load(response)
        return [
            RecordFile(Path(item["key"]).name, int(item["size"]), str(item["checksum"]), str(item["links"]["self"]))
            for item in record["files"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{url}: the record cannot be read ({_reason(error)}); is there a network?") from error


def fetch_file(file: RecordFile, folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download to ``folder``, going on with what an earlier attempt left; the name appears once the checksum fits.

    Raises `OutputError` without room or folder, and `InputError` where the download fails or differs.
    """
    target, partial = folder / file.name, folder / f".{file.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_file():
            if target.stat().st_size == file.size and _checksum(target, file.checksum):
                return target
            raise OutputError(f"{target} exists and is not the published file; move it away")
        have = partial.stat().st_size if partial.exists() else 0
        if have > file.size:
            partial.unlink()
            have = 0
        free = shutil.disk_usage(folder).free
        if free < file.size - have:
            needed, left = (size / 2**30 for size in (file.size - have, free))
            raise OutputError(f"{folder}: {needed:.1f} GiB are needed and {left:.1f} GiB are free")
        if have < file.size:
            _download(file, partial, have, progress)
        if not _checksum(partial, file.checksum):
            partial.unlink()
            raise InputError(f"{file.url}: what arrived is not the published file (checksum differs); fetch it again")
        partial.replace(target)
    except SpectfError:
        raise
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise InputError(f"{file.url}: the download broke off ({_reason(error)}); run again to go on") from error
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error.strerror or error}") from error
    return target


def _download(file: RecordFile, partial: Path, have: int, progress: Callable[[int, int], None] | None) -> None:
    with _open(file.url, have) as response:
        resumed = have > 0 and response.status == 206
        done = have if resumed else 0
        with partial.open("ab" if resumed else "wb") as stream:
            while block := response.read(_BLOCK):
                stream.write(block)
                done += len(block)
                if progress:
                    progress(done, file.size)
    if done < file.size:
        raise ConnectionError(f"{done:,} of {file.size:,} bytes")


def _open(url: str, start: int = 0) -> Any:
    if not url.startswith(("https://", "http://127.0.0.1")):
        raise InputError(f"{url} is not an https address")
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)


def _checksum(path: Path, expected: str) -> bool:
    algorithm, _, value = expected.rpartition(":")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm or "md5").hexdigest() == value.lower()


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error)) or type(error).__name__
