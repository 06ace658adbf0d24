"""The card of an engine file: what it was built from and for. An engine that does not fit is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import yaml

from spectf_cloud.errors import ConfigError, EngineError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.yaml import read_yaml


@dataclass(frozen=True)
class Identity:
    """Everything an engine depends on: any other value needs another engine.

    Attributes
    ----------
    gpu, compute_capability, tensorrt
        Engines are compiled for one kind of GPU and one TensorRT.
    parameters_sha256, wavelength_sha256, bands, precision
        Network and bands, for the reader: the graph contains them all.
    graph_sha256
        Of the ONNX graph, and so of the code that writes it.
    largest_batch
        Pixels of one execution.
    """

    gpu: str
    compute_capability: str
    tensorrt: str
    parameters_sha256: str
    wavelength_sha256: str
    bands: int
    precision: str
    graph_sha256: str
    largest_batch: int

    @property
    def key(self) -> str:
        """Return the name of its engine in the cache."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    def differences(self, other: Identity) -> list[str]:
        """Return in words what differs in another one, such as 'other TensorRT (11.0.0.1, here 10.13.0.35)'."""
        found = []
        for field in fields(self):
            mine, others = getattr(self, field.name), getattr(other, field.name)
            if mine != others:
                long = field.name.endswith("_sha256")
                found.append(f"other {_IN_WORDS[field.name]}" + ("" if long else f" ({others}, here {mine})"))
        return found


_IN_WORDS = {
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "tensorrt": "TensorRT",
    "parameters_sha256": "weights",
    "wavelength_sha256": "band centres",
    "bands": "number of bands",
    "precision": "precision",
    "graph_sha256": "graph",
    "largest_batch": "batch",
}


def card_path(engine: Path) -> Path:
    """Return the path of the card: ``NAME.engine.yml`` for ``NAME.engine``."""
    return engine.with_name(f"{engine.name}.yml")


def save_engine(path: Path, plan: bytes, identity: Identity, *, overwrite: bool = False) -> None:
    """Write an engine and then its card, each whole or not at all. Raises `OutputError`."""
    with atomic_output(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(plan)
    card = {"engine_sha256": _sha256(plan), "spectf_cloud": version("spectf-cloud"), **asdict(identity)}
    with atomic_output(card_path(path), overwrite=True) as temporary:
        temporary.write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_card(path: Path) -> Identity:
    """Read what the engine at ``path`` was built for. Raises `EngineError`."""
    return _split(path, _read(path))[0]


def load_engine(path: Path, wanted: Identity) -> bytes:
    """Read an engine whose card says that it is intact and fits. Raises `EngineError`."""
    identity, checksum = _split(path, _read(path))
    differences = wanted.differences(identity)
    if differences:
        raise EngineError(f"{path} was built for {', '.join(differences)}; {_REBUILD}")
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror or error}); {_REBUILD}") from error
    if _sha256(plan) != checksum:
        raise EngineError(f"{path} is not the file that {card_path(path)} describes (sha256 differs); {_REBUILD}")
    return plan


_REBUILD = "build one with spectf-cloud export engine, or leave --engine out"


def _read(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise EngineError(f"{path}: no such engine; {_REBUILD}")
    card = card_path(path)
    if not card.is_file():
        raise EngineError(f"{path} has no card {card.name}, so it is not known what it was built for; {_REBUILD}")
    try:
        return read_yaml(card)
    except ConfigError as error:
        raise EngineError(f"{error}; {_REBUILD}") from error


def _split(path: Path, card: dict[str, object]) -> tuple[Identity, str]:
    try:
        values = {field.name: card[field.name] for field in fields(Identity)}
        return Identity(**values), str(card["engine_sha256"])  # type: ignore[arg-type]
    except KeyError as error:
        raise EngineError(f"{card_path(path)} lacks {error}; {_REBUILD}") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
