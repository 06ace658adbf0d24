"""The ``spectf-cloud`` command: registers the commands, turns errors into exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from spectf_cloud.cli import archive, cloud_eval, dataset, export, reporting, sensors, train_comparison, weights
from spectf_cloud.cli.deploy_many import deploy_many
from spectf_cloud.cli.deploy_pt import deploy_pt
from spectf_cloud.cli.deploy_trt import deploy_trt
from spectf_cloud.cli.explain import explain
from spectf_cloud.cli.info import info
from spectf_cloud.cli.simulate import simulate
from spectf_cloud.cli.threshold import threshold
from spectf_cloud.cli.train import train
from spectf_cloud.cli.tui import tui
from spectf_cloud.errors import MissingExtraError, SpectfError

#: Typer's base class of all usage errors: its own in new versions, click's in old ones.
TyperError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="spectf-cloud",
    help="Cloud masks for imaging spectroscopy.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("deploy-pt")(deploy_pt)
app.command("deploy-many")(deploy_many)
app.command("deploy-trt")(deploy_trt)
app.command("threshold")(threshold)
app.command("info")(info)
app.command("simulate")(simulate)
app.command("train")(train)
app.command("explain")(explain)
app.command("tui")(tui)
app.add_typer(cloud_eval.app, name="cloud-eval")
app.add_typer(train_comparison.app, name="train-comparison")
app.add_typer(dataset.app, name="dataset")
app.add_typer(archive.app, name="archive")
app.add_typer(weights.app, name="weights")
app.add_typer(sensors.app, name="sensors")
app.add_typer(export.app, name="export")


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


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. An error is one line; a traceback appears only with -vv."""
    reporting.active = None
    try:
        code = app(list(arguments) or ["--help"], prog_name="spectf-cloud", standalone_mode=False)
    except SpectfError as error:
        return reporting.failed(str(error), error.exit_code, arguments)
    except TyperError as error:
        hint = f" (see spectf-cloud {arguments[0]} --help)" if arguments else ""
        return reporting.failed(" ".join(error.format_message().split()) + hint, error.exit_code, arguments)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "torch":
            text = "this needs PyTorch, which is not installed: pip install torch"
            return reporting.failed(text, MissingExtraError.exit_code, arguments)
        if reporting.active and reporting.active.verbose >= 2:
            raise
        text = f"{type(error).__name__}: {error} (unexpected error; rerun with -vv and report the traceback)"
        return reporting.failed(" ".join(text.split()), SpectfError.exit_code, arguments)
    return code if isinstance(code, int) else 0
