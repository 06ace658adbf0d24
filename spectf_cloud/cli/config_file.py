"""``--config FILE``: option values from YAML; typed values and environment variables win."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SOURCES = ("COMMANDLINE", "PROMPT", "ENVIRONMENT", "DEFAULT_MAP", "DEFAULT")


def _use_as_defaults(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the command's defaults; ``deploy-pt: {proba: true}`` or plain ``proba: true``."""
    if path is None:
        return None
    from spectf_cloud.errors import ConfigError
    from spectf_cloud.files.yaml import read_yaml

    content = read_yaml(path)
    values = content.get(context.info_name or "", content)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: '{context.info_name}' must hold 'option: value' lines")
    values = {str(key).replace("-", "_"): value for key, value in values.items()}
    known = {parameter.name for parameter in context.command.params} - {"config", "help"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"{path}: {context.info_name} has no option {', '.join(unknown)}")
    context.default_map = {**(context.default_map or {}), **values}
    return path


def explicit_value(context: typer.Context, *names: str) -> Path | None:
    """Return the typed value of parameters that mean the same, else the environment's, else the file's."""

    def rank(name: str) -> int:
        source = context.get_parameter_source(name)
        return _SOURCES.index(source.name) if source else len(_SOURCES)

    strongest: Path | None = context.params[min(names, key=rank)]
    return strongest


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML of option values; typed and environment values win.",
        readable=False,
        is_eager=True,
        callback=_use_as_defaults,
    ),
]
