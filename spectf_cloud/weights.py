"""Weights by path or by name: `Checkpoint` is what their file and its card say, of any kind of network. No torch here.

This is the only module that knows what a card says; `files.card` parses and writes its text. A card is ``X.yml`` next
to ``X.pt``, or ``X.json`` (or ``card.json``) next to ``X.safetensors``. Both forms hold the same keys and give the
same object.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import ModelError, WeightsError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.card import card_path, read_card, save_card
from spectf_cloud.files.foreign_weights import foreign_content, foreign_kind
from spectf_cloud.files.releases import BUILTIN as BUILTIN
from spectf_cloud.files.releases import OFFICIAL_IRRADIANCE as OFFICIAL_IRRADIANCE
from spectf_cloud.files.releases import RELEASES as RELEASES
from spectf_cloud.files.releases import Release, fetch
from spectf_cloud.files.releases import local_path as local_path
from spectf_cloud.files.releases import sha256_of as sha256_of
from spectf_cloud.files.resources import NAME_IRRADIANCE, PUBLISHED, bundled_irradiance, irradiance_file, resource
from spectf_cloud.files.tensors import MAX_WEIGHTS_BYTES, Tensors, is_floating, read_tensors, write_safetensors

logger = logging.getLogger(__name__)

#: Threshold of SpecTf weights that come without a card: the published v0.1.0 one.
PUBLISHED_THRESHOLD = RELEASES["official:v0.1.0"].threshold
#: Threshold of another model without a card.
PLAIN_THRESHOLD = 0.5
#: The kind of network that masks scenes; others are ``resnet``, ``xgboost`` and what later versions add.
SPECTF = "spectf"
_QUANTITIES = ("radiance", "toa_reflectance", "surface_reflectance")
_ANY_BANDS = "any"
_MAX_IRRADIANCE_BYTES = 64 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Checkpoint:
    """A network on disk: its file and its card.

    Attributes
    ----------
    name, path, sha256
        Its name, its file, and the file's checksum.
    threshold
        Cloud where the probability is above it.
    irradiance_path, irradiance_sha256, irradiance_name
        `irradiance_sha256` is the solar irradiance the network was trained with, None where that is not known, and
        `irradiance_name` is its name. `irradiance_path` is that file, or the published one where it is not known or not
        on this machine: take it from `irradiance_for`, which refuses the one and warns of the other.
    architecture
        Shape of a SpecTf network; None for the published one.
    kind
        ``spectf``, ``resnet``, ``xgboost``, or a later kind.
    bands_nm
        Band centres it was trained on, nm; None where it takes any bands.
    quantities
        What the pixels of a scene may be: ``radiance`` (turned into top-of-atmosphere reflectance with the
        irradiance), ``toa_reflectance``, ``surface_reflectance``.
    classes
        Names of its outputs, in order.
    shape
        Architecture of another kind of network.
    provenance
        All other entries of the card.
    """

    name: str
    path: Path
    sha256: str
    threshold: float
    irradiance_path: Path
    irradiance_sha256: str | None = None
    irradiance_name: str = "unknown"
    architecture: Architecture | None = None
    kind: str = SPECTF
    bands_nm: tuple[float, ...] | None = None
    quantities: tuple[str, ...] = ("radiance",)
    classes: tuple[str, ...] = ("clear", "cloud")
    shape: Mapping[str, Any] = field(default_factory=dict, hash=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def published(self) -> bool:
        """Return whether these are published weights."""
        return self.name in RELEASES

    def tensors(self) -> Tensors:
        """Read the parameters by name, without PyTorch; nothing is executed. Raises `WeightsError`."""
        state = read_tensors(self.path)
        foreign = foreign_content(state) if self.kind == SPECTF else None
        if foreign:
            raise WeightsError(f"{self.path} is {foreign}")
        if not isinstance(state, dict) or not all(isinstance(n, str) and is_floating(v) for n, v in state.items()):
            raise WeightsError(f"{self.path} is not a state dict: names with plain floating-point tensors are needed")
        return state


def find_weights(spec: str | Path = BUILTIN) -> Checkpoint:
    """Return SpecTf weights by path or by name: ``builtin``, ``official:v0.1.0``, ``official:v0.0.1``.

    A release that is not cached yet is fetched. Raises `WeightsError`.
    """
    if spec in RELEASES:
        release = RELEASES[str(spec)]
        path, irradiance = (fetch(file) for file in (release.weights, release.irradiance))
        return _of_release(release, path, irradiance)
    path = resource("weights.pt") if spec == BUILTIN else Path(spec)
    with _named(path):
        if not path.is_file():
            names = ", ".join((BUILTIN, *RELEASES))
            raise WeightsError(f"{path}: no such weights file; give a path or one of {names}")
        found = read_checkpoint(path)
        foreign = None if found.published else foreign_kind(path, found.kind)
    if foreign:
        raise WeightsError(f"{path} is {foreign}")
    return found


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the network of any kind in a file: a release by its checksum, else as its card describes it.

    Raises `WeightsError`.
    """
    with _named(path):
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsError(f"{path} is larger than 1 GiB, too large for SpecTf weights")
        checksum = sha256_of(path)
        for release in RELEASES.values():
            if release.weights.sha256 == checksum:
                return _of_release(release, path, _find_irradiance(release.irradiance.sha256, path))
        return _of_card(path, checksum, read_card(path))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Raise a system error of reading ``path`` as `WeightsError`."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error


