"""An ``--arch-spec`` file such as `spectf_cloud_config.yml`: the architecture, and the bands to leave out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import ConfigError, ModelError
from spectf_cloud.files.yaml import read_yaml
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges, parse_band_ranges


@dataclass(frozen=True)
class ArchSpec:
    """Content of an ``--arch-spec`` file; `architecture` is None where the file has none."""

    architecture: Architecture | None
    drop_nm: BandRanges


def read_arch_spec(path: Path | None, *, keep_bands: bool = False) -> ArchSpec:
    """Read ``architecture`` and ``spectra.drop_band_ranges`` of a YAML file; by default the published bands.

    With ``keep_bands`` no band is dropped. Raises `ConfigError`.

    >>> read_arch_spec(None, keep_bands=True)
    ArchSpec(architecture=None, drop_nm=())
    """
    spec = ArchSpec(None, PUBLISHED_DROP_NM) if path is None else _read(path)
    return replace(spec, drop_nm=()) if keep_bands else spec


def _read(path: Path) -> ArchSpec:
    content = read_yaml(path)
    # `inference` is the published file's section for batch sizes, which need no setting here.
    _refuse_unknown(path, content, {"architecture", "inference", "spectra"})
    spectra = content.get("spectra") or {}
    if not isinstance(spectra, dict):
        raise ConfigError(f"{path}: 'spectra' must be a mapping")
    _refuse_unknown(path, spectra, {"drop_band_ranges"})
    drop_nm = parse_band_ranges(spectra.get("drop_band_ranges", PUBLISHED_DROP_NM), str(path))
    try:
        architecture = Architecture.from_mapping(content["architecture"]) if "architecture" in content else None
    except ModelError as error:
        raise ConfigError(f"{path}: architecture: {error}") from error
    return ArchSpec(architecture, drop_nm)


def _refuse_unknown(path: Path, content: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(str(key) for key in content if key not in known)
    if unknown:
        raise ConfigError(f"{path}: unknown keys {', '.join(unknown)}; known keys: {', '.join(sorted(known))}")
