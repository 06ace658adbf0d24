"""What users hold on to: help texts, public names and their signatures, the paths of public modules.

After a change that is meant: SPECTF_UPDATE_SNAPSHOTS=1 pytest tests/house, and read the difference.
"""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import spectf_cloud as sc
from spectf_cloud.cli.main import app

SNAPSHOTS = Path(__file__).with_name("snapshots")
#: Modules whose paths are part of the contract (shared/DESIGN.md).
PUBLIC_MODULES = ("model", "dataset", "toa", "sensor", "sensors", "scene", "weights", "errors")


def compare(name, text):
    path = SNAPSHOTS / name
    if os.environ.get("SPECTF_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def commands(command=None, words=()):
    """Every command of the tree, groups included, in order."""
    command = command or get_command(app)
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*words, name))


def test_help_texts():
    """All in one process of their own, at a fixed width."""
    script = "from spectf_cloud.__main__ import main\nfor words in {}:\n print('$', *words)\n main([*words, '--help'])"
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "TERM": "dumb", "NO_COLOR": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", script.format(list(commands()))],
        env=environment, capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    compare("help.txt", "".join(f"{line.rstrip()}\n" for line in shown.stdout.splitlines()))


def members(name, thing):
    """A function's signature, or a class's and those of its public methods and properties, or a module's names."""
    if inspect.ismodule(thing):
        yield from (line for own in thing.__all__ for line in members(f"{name}.{own}", getattr(thing, own)))
        return
    if not inspect.isclass(thing):
        yield re.sub(r" at 0x[0-9a-f]+", "", f"{name}{inspect.signature(thing)}")
        return
    yield f"class {name}" if issubclass(thing, Exception) else f"class {name}{inspect.signature(thing)}"
    own = [cls for cls in reversed(thing.__mro__) if cls.__module__.startswith("spectf_cloud")]
    for key, value in sorted({key: value for cls in own for key, value in vars(cls).items()}.items()):
        function = getattr(value, "__func__", value)
        if not key.startswith("_") and inspect.isfunction(function):
            yield f"    {name}.{key}{inspect.signature(function)}"
        elif isinstance(value, property):
            yield f"    {name}.{key}"


def test_public_names_and_signatures():
    lines = [line for name in sc.__all__ for line in members(name, getattr(sc, name))]
    compare("public.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_modules_are_where_they_were(name):
    assert importlib.import_module(f"spectf_cloud.{name}").__doc__