def kind_of(path: Path) -> str:
    """Return the kind of network in a file by its card; without a card, ``xgboost`` for JSON, else ``spectf``.

    Raises `WeightsError`, `ConfigError`.
    """
    return _kind(path, read_card(path))


def write_card(
    path: Path,
    *,
    name: str,
    threshold: float,
    kind: str = SPECTF,
    bands_nm: Iterable[float] | None = None,
    **more: Any,
) -> None:
    """Write the card of a weights file.

    ``more`` are ``architecture``, ``irradiance`` (name, file, sha256), ``quantities``, ``classes``, and entries that
    say where the network comes from. Raises `OutputError`.
    """
    bands = _ANY_BANDS if bands_nm is None else [round(float(centre), 4) for centre in bands_nm]
    first = {"kind": kind, "name": name, "sha256": sha256_of(path), "threshold": float(threshold)}
    save_card(path, {**first, **more, "bands_nm": bands})


def save_checkpoint(path: Path, tensors: Tensors, **card: Any) -> None:
    """Write ``X.safetensors`` and its card; see `write_card`. Raises `OutputError`."""
    card_path(path).unlink(missing_ok=True)  # a card never describes other weights
    with atomic_output(path, overwrite=True) as temporary:
        write_safetensors(temporary, tensors)
    write_card(path, **card)


def irradiance_for(weights: Checkpoint, given: str | Path | None = None) -> Path:
    """Return the irradiance to use with weights: ``given``, else their own. Warn if they were trained with another.

    Raises `WeightsError` where neither is known.
    """
    path = weights.irradiance_path if given is None else irradiance_file(given)
    wanted = weights.irradiance_sha256
    if wanted is None:
        if given is None:
            raise WeightsError(
                f"{weights.path} does not say which solar irradiance it was trained with; {NAME_IRRADIANCE}"
            )
    elif path.is_file() and sha256_of(path) != wanted:
        text = f"the weights {weights.name} were trained with another irradiance ({weights.irradiance_name}, sha256 "
        text += f"{wanted[:12]}…) than {path}"
        if given is None:
            text += ", which is used because the other is not on this machine: probabilities are wrong; "
            text += f"give it with --irradiance FILE, or place it at {weights.path.with_name('irradiance.npy')}"
        _warn_once(text)
    return path


@cache
def _warn_once(text: str) -> None:
    """Warn once in a process: many scenes share their weights."""
    logger.warning("%s", text)


def files_of(spec: str | Path) -> tuple[Path, ...]:
    """Return the local files that weights are read from, existing or not; none of them is ever written to."""
    if spec in RELEASES:
        release = RELEASES[str(spec)]
        return local_path(release.weights), local_path(release.irradiance)
    path = resource("weights.pt") if spec == BUILTIN else Path(spec)
    return (path, card_path(path)) if path.name else ()


def _of_release(release: Release, path: Path, irradiance: Path) -> Checkpoint:
    return Checkpoint(
        release.name, path, release.weights.sha256, release.threshold, irradiance, release.irradiance.sha256, "official"
    )


