"""What decides a granule's outputs: weights, threshold, products and code. A new recipe makes outputs stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spectf_cloud.archive.job import Settings
from spectf_cloud.products.flags import check_threshold
from spectf_cloud.weights import find_weights, irradiance_for, sha256_of

# The rooms whose code decides a pixel's value or a product's content; top-level modules count too.
_ROOMS = ("files", "inference", "mapping", "models", "products", "readers")
_CODE_SUFFIXES = (".py", ".cpp", ".h", ".npz")
# Options that change no number in an output, only where it is made or whether it is made at all.
_WITHOUT_EFFECT = {"device", "engine", "memory_limit", "threads", "trust_input"}


@dataclass(frozen=True)
class Recipe:
    """What decides the outputs: options with checksums in place of files, the products, and the code."""

    choices: Mapping[str, Any]
    products: tuple[str, ...]
    version: str
    code: str

    @cached_property
    def key(self) -> str:
        """Short name of this recipe; equal outputs have equal keys."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return all fields as one line."""
        rest = {"products": self.products, "version": self.version, "code": self.code}
        return json.dumps({**self.choices, **rest}, sort_keys=True)


@cache
def recipe_of(settings: Settings) -> Recipe:
    """Return the recipe of these settings with the weights and the code of this machine.

    Raises `WeightsError`, `InputError`, `UsageError`.
    """
    options = settings.options
    if options.threshold is not None:
        check_threshold(options.threshold)
    weights = find_weights(options.weights)
    choices = {name: value for name, value in asdict(options).items() if name not in _WITHOUT_EFFECT}
    del choices["irradiance"], choices["arch_spec"]
    choices |= {
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "irradiance_sha256": sha256_of(irradiance_for(weights, options.irradiance)),
        "arch_spec_sha256": sha256_of(options.arch_spec) if options.arch_spec else None,
        "threshold": weights.threshold if options.threshold is None else options.threshold,
    }
    return Recipe(choices, settings.products, version("spectf-cloud"), code_checksum())


def code_files() -> list[Path]:
    """Return the sources that decide outputs, in hashing order."""
    package = Path(__file__).parents[1]
    inside = (file for room in _ROOMS for file in (package / room).rglob("*"))
    files = (*package.glob("*.py"), *inside)
    return sorted(file for file in files if file.suffix in _CODE_SUFFIXES)


@cache
def code_checksum() -> str:
    """Return a shortened SHA-256 of the sources that decide outputs."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in code_files():
        digest.update(file.relative_to(package).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
