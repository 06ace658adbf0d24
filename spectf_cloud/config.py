"""`spectf_cloud_config.yml`: the architecture, and the bands that the model does not see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spectf_cloud.architecture import ModelConfig
from spectf_cloud.errors import ConfigError, ModelError
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges, parse_band_ranges

_MAX_YAML_BYTES = 2**20


@dataclass(frozen=True)
class ArchSpec:
    """What an ``--arch-spec`` file says; `architecture` is None where it says nothing of it."""

    architecture: ModelConfig | None
    drop_nm: BandRanges


def read_arch_spec(path: Path) -> ArchSpec:
    """Read ``architecture`` and ``spectra.drop_band_ranges`` of a YAML file. Raises `ConfigError`."""
    content = read_yaml(path)
    # `inference` is the published file's section for batch sizes, which need no setting here.
    _refuse_unknown(path, content, {"architecture", "inference", "spectra"})
    spectra = content.get("spectra") or {}
    if not isinstance(spectra, dict):
        raise ConfigError(f"{path}: 'spectra' must be a mapping")
    _refuse_unknown(path, spectra, {"drop_band_ranges"})
    drop_nm = parse_band_ranges(spectra.get("drop_band_ranges", PUBLISHED_DROP_NM), str(path))
    try:
        architecture = ModelConfig.from_mapping(content["architecture"]) if "architecture" in content else None
    except ModelError as error:
        raise ConfigError(f"{path}: architecture: {error}") from error
    return ArchSpec(architecture, drop_nm)


def _refuse_unknown(path: Path, content: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(str(key) for key in content if key not in known)
    if unknown:
        raise ConfigError(f"{path}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}")


class _PlainLoader(yaml.SafeLoader):
    """Plain data without references: a few nested ones would expand to more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"anchors and references (*{self.peek_event().anchor}) are not used here")  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping with text keys, safely loaded. Raises `ConfigError`."""
    try:
        if path.stat().st_size > _MAX_YAML_BYTES:
            raise ConfigError(f"{path} is larger than 1 MiB, too large for a configuration")
        content = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)
    except ConfigError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    # Beside its own errors the loader lets through what dates, numbers and nesting run into.
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path} must hold 'key: value' lines")
    return content
