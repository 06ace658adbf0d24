"""A command's options as the command line defines them, for forms, and the arguments from a filled form."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Literal

from spectf_cloud.errors import SpectfError

Values = Mapping[str, "str | bool"]

# Output options are not shown: the application reads a command's events.
_NOT_ASKED = {"help", "json", "verbose", "quiet"}


@dataclass(frozen=True)
class Option:
    """One field of a form.

    `flag` comes before the value, None for a positional; `default` applies if the field is empty.
    """

    name: str
    flag: str | None
    kind: Literal["switch", "choice", "text", "list"]
    help: str
    section: str
    default: str
    choices: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class Problem:
    """Why a command would refuse; `option` is the field at fault, None if there is no single one."""

    option: str | None
    message: str


class Command:
    """One command from the command tree, such as ``deploy-pt`` or ``cloud-eval compare``."""

    def __init__(self, name: str, tree: Any) -> None:
        self.name = name
        found = tree
        for part in name.split():
            found = found.commands[part]
        self._command = found

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Its fields in order, without optional positionals, which have an equivalent option."""
        asked = [parameter for parameter in self._command.params if parameter.name not in _NOT_ASKED]
        return tuple(_option(parameter) for parameter in asked if parameter.opts[0][0] == "-" or parameter.required)

    def arguments(self, values: Values) -> list[str]:
        """Return the arguments after ``spectf-cloud``, without empty values and switches that are off."""
        positional: list[str] = []
        named: list[str] = []
        for option in self.options:
            value = values.get(option.name, "")
            if option.kind == "switch":
                named += [option.flag or ""] if value else []
                continue
            parts = _split(str(value)) if option.kind == "list" else [str(value).strip()]
            for part in filter(None, parts):
                if option.flag is None:
                    positional.append(part)
                else:  # a value that looks like an option needs the equals sign
                    named += [f"{option.flag}={part}"] if part.startswith("-") else [option.flag, part]
        if any(part.startswith("-") for part in positional):
            named.append("--")
        return [*self.name.split(), *named, *positional]

    def problem(self, values: Values) -> Problem | None:
        """Return the command line's objection to these values, if any."""
        words = self.name.split()
        try:
            with self._command.make_context(words[-1], self.arguments(values)[len(words) :]):
                return None
        except SpectfError as error:
            return Problem("config", str(error))
        except Exception as error:
            if not hasattr(error, "format_message"):  # a usage error, from Typer or click
                raise
            name = getattr(getattr(error, "param", None), "name", None)
            message = str(getattr(error, "message", "")) or error.format_message()
            if type(error).__name__ == "MissingParameter":
                message = "is needed"
            return Problem(name, " ".join(f"{name or self.name}: {message}".replace("_", "-", 1).split()))


def shell(arguments: Sequence[str]) -> str:
    """Return the line to type in a shell.

    >>> shell(["deploy-pt", "my mask.tif"])
    "spectf-cloud deploy-pt 'my mask.tif'"
    """
    return shlex.join(["spectf-cloud", *arguments])


def _option(parameter: Any) -> Option:
    choices = _choices(parameter)
    listed = parameter.multiple or parameter.nargs == -1
    switch = bool(getattr(parameter, "is_flag", False))
    return Option(
        name=parameter.name,
        flag=next((word for word in parameter.opts if word.startswith("--")), None),
        kind="switch" if switch else "choice" if choices and not listed else "list" if listed else "text",
        help=parameter.help or "",
        section=parameter.rich_help_panel or ("Options" if parameter.opts[0][0] == "-" else "Input"),
        default=_default(parameter),
        choices=choices,
        required=parameter.required,
    )


def _choices(parameter: Any) -> tuple[str, ...]:
    """Return the choices, which Typer's own types describe, and click's in older versions."""
    described = getattr(parameter, "type_descriptor", None) or parameter.type
    return tuple(str(getattr(choice, "value", choice)) for choice in getattr(described, "choices", None) or ())


def _default(parameter: Any) -> str:
    """Return the environment's value, else the command's default; empty for none."""
    named = parameter.envvar or []
    for variable in [named] if isinstance(named, str) else named:
        if os.environ.get(variable):
            return os.environ[variable]
    value = parameter.default
    if value is None or callable(value) or value is False:
        return ""
    return str(value.value if isinstance(value, Enum) else value)


def _split(text: str) -> list[str]:
    """Split text as a shell does; with an open quote, at spaces."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
