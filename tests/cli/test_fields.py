"""What a command offers and gets follows from dataclasses and a table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import typer
from typer.main import get_command

from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter


@dataclass(frozen=True)
class Inner:
    kind: Literal["round", "square"] = "round"
    size: float = 1.0
    name: str = "inner"
    hidden: int = 7


@dataclass(frozen=True)
class Job:
    files: tuple[Path, ...]
    name: str = "outer"
    inner: Inner = field(default_factory=lambda: Inner(size=2.5))
    seconds: float | None = None
    colours: tuple[str, ...] = ("red",)
    loud: bool = False
    overwrite: bool = False
    maker: str = "nobody"


TABLE = {
    "files": Shown("Files.", argument=True),
    "size": Shown("Size.", "Panel", min=0, name="how_large"),
    "kind": Shown("Kind."),
    "name": Shown("Name.", env=False),
    "seconds": Shown("Time.", type=str, make=lambda text: 60 * float(text)),
    "colours": Shown("Colours.", name="colour"),
    "loud": Shown("Loud."),
    "overwrite": Overwrite,
    "elsewhere": Shown("Of another job."),
}


@pytest.fixture
def command():
    """The command, and what it was called with."""
    told = []

    @takes(TABLE, "TRY_", maker="me")
    def attempt(job: Job, *, limit: int = 3, reporter: Reporter) -> None:
        """Try it."""
        told.append((job, limit, reporter))

    app = typer.Typer(add_completion=False)
    app.command()(attempt)
    made = get_command(app)

    def call(*arguments):
        made(list(arguments), standalone_mode=False)
        return told[-1]

    return made, call


def test_defaults_are_those_of_the_fields_where_they_stand(command):
    job, limit, reporter = command[1]("a", "b")
    assert job == Job((Path("a"), Path("b")), maker="me")
    assert (job.inner.size, limit, reporter) == (2.5, 3, Reporter())


def test_values_reach_their_fields(command):
    words = "a --how-large 4 --kind square --name n --seconds 2 --colour blue --colour green --loud --overwrite --json"
    job, _, reporter = command[1](*words.split())
    assert job.inner == Inner("square", 4.0)  # its name is not the outer one's
    assert (job.name, job.seconds, job.colours) == ("n", 120.0, ("blue", "green"))
    assert job.loud and job.overwrite and reporter.json


def test_options_stand_in_the_order_of_the_table(command):
    names = [parameter.name for parameter in command[0].params if parameter.name != "help"]
    assert names[:8] == ["files", "how_large", "kind", "name", "seconds", "colour", "loud", "overwrite"]
    assert names[8:] == ["limit", "json", "verbose", "quiet"]
    shown = {parameter.name: parameter for parameter in command[0].params}
    assert (shown["how_large"].rich_help_panel, shown["how_large"].help) == ("Panel", "Size.")
    assert shown["loud"].opts == ["--loud"] and not shown["loud"].secondary_opts
    assert (shown["files"].required, shown["kind"].envvar, shown["name"].envvar) == (True, "TRY_KIND", None)


def test_the_environment_speaks(command, monkeypatch):
    monkeypatch.setenv("TRY_HOW_LARGE", "9")
    assert command[1]("a")[0].inner.size == 9.0


@pytest.mark.parametrize("words", ["", "a --how-large -1", "a --kind oval", "a --hidden 3", "a --maker you"])
def test_the_rest_is_refused(command, words):
    with pytest.raises(Exception) as refusal:  # typer's own or click's, by version
        command[1](*words.split())
    assert refusal.value.exit_code == 2
