"""The published files: addresses, checksums, and where they are kept on this machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from spectf_cloud.errors import InputError, WeightsError
from spectf_cloud.files.cache import cache_folder

BUILTIN = "builtin"

OFFICIAL_COMMIT = "2f7f05b7affa4eedb2c8e66f4efd8f225c8d55d5"
OFFICIAL_URL = f"https://raw.githubusercontent.com/emit-sds/SpecTf/{OFFICIAL_COMMIT}/spectf_cloud/"


@dataclass(frozen=True)
class RemoteFile:
    """One published file: its address under `OFFICIAL_URL`, its name in the cache, its checksum."""

    address: str
    cached_as: str
    sha256: str


@dataclass(frozen=True)
class Release:
    """A published set of weights with the irradiance and threshold it was released with."""

    name: str
    weights: RemoteFile
    irradiance: RemoteFile
    threshold: float


#: The published irradiance: that of the releases, and of the published training data.
OFFICIAL_IRRADIANCE = RemoteFile(
    "irr.npy", "irr.npy", "ae4c4a3d19db4eff7c5aac4c030fa062a4ce7575320a8639549f5fb827ea03f8"
)

#: The published split of the published training data: scenes to train on, scenes to test on, one FID per line.
PUBLISHED_SPLIT = (
    RemoteFile(
        "datasets/train_fids.csv",
        "train_fids.csv",
        "61aeb855522bd0eb71186b8e3509128928d52393c9589ecac0af6bcd68466b21",
    ),
    RemoteFile(
        "datasets/test_fids.csv",
        "test_fids.csv",
        "66c8f1d82956034912d5dd8481af382526f7aa85133ae17ad5bd4158956516d1",
    ),
)


def _release(version: str, sha256: str, threshold: float) -> Release:
    file = RemoteFile(f"weights/{version}/weights.pt", f"{version}/weights.pt", sha256)
    return Release(f"official:{version}", file, OFFICIAL_IRRADIANCE, threshold)


RELEASES = {
    release.name: release
    for release in (
        _release("v0.1.0", "8e6fea8087eb3cce66a8b29ab4ea98229fc2c253bd9ec2b83a5f766e98ab28d2", 0.51),
        _release("v0.0.1", "6d410987affebfc6e5825e5ce7388a07b555e109e62e13991d98ace07a869d9f", 0.52),
    )
}


def fetch(file: RemoteFile) -> Path:
    """Return the local copy of a published file: placed by hand, cached, or downloaded now. Raises `WeightsError`."""
    from spectf_cloud.files.download import fetch_pinned  # its HTTP stack takes time to load

    try:
        return fetch_pinned(OFFICIAL_URL + file.address, file.sha256, local_path(file))
    except InputError as error:
        raise WeightsError(f"{error}, or name another folder in SPECTF_WEIGHTS_DIR") from error


def local_path(file: RemoteFile) -> Path:
    """Return where a published file is kept."""
    return weights_dir() / file.cached_as


def weights_dir() -> Path:
    """Return the folder of the published files: SPECTF_WEIGHTS_DIR, else the cache."""
    placed = os.environ.get("SPECTF_WEIGHTS_DIR")
    return Path(placed) if placed else cache_folder()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
