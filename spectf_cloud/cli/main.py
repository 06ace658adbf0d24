"""The ``spectf-cloud`` command: registers the commands, turns errors into exit codes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from spectf_cloud.cli import weights
from spectf_cloud.cli.deploy_pt import deploy_pt
from spectf_cloud.cli.info import info
from spectf_cloud.cli.simulate import simulate
from spectf_cloud.cli.threshold import threshold
from spectf_cloud.errors import SpectfError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="spectf-cloud",
    help="Cloud masks for imaging spectroscopy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("deploy-pt")(deploy_pt)
app.command("threshold")(threshold)
app.command("info")(info)
app.command("simulate")(simulate)
app.add_typer(weights.app, name="weights")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"spectf-cloud {version('spectf-cloud')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Cloud masks for imaging spectroscopy."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. An error is one line, never a traceback unless debugging."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(arguments, prog_name="spectf-cloud")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except SpectfError as error:
        return _failed(str(error), error.exit_code, arguments)
    except Exception as error:
        if "-vv" in arguments:
            raise
        text = f"{type(error).__name__}: {error} (not foreseen; run again with -vv and report what it shows)"
        return _failed(" ".join(text.split()), SpectfError.exit_code, arguments)
    return 0


def _failed(message: str, exit_code: int, arguments: Sequence[str]) -> int:
    print(f"error: {message}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"event": "error", "message": message, "exit_code": exit_code}), flush=True)
    return exit_code


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
