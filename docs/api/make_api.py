"""The page of the Python interface, from the docstrings.

Run: python docs/api/make_api.py > docs/api/README.md
"""

import inspect
import re

import spectf_cloud as sc

_HEAD = """# The Python interface

Written by `python docs/api/make_api.py` from the docstrings. Names load when they are first used, so `import spectf_cloud` is quick.

| name | what it is |
|---|---|"""


def page() -> str:
    """Return the page: a table of the public names, then each with its signature and docstring."""
    names = [name for name in sc.__all__ if callable(getattr(sc, name))]
    rows = [f"| [`{name}`](#{name.lower()}) | {_doc(name).splitlines()[0]} |" for name in names]
    return "\n".join([_HEAD, *rows, "", *map(_section, names)])


def _doc(name: str) -> str:
    return inspect.getdoc(getattr(sc, name)) or ""


def _section(name: str) -> str:
    found = getattr(sc, name)
    said = "(message)" if issubclass(type(found), type) and issubclass(found, Exception) else inspect.signature(found)
    signature = re.sub(r" at 0x[0-9a-f]+|spectf_cloud\.", "", f"{name}{said}")
    parts = [f"## {name}\n", f"```python\n{signature}\n```\n", f"```text\n{_doc(name)}\n```\n"]
    if inspect.isclass(found):
        parts += [f"- `{name}.{own}`: {text}" for own, text in _members(found)]
        parts.append("")
    return "\n".join(parts)


def _members(cls: type) -> list[tuple[str, str]]:
    """Return the documented public methods and properties of a class, each with the first line of its docstring."""
    own = [name for name in sorted(_written_here(cls)) if not name.startswith("_")]
    said = [(name, getattr(inspect.getattr_static(cls, name), "__doc__", None)) for name in own if not _default(cls, name)]
    return [(name, text.strip().splitlines()[0]) for name, text in said if text]


def _default(cls: type, name: str) -> bool:
    """Whether a member is no more than the default of a field."""
    return name in getattr(cls, "__dataclass_fields__", {})


def _written_here(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base.__module__.startswith("spectf_cloud") for name in vars(base)}


if __name__ == "__main__":
    print(page(), end="")
