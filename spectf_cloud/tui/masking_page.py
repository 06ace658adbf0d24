"""The Mask page: the options of masking, and its jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button

from spectf_cloud.dataset import find_observation
from spectf_cloud.errors import InputError, OutputError
from spectf_cloud.files.atomic import check_output
from spectf_cloud.tui.granules import short_name
from spectf_cloud.tui.job_view import JobList
from spectf_cloud.tui.option_form import CommandLine, OptionForm
from spectf_cloud.tui.options import Command, Problem, Values


class MaskingPage(Vertical):
    """The form of ``deploy-pt`` next to the queue of jobs; the equivalent command below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "run", "Run"),
        Binding("ctrl+y", "copy", "Copy command"),
    ]

    class Run(Message):
        """A job to queue."""

        def __init__(self, arguments: list[str], title: str) -> None:
            self.arguments, self.title = arguments, title
            super().__init__()

    def __init__(self, commands: Any, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._commands = commands
        self._promised: set[Path] = set()  # outputs of jobs queued so far

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield OptionForm(Command("deploy-pt", self._commands), deploy_problem, id="deploy-form")
            yield JobList(id="mask-jobs")
        yield CommandLine("Run", id="deploy-command")

    @property
    def form(self) -> OptionForm:
        """The fields."""
        return self.query_one(OptionForm)

    def focus_first(self) -> None:
        """Focus the first field."""
        self.form.focus_first()

    def choose(self, radiance: Path) -> None:
        """Fill in a scene, a free name for its mask, and --proba, which the Result page needs."""
        radiance = short(radiance)
        folder = radiance.parent if os.access(radiance.parent, os.W_OK) else Path()
        out = next_free(folder / f"{radiance.stem}_mask.tif", self._promised)
        self.form.fill({"rdn": str(radiance), "obs": "", "out": str(out), "proba": True})

    def action_run(self) -> None:
        """Queue the form's command."""
        form = self.form
        if form.problem is not None:
            self.notify(form.problem.message, title="Not yet", severity="warning")
            return
        radiance, out = (Path(str(form.values[name])) for name in ("rdn", "out"))
        self.post_message(self.Run(form.arguments, short_name(radiance)))
        self._promised.add(out)
        if not form.values.get("overwrite"):  # so that the next job is not refused
            form.fill({"out": str(next_free(out, self._promised))})

    def action_copy(self) -> None:
        """Copy the command to the clipboard."""
        self.query_one(CommandLine).copy()

    @on(OptionForm.Changed)
    def _form_changed(self, event: OptionForm.Changed) -> None:
        self.query_one(CommandLine).show(event.form)

    @on(Button.Pressed, ".run")
    def _run_pressed(self) -> None:
        self.action_run()


def deploy_problem(values: Values) -> Problem | None:
    """Return what ``deploy-pt`` would refuse before it computes: missing inputs, outputs in the way."""
    radiance = Path(str(values.get("rdn", "")))
    if not values.get("rdn"):
        return Problem("rdn", "choose a scene on the Scenes page, or type the path of its radiance")
    if not radiance.is_file():
        return Problem("rdn", f"{radiance} does not exist")
    observation = Path(str(values.get("obs", "")))
    try:
        if not values.get("obs"):
            find_observation(radiance)
        elif not observation.is_file():
            return Problem("obs", f"{observation} does not exist")
    except (InputError, OSError) as error:
        return Problem("obs", str(error))
    if not values.get("out"):
        return Problem("out", "name the mask to write")
    return _output_problem(values, [radiance, observation])


def _output_problem(values: Values, inputs: list[Path]) -> Problem | None:
    out = Path(str(values["out"]))
    outputs = {name: Path(str(values[name])) for name in ("out", "ortho", "netcdf", "quicklook") if values.get(name)}
    if values.get("proba"):
        outputs["proba"] = out.with_name(f"{out.stem}_prob.tif")
    seen: set[Path] = set()
    for name, path in outputs.items():
        try:
            check_output(path, overwrite=bool(values.get("overwrite")), inputs=inputs)
        except OutputError as error:
            return Problem(name, str(error))
        if path.absolute() in seen:
            return Problem(name, f"{path} is named twice; give each output its own name")
        seen.add(path.absolute())
    return None


def short(path: Path) -> Path:
    """Return a path relative to the working folder if it is in it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def next_free(out: Path, promised: Collection[Path] = ()) -> Path:
    """Return ``out``, or ``out`` with the first number that makes it and its probability new."""
    stem = re.sub(r"_[0-9]{1,2}$", "", out.stem)  # a number added before
    candidate, number = out, 1
    while candidate in promised or candidate.exists() or candidate.with_name(f"{candidate.stem}_prob.tif").exists():
        number += 1
        candidate = out.with_name(f"{stem}_{number}{out.suffix}")
    return candidate
