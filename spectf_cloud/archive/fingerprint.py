"""What decides a granule's outputs: weights, threshold, products and code. Another recipe makes outputs stale."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from spectf_cloud.products.flags import check_threshold
from spectf_cloud.weights import BUILTIN, find_weights, irradiance_for, sha256_of

if TYPE_CHECKING:
    from spectf_cloud.inference.backend import Fidelity

# The rooms whose code decides a pixel's value or a product's content, and the modules beside them at the top.
_ROOMS = ("files", "inference", "mapping", "models", "products", "readers")
_CODE_SUFFIXES = (".py", ".cpp", ".h", ".npz")


@dataclass(frozen=True)
class Settings:
    """How each scene of a run is masked and what is written of it; as for ``deploy-pt``. Paths are absolute."""

    weights: str = BUILTIN
    irradiance: Path | None = None
    arch_spec: Path | None = None
    threshold: float | None = None
    device: str = "cpu"
    fidelity: Fidelity = "faithful"
    keep_bands: bool = False
    probability: bool = False
    ortho: bool = False
    netcdf: bool = False
    quicklook: bool = False
    memory_limit: str | None = None
    trust_input: bool = False

    @property
    def products(self) -> tuple[str, ...]:
        """Kinds of files to write, besides the mask."""
        kinds = ("probability", "ortho", "netcdf", "quicklook")
        return tuple(kind for kind in kinds if getattr(self, kind))


@dataclass(frozen=True)
class Recipe:
    """Checksums and numbers that decide the outputs; where and on what device it ran does not count."""

    weights: str
    weights_sha256: str
    irradiance_sha256: str
    arch_spec_sha256: str | None
    threshold: float
    fidelity: str
    keep_bands: bool
    products: tuple[str, ...]
    version: str
    code: str

    @cached_property
    def key(self) -> str:
        """Short name of this recipe: the same for the same outputs."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """All fields, in one line."""
        return json.dumps(asdict(self), sort_keys=True)


@cache
def recipe_of(settings: Settings) -> Recipe:
    """The recipe of these settings with the weights and the code of this machine.

    Raises `WeightsError`, `InputError`, `UsageError`.
    """
    if settings.threshold is not None:
        check_threshold(settings.threshold)
    weights = find_weights(settings.weights)
    return Recipe(
        weights=weights.name,
        weights_sha256=weights.sha256,
        irradiance_sha256=sha256_of(irradiance_for(weights, settings.irradiance)),
        arch_spec_sha256=sha256_of(settings.arch_spec) if settings.arch_spec else None,
        threshold=weights.threshold if settings.threshold is None else settings.threshold,
        fidelity=settings.fidelity,
        keep_bands=settings.keep_bands,
        products=settings.products,
        version=version("spectf-cloud"),
        code=code_checksum(),
    )


def code_files() -> list[Path]:
    """The sources that decide outputs, in the order in which they are hashed."""
    package = Path(__file__).parents[1]
    inside = (file for room in _ROOMS for file in (package / room).rglob("*"))
    files = (*package.glob("*.py"), *inside)
    return sorted(file for file in files if file.suffix in _CODE_SUFFIXES)


@cache
def code_checksum() -> str:
    """SHA-256 over the sources that decide outputs, shortened."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in code_files():
        digest.update(file.relative_to(package).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
