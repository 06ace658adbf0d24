"""Options of a command from the fields of the dataclasses it takes, and a table that says how each is shown.

A command takes whole dataclasses, such as ``deploy_pt(options: MaskOptions, reporter: Reporter)``. `takes` gives it
the signature that Typer reads, in which options replace each dataclass, and builds the dataclasses from what was
typed. Type and default follow from the field. A field that is a dataclass is opened too; of two fields with one name
the outer one counts. A field that the table does not name keeps its default and is not on the command line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import Enum, StrEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from spectf_cloud.cli.reporting import REPORTING

Command = Callable[..., None]
# Means no default, and nothing typed.
_NONE = Parameter.empty
# Made from a field's values, which mypy cannot follow.
_STR_ENUM: Any = StrEnum


@dataclass(frozen=True)
class Shown:
    """How the command line shows one field.

    Attributes
    ----------
    help, panel, metavar, min, max
        As for `typer.Option`.
    name
        As typed; by default the field's own.
    type, default
        Of the typed value, if not the field's.
    make
        Turns a typed value, or each of a list, into the field's.
    argument
        Whether it is positional.
    env
        Whether an environment variable can set it too.
    """

    help: str
    panel: str | None = None
    name: str = ""
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    type: Any = None
    default: Any = _NONE
    make: Callable[[Any], Any] = lambda typed: typed
    argument: bool = False
    env: bool = True


#: By field: how it is shown, or a Typer annotation to use as it is.
Table = Mapping[str, "Shown | Any"]


def takes(table: Table | None = None, env: str = "", **fixed: Any) -> Callable[[Command], Command]:
    """Give a command the options of the dataclasses it takes.

    ``table`` says which of their fields are shown, in order. ``env`` is the prefix of environment variables; without
    it there are none. ``fixed`` holds fields that the command itself decides.
    """
    rows = {**(table or {}), **REPORTING}

    def decorate(function: Command) -> Command:
        kinds = {name: get_type_hints(function, include_extras=True)[name] for name in signature(function).parameters}
        shown: list[Parameter] = []
        for own in signature(function).parameters.values():
            kind = kinds[own.name]
            shown += _shown(kind, rows, env) if is_dataclass(kind) else [_parameter(own.name, kind, own.default)]

        @functools.wraps(function)
        def command(**typed: Any) -> None:
            # The reporter, which is last, is made first: it reports what is wrong with the others.
            function(**{
                name: _built(kind, typed, rows, fixed) if is_dataclass(kind) else typed[name]
                for name, kind in reversed(kinds.items())
            })  # fmt: skip

        command.__signature__ = Signature(shown)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return command

    return decorate


def _own(cls: Any, instance: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and default of each field; ``instance``, if given, has the defaults."""
    kinds = get_type_hints(cls)
    for field in fields(cls):
        if instance is not None:
            default = getattr(instance, field.name)
        elif field.default_factory is not MISSING:
            default = field.default_factory()
        else:
            default = _NONE if field.default is MISSING else field.default
        yield field.name, kinds[field.name], default


def _opened(cls: Any, instance: Any = None) -> dict[str, tuple[Any, Any]]:
    """Return type and default of every field by name, including those of nested dataclasses."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, kind, default in _own(cls, instance):
        # The outer field of a name counts, and may come later.
        found = {**_opened(kind, default), **found} if is_dataclass(kind) else {**found, name: (kind, default)}
    return found


def _shown(cls: Any, table: Table, env: str) -> list[Parameter]:
    found = _opened(cls)
    return [_row(name, *found[name], row, env) for name, row in table.items() if name in found]


def _row(name: str, kind: Any, default: Any, row: Shown | Any, env: str) -> Parameter:
    """Return a field as Typer reads it: choices for a Literal, a list for a tuple."""
    if not isinstance(row, Shown):
        return _parameter(name, row, default)
    name, typed, default = row.name or name, row.type or kind, default if row.default is _NONE else row.default
    if get_origin(typed) is Literal:
        typed = _STR_ENUM("Choice", {value: value for value in get_args(typed)})
    elif get_origin(typed) is tuple:
        typed = list[get_args(typed)[0]]  # type: ignore[misc]
    if isinstance(typed, type) and issubclass(typed, Enum) and default is not _NONE:
        default = typed(default)
    settings: dict[str, Any] = {
        "help": row.help,
        "rich_help_panel": row.panel,
        "metavar": row.metavar,
        "min": row.min,
        "max": row.max,
        "envvar": f"{env}{name.upper()}" if env and row.env else None,
        "readable": False,  # the core explains better what is wrong with a file
    }
    if row.argument:
        return _parameter(name, Annotated[typed, typer.Argument(**settings)], default)
    flags = (f"--{name.replace('_', '-')}",) if typed is bool else ()  # without it there would be --no-… too
    return _parameter(name, Annotated[typed, typer.Option(*flags, **settings)], default)


def _parameter(name: str, kind: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None if default == () else default, annotation=kind)


def _built(
    cls: Any,
    typed: Mapping[str, Any],
    table: Table,
    fixed: Mapping[str, Any],
    instance: Any = None,
    outer: frozenset[str] = frozenset(),
) -> Any:
    """Build a dataclass, and those in it, from what was typed; other fields keep their defaults."""
    values = {}
    named = outer | {field.name for field in fields(cls)}
    for name, kind, default in _own(cls, instance):
        row = table.get(name)
        if is_dataclass(kind):
            values[name] = _built(kind, typed, table, fixed, default, named)
        elif name in fixed:
            values[name] = fixed[name]
        elif row and name not in outer:
            value = _value(typed[row.name or name], row) if isinstance(row, Shown) else typed[name]
            if value is not _NONE:
                values[name] = value
    return cls(**values) if instance is None else replace(instance, **values)


def _value(typed: Any, row: Shown) -> Any:
    if isinstance(typed, (list, tuple)) and typed:
        return tuple(_value(each, row) for each in typed)
    if typed is None or typed in ([], ()):
        return row.default
    return row.make(typed.value if isinstance(typed, Enum) else typed)
