"""What README and docs tell a reader to type exists: extras, commands, options."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from spectf_cloud.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "datasets").rglob("*.md"))]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def commands(page):
    """Each ``spectf-cloud …`` line of the page's code blocks, continued lines joined, comments left out."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"(?:^    .*\n)+", page.read_text(), re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line.strip(), comments=True) for line in lines if line.strip().startswith("spectf-cloud ")]


def resolve(words):
    """The command that words begin with, and its own words."""
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands"):
        assert rest and rest[0] in command.commands, words
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    for words in commands(page):
        command, rest = resolve(words[1:])
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in rest:
            if word.startswith("-"):
                assert word.split("=")[0] in known | {"--help"}, (page.name, words, word)


def test_the_commands_are_found():
    assert len(commands(ROOT / "README.md")) >= 5 and len(commands(ROOT / "docs" / "guide" / "training.md")) >= 7


def test_extras_that_are_named_exist():
    sources = [*PAGES, *(ROOT / "spectf_cloud").rglob("*.py"), ROOT / "Makefile"]
    named = {
        extra.strip()
        for path in sources
        for extras in re.findall(r"(?:spectf-cloud|['\"]\.)\[([a-z, ]+)\]", path.read_text())
        for extra in extras.split(",")
    }
    assert {"dask", "tui", "train"} <= named <= set(EXTRAS)


def test_the_table_of_extras_is_that_of_pyproject():
    page = (ROOT / "docs" / "how-it-works" / "dependencies.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|", page, re.MULTILINE)
    assert {name for name, _ in rows} == set(EXTRAS)
    for name, told in rows:
        for requirement in EXTRAS[name] if name != "dev" else ():
            within = re.match(r"spectf-cloud\[(.*)\]", requirement)
            for library in within[1].split(",") if within else [re.split(r"[><=]", requirement)[0]]:
                assert library in told, (name, library)


def test_the_page_of_the_interface_is_that_of_the_docstrings():
    made = runpy.run_path(str(ROOT / "docs" / "api" / "make_api.py"))["page"]()
    assert made == (ROOT / "docs" / "api" / "README.md").read_text(), "python docs/api/make_api.py > docs/api/README.md"
