"""Options of a command from the fields of the dataclasses it takes, and a table that says how each is shown.

A command takes whole dataclasses, such as ``deploy_pt(options: MaskOptions, reporter: Reporter)``. `takes` gives it
the signature that Typer reads, in which each dataclass is replaced by options, and builds the dataclasses from what
was typed. Type and default follow from the field. A field that is a dataclass is opened too; of two fields of one
name the outer one counts. A field that the table does not name keeps its default and is not on the command line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import Enum, StrEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import typer

from spectf_cloud.cli.reporting import REPORTING

Command = Callable[..., None]


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
        Of the typed value, where they are not the field's.
    make
        Turns a typed value, or each of a list, into the field's.
    argument
        Whether it is positional.
    env
        Whether the environment can say it too.
    """

    help: str
    panel: str | None = None
    name: str = ""
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    type: Any = None
    default: Any = Parameter.empty
    make: Callable[[Any], Any] = lambda typed: typed
    argument: bool = False
    env: bool = True


#: By field: how it is shown, or an annotation for Typer that is taken as it is.
Table = Mapping[str, "Shown | Any"]


def takes(table: Table | None = None, env: str = "", **fixed: Any) -> Callable[[Command], Command]:
    """Give a command the options of the dataclasses it takes.

    Parameters
    ----------
    table
        What is shown of the fields, in order.
    env
        What names of environment variables begin with; by default there are none.
    fixed
        Fields that the command itself decides.
    """
    rows = {**(table or {}), **REPORTING}

    def decorate(function: Command) -> Command:
        kinds = get_type_hints(function, include_extras=True)
        shown: list[Parameter] = []
        for own in signature(function).parameters.values():
            kind = kinds[own.name]
            shown += _parameters(kind, rows, env) if is_dataclass(kind) else [_parameter(own.name, kind, own.default)]

        @functools.wraps(function)
        def command(**typed: Any) -> None:
            built = {}
            for name in reversed(signature(function).parameters):  # the reporter, which is last, hears of all errors
                kind = kinds[name]
                built[name] = _build(kind, _values(kind, typed, rows, fixed)) if is_dataclass(kind) else typed[name]
            function(**built)

        command.__signature__ = Signature(shown)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return command

    return decorate


class _Field(NamedTuple):
    """A field where it was found: the dataclass that has it, its type as annotated, and its default."""

    owner: type
    kind: Any
    default: Any


def _own_fields(cls: Any, instance: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of each field; the default is that of ``instance`` where there is one."""
    kinds = get_type_hints(cls)
    for field in fields(cls):
        default = Parameter.empty if field.default is MISSING else field.default
        if instance is not None:
            default = getattr(instance, field.name)
        elif field.default_factory is not MISSING:
            default = field.default_factory()
        yield field.name, kinds[field.name], default


def _fields(cls: Any, instance: Any = None) -> dict[str, _Field]:
    """Every field by name, also those of dataclasses in it, with the defaults that the outer one gives."""
    found: dict[str, _Field] = {}
    inner: dict[str, _Field] = {}
    for name, kind, default in _own_fields(cls, instance):
        if is_dataclass(kind):
            inner |= _fields(kind, default)
        else:
            found[name] = _Field(cls, kind, default)
    return inner | found


def _parameters(cls: Any, table: Table, env: str) -> list[Parameter]:
    found = _fields(cls)
    return [_shown(name, found[name], row, env) for name, row in table.items() if name in found]


def _shown(name: str, field: _Field, row: Shown | Any, env: str) -> Parameter:
    if not isinstance(row, Shown):
        return _parameter(name, row, field.default)
    name, kind = row.name or name, row.type or _typed(field.kind)
    default = field.default if row.default is Parameter.empty else row.default
    if default == ():
        default = None
    elif isinstance(kind, type) and issubclass(kind, Enum) and default is not Parameter.empty:
        default = kind(default)
    settings: dict[str, Any] = {
        "help": row.help,
        "rich_help_panel": row.panel,
        "metavar": row.metavar,
        "min": row.min,
        "max": row.max,
        "envvar": f"{env}{name.upper()}" if env and row.env else None,
        "readable": False,  # the core says better what is wrong with a file
    }
    if row.argument:
        return _parameter(name, Annotated[kind, typer.Argument(**settings)], default)
    flags = (f"--{name.replace('_', '-')}",) if kind is bool else ()  # else there would be --no-… too
    return _parameter(name, Annotated[kind, typer.Option(*flags, **settings)], default)


def _parameter(name: str, kind: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _typed(kind: Any) -> Any:
    """The type that Typer reads a field by: choices for a Literal, a list for a tuple."""
    if get_origin(kind) is Literal:
        return StrEnum("Choice", {value: value for value in get_args(kind)})
    return list[get_args(kind)[0]] if get_origin(kind) is tuple else kind  # type: ignore[misc]


def _values(cls: Any, typed: Mapping[str, Any], table: Table, fixed: Mapping[str, Any]) -> dict[tuple[type, str], Any]:
    """What fields get, by the dataclass that has them; a field for which nothing was typed keeps its default."""
    values = {}
    for name, field in _fields(cls).items():
        row = table.get(name)
        if name in fixed:
            values[field.owner, name] = fixed[name]
        elif isinstance(row, Shown):
            value = typed[row.name or name]
            if value not in (None, [], ()):
                values[field.owner, name] = _value(value, row.make)
            elif row.default is not Parameter.empty:
                values[field.owner, name] = row.default
        elif row:
            values[field.owner, name] = typed[name]
    return values


def _value(typed: Any, make: Callable[[Any], Any]) -> Any:
    if isinstance(typed, (list, tuple)):
        return tuple(_value(each, make) for each in typed)
    return make(typed.value if isinstance(typed, Enum) else typed)


def _build(cls: Any, values: Mapping[tuple[type, str], Any], instance: Any = None) -> Any:
    """Make a dataclass of these values, and the dataclasses in it."""
    own = {}
    for name, kind, default in _own_fields(cls, instance):
        if is_dataclass(kind):
            own[name] = _build(kind, values, default)
        elif (cls, name) in values:
            own[name] = values[cls, name]
    return cls(**own) if instance is None else replace(instance, **own)
