"""Named weights: which files they are, where they come from, and what belongs to them. No torch here."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import InputError, ModelError, WeightsError
from spectf_cloud.files.cache import cache_folder
from spectf_cloud.files.foreign_weights import foreign_kind
from spectf_cloud.files.resources import resource
from spectf_cloud.files.yaml import read_yaml

logger = logging.getLogger(__name__)

OFFICIAL_COMMIT = "2f7f05b7affa4eedb2c8e66f4efd8f225c8d55d5"
OFFICIAL_URL = f"https://raw.githubusercontent.com/emit-sds/SpecTf/{OFFICIAL_COMMIT}/spectf_cloud/"

#: Threshold of weights that come without a card: the published v0.1.0 one.
PUBLISHED_THRESHOLD = 0.51
BUILTIN = "builtin"
_MAX_WEIGHTS_BYTES = 2**30
_MAX_IRRADIANCE_BYTES = 64 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


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


@dataclass(frozen=True)
class WeightsFile:
    """Weights on disk with what belongs to them.

    `irradiance_sha256` is the solar irradiance the weights were trained with, None where nothing says it, and
    `irradiance_name` what it is called. `irradiance_path` is that file, or the bundled one where it is not known or not
    on this machine: take it from `irradiance_for`, which says so. `architecture` is None where nothing says it: then
    the published one applies.
    """

    name: str
    path: Path
    sha256: str
    threshold: float
    irradiance_path: Path
    irradiance_sha256: str | None = None
    irradiance_name: str = "unknown"
    architecture: Architecture | None = None

    @property
    def published(self) -> bool:
        """Whether these are the published weights."""
        return self.name in RELEASES


def find_weights(spec: str | Path = BUILTIN) -> WeightsFile:
    """Weights by path or by name: ``builtin``, ``official:v0.1.0``, ``official:v0.0.1``.

    A release that is not cached yet is fetched. Raises `WeightsError`.
    """
    if spec in RELEASES:
        release = RELEASES[str(spec)]
        path, irradiance = (fetch(file) for file in (release.weights, release.irradiance))
        return _of_release(release, path, irradiance)
    path = resource("weights.pt") if spec == BUILTIN else Path(spec)
    try:
        if not path.is_file():
            names = ", ".join((BUILTIN, *RELEASES))
            raise WeightsError(f"{path}: no such weights file; give a path or one of {names}")
        return _from_path(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error


def irradiance_for(weights: WeightsFile, given: str | Path | None = None) -> Path:
    """The solar irradiance to use with weights: the one ``given``, else their own; warns where it is not theirs."""
    path = weights.irradiance_path if given is None else Path(given)
    wanted = weights.irradiance_sha256
    if wanted is None:
        if given is None:
            _warn_once(
                f"the weights {weights.name} do not say which solar irradiance they were trained with; {path} is used: "
                "if theirs is another, probabilities are wrong; give it with --irradiance FILE"
            )
    elif path.is_file() and sha256_of(path) != wanted:
        text = f"the weights {weights.name} were trained with another irradiance ({weights.irradiance_name}, sha256 "
        text += f"{wanted[:12]}…) than {path}"
        if given is None:
            place = f"place it at {weights.path.with_name('irradiance.npy')}"
            if wanted == OFFICIAL_IRRADIANCE.sha256:
                place = "fetch it with: spectf-cloud weights fetch official:v0.1.0"
            text += ", which is used because theirs is not on this machine: probabilities are wrong; "
            text += f"give it with --irradiance FILE, or {place}"
        _warn_once(text)
    return path


@cache
def _warn_once(text: str) -> None:
    """Warn, once a process: many scenes share their weights."""
    logger.warning("%s", text)


def files_of(spec: str | Path) -> tuple[Path, ...]:
    """Local files that these weights are read from, there or not: none of them is ever written to."""
    if spec in RELEASES:
        release = RELEASES[str(spec)]
        return local_path(release.weights), local_path(release.irradiance)
    path = resource("weights.pt") if spec == BUILTIN else Path(spec)
    return (path, path.with_suffix(".yml")) if path.name else ()


def fetch(file: RemoteFile) -> Path:
    """The local copy of a published file: placed by hand, cached, or downloaded now. Raises `WeightsError`."""
    from spectf_cloud.files.download import fetch_pinned  # its HTTP stack takes time to load

    try:
        return fetch_pinned(OFFICIAL_URL + file.address, file.sha256, local_path(file))
    except InputError as error:
        raise WeightsError(f"{error}, or name another folder in SPECTF_WEIGHTS_DIR") from error


def local_path(file: RemoteFile) -> Path:
    """Where a published file is kept."""
    return weights_dir() / file.cached_as


def weights_dir() -> Path:
    """Return the folder of the published files: SPECTF_WEIGHTS_DIR, else the cache."""
    placed = os.environ.get("SPECTF_WEIGHTS_DIR")
    return Path(placed) if placed else cache_folder()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _from_path(path: Path) -> WeightsFile:
    """Weights by path: known by their checksum, described by a card beside them, or taken as they are."""
    if path.stat().st_size > _MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{path} is larger than 1 GiB, too large for SpecTf weights")
    checksum = sha256_of(path)
    for release in RELEASES.values():
        if release.weights.sha256 == checksum:
            return _of_release(release, path, _find_irradiance(release.irradiance.sha256, path))
    card_path = path.with_suffix(".yml")
    card: dict[str, Any] = read_yaml(card_path) if card_path.is_file() and card_path != path else {}
    foreign = foreign_kind(path, card)
    if foreign:
        raise WeightsError(f"{path} is {foreign}")
    if card.get("sha256", checksum) != checksum:
        raise WeightsError(f"{path} is not the file that {card_path} describes (sha256 differs)")
    threshold = card.get("threshold", PUBLISHED_THRESHOLD)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise WeightsError(f"{card_path}: threshold must be a probability, not {threshold!r}")
    architecture = None
    if "architecture" in card:
        try:
            architecture = Architecture.from_mapping(card["architecture"])
        except ModelError as error:
            raise WeightsError(f"{card_path}: architecture: {error}") from error
    told = trained_with(card, card_path)
    wanted = told.get("sha256")
    return WeightsFile(
        name=str(card.get("name", path.name)),
        path=path,
        sha256=checksum,
        threshold=float(threshold),
        irradiance_path=_find_irradiance(wanted, path, told.get("file"), told.get("name")),
        irradiance_sha256=wanted,
        irradiance_name=told.get("name") or told.get("file") or "unknown",
        architecture=architecture,
    )


def _of_release(release: Release, path: Path, irradiance: Path) -> WeightsFile:
    return WeightsFile(
        release.name, path, release.weights.sha256, release.threshold, irradiance, release.irradiance.sha256, "official"
    )


def trained_with(card: dict[str, Any], card_path: Path) -> dict[str, str]:
    """What a card says of the irradiance: ``name``, ``file`` beside the weights, ``sha256``. Raises `WeightsError`."""
    told = card.get("irradiance") or {}
    if not isinstance(told, dict) or not all(value is None or isinstance(value, str) for value in told.values()):
        raise WeightsError(f"{card_path}: irradiance must hold name, file and sha256, not {told!r}")
    told = {key: value for key, value in told.items() if value is not None}
    if "sha256" in told:
        told["sha256"] = told["sha256"].lower()
        if not _SHA256.fullmatch(told["sha256"]):
            raise WeightsError(f"{card_path}: irradiance: sha256 must be 64 hexadecimal digits")
    return told


def _find_irradiance(sha256: str | None, weights: Path, *names: str | None) -> Path:
    """The irradiance of this checksum: bundled, beside the weights, or published; the bundled one without any."""
    bundled = resource("irr.npy")
    if sha256 is None:
        return bundled
    beside = [name for name in (*names, "irradiance.npy", "irr.npy") if name]
    # A release and what belongs to it lie together in the cache and in the upstream tree.
    places = [
        bundled,
        *(weights.parent / name for name in beside),
        weights.parent.parent / OFFICIAL_IRRADIANCE.cached_as,
    ]
    if sha256 == OFFICIAL_IRRADIANCE.sha256:
        places.append(local_path(OFFICIAL_IRRADIANCE))
    for path in places:
        if path.is_file() and path.stat().st_size <= _MAX_IRRADIANCE_BYTES and sha256_of(path) == sha256:
            return path
    return bundled