def _of_card(path: Path, checksum: str, card: Mapping[str, Any]) -> Checkpoint:
    where, kind = card_path(path), _kind(path, card)
    if card.get("sha256", checksum) != checksum:
        raise WeightsError(f"{path} is not the file that {where} describes (sha256 differs)")
    irradiance = _irradiance(card, where)
    wanted = irradiance.get("sha256")
    shape = _architecture(card, where, kind)
    known = {"irradiance", *(item.name for item in fields(Checkpoint))}
    return Checkpoint(
        name=str(card.get("name", path.name)),
        path=path,
        sha256=checksum,
        threshold=_threshold(card, where, kind),
        irradiance_path=_find_irradiance(wanted, path, irradiance.get("file"), irradiance.get("name")),
        irradiance_sha256=wanted,
        irradiance_name=irradiance.get("name") or irradiance.get("file") or "unknown",
        architecture=shape if isinstance(shape, Architecture) else None,
        kind=kind,
        bands_nm=_bands(card, where),
        quantities=_names(card, where, "quantities", Checkpoint.quantities, _QUANTITIES),
        classes=_names(card, where, "classes", Checkpoint.classes),
        shape=shape if isinstance(shape, dict) else {},
        provenance={key: value for key, value in card.items() if key not in known},
    )


def _kind(path: Path, card: Mapping[str, Any]) -> str:
    kind = card.get("kind", "xgboost" if path.suffix == ".json" else SPECTF)
    if not isinstance(kind, str):
        raise WeightsError(f"{card_path(path)}: kind must be a word such as {SPECTF}, not {kind!r}")
    return kind


def _threshold(card: Mapping[str, Any], where: Path, kind: str) -> float:
    threshold = card.get("threshold", PUBLISHED_THRESHOLD if kind == SPECTF else PLAIN_THRESHOLD)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise WeightsError(f"{where}: threshold must be a probability, not {threshold!r}")
    return float(threshold)


def _architecture(card: Mapping[str, Any], where: Path, kind: str) -> Architecture | dict[str, Any] | None:
    if "architecture" not in card:
        return None
    try:
        if kind == SPECTF:
            return Architecture.from_mapping(card["architecture"])
        if not isinstance(card["architecture"], dict):
            raise ModelError(f"must be a mapping, not {card['architecture']!r}")
    except ModelError as error:
        raise WeightsError(f"{where}: architecture: {error}") from error
    return card["architecture"]


def _bands(card: Mapping[str, Any], where: Path) -> tuple[float, ...] | None:
    bands = card.get("bands_nm", _ANY_BANDS)
    if bands == _ANY_BANDS:
        return None
    plain = isinstance(bands, list) and all(type(centre) in (int, float) for centre in bands)
    if not bands or not plain or not all(0 < centre < math.inf for centre in bands):
        raise WeightsError(f"{where}: bands_nm must be a list of band centres, nm, or {_ANY_BANDS}")
    return tuple(map(float, bands))


def _names(
    card: Mapping[str, Any], where: Path, key: str, default: tuple[str, ...], known: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    names = card.get(key, list(default))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"{where}: {key} must be a list of names, not {names!r}")
    unknown = [name for name in names if known is not None and name not in known]
    if unknown or len(set(names)) < len(names):
        raise WeightsError(f"{where}: {key}: {', '.join(unknown or names)}: use each once of {', '.join(known or ())}")
    return tuple(names)


def _irradiance(card: Mapping[str, Any], where: Path) -> dict[str, str]:
    """Return what a card says of the irradiance: ``name``, ``file`` next to the weights, ``sha256``."""
    entry = card.get("irradiance") or {}
    if not isinstance(entry, dict) or not all(value is None or isinstance(value, str) for value in entry.values()):
        raise WeightsError(f"{where}: irradiance must hold name, file and sha256, not {entry!r}")
    entry = {key: value for key, value in entry.items() if value is not None}
    if "sha256" in entry:
        entry["sha256"] = entry["sha256"].lower()
        if not _SHA256.fullmatch(entry["sha256"]):
            raise WeightsError(f"{where}: irradiance: sha256 must be 64 hexadecimal digits")
    return entry


def _find_irradiance(sha256: str | None, weights: Path, *names: str | None) -> Path:
    """Return the irradiance of this checksum: bundled, or next to the weights; else the published one."""
    bundled = None if sha256 is None else bundled_irradiance(sha256)
    if sha256 is None or bundled is not None:
        return irradiance_file(bundled or PUBLISHED)
    for path in (weights.parent / name for name in (*names, "irradiance.npy", "irr.npy") if name):
        if path.is_file() and path.stat().st_size <= _MAX_IRRADIANCE_BYTES and sha256_of(path) == sha256:
            return path
    return irradiance_file(PUBLISHED)
