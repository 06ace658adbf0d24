"""YAML files of settings, safely loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from spectf_cloud.errors import ConfigError

_MAX_YAML_BYTES = 2**20


class _PlainLoader(yaml.SafeLoader):
    """Plain data without references: a few nested ones would expand to more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"anchors and references (*{self.peek_event().anchor}) are not used here")  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with text keys, safely. Raises `ConfigError`."""
    try:
        if path.stat().st_size > _MAX_YAML_BYTES:
            raise ConfigError(f"{path} is larger than 1 MiB, too large for a configuration")
        content = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)
    except ConfigError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    # Dates, numbers and deep nesting make the loader raise others than its own errors.
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path} must hold 'key: value' lines")
    return content
