"""The Train page: start a training run or an evaluation, and watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, ContentSwitcher, DataTable, Select, Static

from spectf_cloud.errors import SpectfError
from spectf_cloud.tui.ask_screen import AskScreen
from spectf_cloud.tui.jobs import Job, State
from spectf_cloud.tui.option_form import CommandLine, OptionForm
from spectf_cloud.tui.options import Command
from spectf_cloud.tui.plot import Curve, Plot
from spectf_cloud.tui.run_files import PastRun, Row, column, joined, read_metrics, read_run

_COMMANDS = {"train": "Train SpecTf", "cloud-eval compare": "Evaluate models"}
_EPOCH_COLUMNS = {
    "epoch": "epoch",
    "train_loss": "loss",
    "val_loss": "val loss",
    "val_f1": "val F1",
    "val_auc": "val AUC",
    "spectra_per_s": "spectra/s",
}
_MODEL_COLUMNS = {"name": "model", "threshold": "threshold", "f1": "F1", "accuracy": "accuracy", "auc": "AUC"}


class TrainPage(Vertical):
    """The form of the command on the left; curves and epochs on the right."""

    HELP = """\
## Train and evaluate
Stopping a run (**F8**) keeps the checkpoint of its last whole epoch; **ctrl+g** continues from there.
**ctrl+o** shows the curves or scores of an earlier run's folder.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "run", "Run"),
        Binding("ctrl+g", "resume", "Resume"),
        Binding("ctrl+o", "open", "Open a run"),
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
        self._before: list[Row] = []  # epochs of the run that the job resumes

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="train-left"):
                yield Select(
                    [(words, name) for name, words in _COMMANDS.items()],
                    value="train",
                    allow_blank=False,
                    compact=True,
                    id="train-command",
                )
                with ContentSwitcher(initial=_form_id("train")):
                    for name in _COMMANDS:
                        yield OptionForm(Command(name, self._commands), id=_form_id(name))
            with Vertical(id="train-right"):
                yield Static("No run yet", id="run-title", markup=False)
                with Horizontal(id="curves"):
                    yield Plot("Loss", id="loss")
                    yield Plot("Validation F1", id="f1")
                yield DataTable(id="epochs", cursor_type="row", zebra_stripes=True)
        yield CommandLine("Run", id="train-line")

    def on_mount(self) -> None:
        self._show_epochs([])

    @property
    def form(self) -> OptionForm:
        """The form of the chosen command."""
        return self.query_one(f"#{_form_id(str(self.query_one('#train-command', Select).value))}", OptionForm)

    def focus_first(self) -> None:
        """Focus the first field."""
        self.form.focus_first()

    def action_run(self) -> None:
        """Queue the form's command."""
        form = self.form
        if form.problem is not None:
            self.notify(form.problem.message, title="Not yet", severity="warning")
            return
        self._before = self._earlier_epochs(form) if form.values.get("resume") else []
        self.post_message(self.Run(form.arguments, _COMMANDS[form.command.name]))

    def action_resume(self) -> None:
        """Continue from the checkpoint in the output folder."""
        if self.form.command.name != "train":
            self.notify("Only training can be resumed", severity="warning")
            return
        self.form.fill({"resume": True, "overwrite": False})
        self.action_run()

    def action_copy(self) -> None:
        """Copy the command to the clipboard."""
        self.query_one(CommandLine).copy()

    def action_open(self) -> None:
        """Ask for the folder of an earlier run."""

        def show(folder: str | None) -> None:
            if folder:
                self.open_run(Path(folder).expanduser())

        begun = str(self.form.values.get("outdir", "")) or "outdir"
        self.app.push_screen(AskScreen("Folder of a training run or an evaluation", begun), show)

    def open_run(self, folder: Path) -> None:
        """Show the results in a run's folder."""
        try:
            run = read_run(folder)
        except SpectfError as error:
            self.notify(str(error), title="Cannot be opened", severity="error", timeout=10)
            return
        self._show_run(run)

    def show_job(self, job: Job) -> None:
        """Show the current state of a job."""
        words = {State.failed: f": {job.error}", State.cancelled: " (ctrl+g continues from the last whole epoch)"}
        self.query_one("#run-title", Static).update(f"{job.title}, {job.state}{words.get(job.state, '')}")
        if job.arguments[0] == "train":
            self._show_epochs(joined(self._before, job.epochs))
        elif job.state is State.done:
            self._show_models(job.result["models"])

    def _show_run(self, run: PastRun) -> None:
        self.query_one("#run-title", Static).update(f"{run.folder}, {len(run.epochs)} epochs")
        if run.epochs:
            self._show_epochs(run.epochs)
        else:
            self._show_models(run.models)

    def _show_epochs(self, rows: list[Row]) -> None:
        epochs = column(rows, "epoch")
        losses = [Curve("training", epochs, column(rows, "train_loss"), "primary")]
        if any("val_loss" in row for row in rows):
            losses.append(Curve("validation", epochs, column(rows, "val_loss"), "accent"))
        self.query_one("#loss", Plot).show(losses, title="Loss", empty="after the first epoch")
        f1 = Curve("", epochs, column(rows, "val_f1"), "success")
        self.query_one("#f1", Plot).show([f1], title="Validation F1", empty="after the first epoch")
        self._fill_table(_EPOCH_COLUMNS, list(reversed(rows)))

    def _show_models(self, models: list[dict[str, Any]]) -> None:
        self.query_one("#loss", Plot).show((), title="Scores", empty="in the table below")
        self.query_one("#f1", Plot).show((), title=" ")
        self._fill_table(_MODEL_COLUMNS, models)

    def _fill_table(self, columns: dict[str, str], rows: list[Row] | list[dict[str, Any]]) -> None:
        table = self.query_one("#epochs", DataTable)
        table.clear(columns=True)
        cells = [[_cell(name, row.get(name)) for name in columns] for row in rows]
        for number, label in enumerate(columns.values()):
            # Automatic widths sometimes stay those of the labels.
            table.add_column(label, width=max(len(label), *(len(row[number]) for row in cells), 0))
        table.add_rows(cells)

    def _earlier_epochs(self, form: OptionForm) -> list[Row]:
        folder = Path(str(form.values.get("outdir", "outdir")))
        try:
            return read_metrics(folder / "metrics.csv")
        except SpectfError:
            return []

    @on(OptionForm.Changed)
    @on(Select.Changed, "#train-command")
    def _form_changed(self) -> None:
        self.query_one(ContentSwitcher).current = self.form.id
        self.query_one(CommandLine).show(self.form)

    @on(Button.Pressed, ".run")
    def _run_pressed(self) -> None:
        self.action_run()


def _form_id(command: str) -> str:
    return f"form-{command.replace(' ', '-')}"


def _cell(name: str, value: float | str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if name in ("epoch", "spectra_per_s") else f"{value:.4f}"
