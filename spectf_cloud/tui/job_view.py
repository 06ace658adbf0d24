"""The jobs: a table of all, the log of one, and a strip for the running one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable, RichLog, Static

from spectf_cloud.tui.jobs import Job, State

_SIGNS = {
    State.queued: "waiting",
    State.running: "running",
    State.stopping: "stopping",
    State.done: "done",
    State.failed: "failed",
    State.cancelled: "cancelled",
}
_STYLES = {State.done: "green", State.failed: "red", State.running: "cyan", State.stopping: "yellow"}


class JobList(Vertical):
    """A row for each job; below, the log of the job under the cursor."""

    HELP = """\
## Jobs
One runs, the others wait. **enter** looks at the result of a job that is done; **F8** or **delete** cancels the
one the cursor is on: it is asked to stop, and takes away what it had begun to write.
"""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("delete", "app.cancel", "Cancel", show=False)]

    class Opened(Message):
        """The user asked for a job's result."""

        def __init__(self, job: Job) -> None:
            self.job = job
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._jobs: dict[int, Job] = {}
        self._logged = 0

    def compose(self) -> ComposeResult:
        table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        table.add_column("#", key="number")
        table.add_column("job", key="title", width=18)
        table.add_column("state", key="state", width=12)
        yield table
        yield RichLog(max_lines=400, min_width=20, wrap=True, markup=False, highlight=False)

    def on_mount(self) -> None:
        self.query_one(RichLog).write("No jobs yet. What they say appears here.")

    @property
    def current(self) -> Job | None:
        """The job under the cursor."""
        table = self.query_one(DataTable)
        return list(self._jobs.values())[table.cursor_row] if 0 <= table.cursor_row < len(self._jobs) else None

    def show(self, job: Job) -> None:
        """Show the current state of a job."""
        table = self.query_one(DataTable)
        if job.number in self._jobs:
            table.update_cell(str(job.number), "state", _state(job))
        else:
            self._jobs[job.number] = job
            title = Text(job.title, no_wrap=True, overflow="ellipsis")
            table.add_row(Text(str(job.number)), title, _state(job), key=str(job.number))
            table.move_cursor(row=len(self._jobs) - 1)
        if job is self.current:
            self._write_log(job)

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self._logged = 0
        self.query_one(RichLog).clear()
        if self.current:
            self._write_log(self.current)

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        if self.current:
            self.post_message(self.Opened(self.current))

    def _write_log(self, job: Job) -> None:
        """Write what is new since the last time, the error last."""
        log = self.query_one(RichLog)
        lines: list[str | Text] = list(job.log)
        if job.over:
            lines += _last_words(job)
        for line in lines[self._logged :]:
            log.write(line)
        self._logged = len(lines)


def _last_words(job: Job) -> Sequence[str | Text]:
    if job.state is State.failed:
        return [Text(job.error, "red")]
    if job.state is State.cancelled:
        return ["cancelled; nothing was written"]
    outputs = job.result.get("outputs") or {}
    return [f"{kind}: {path}" for kind, path in outputs.items()]


def _state(job: Job) -> Text:
    text = f"{job.fraction:.0%}" if job.state is State.running and job.total else _SIGNS[job.state]
    fraction = job.result.get("cloud_fraction")
    if job.state is State.done and fraction is not None:
        text = f"{fraction:.1%} cloud"
    return Text(text, _STYLES.get(job.state, "dim"))


class JobStrip(Static):
    """One line about the running job, on every page; hidden if there is none."""

    _BAR = 16

    def show(self, jobs: Sequence[Job]) -> None:
        """Show the first running job, and how many wait."""
        running = next((job for job in jobs if job.state in (State.running, State.stopping)), None)
        self.display = running is not None
        if running is not None:
            self.update(self._line(running, sum(job.state is State.queued for job in jobs)))

    def _line(self, job: Job, waiting: int) -> Text:
        filled = round(job.fraction * self._BAR)
        parts: list[str | tuple[str, str]] = [
            ("━" * filled, "bold #4ec9b0"),
            ("─" * (self._BAR - filled), "dim"),
            f" {job.fraction:4.0%} ",
        ]
        if job.state is State.stopping:
            parts.append("stopping … ")
        elif job.total == 0:
            parts.append("starting … ")
        else:
            parts.append(f"{job.rate_per_s:,.0f}/s, {clock(job.seconds_left)} left ")
        parts.append((f"{job.title}", "bold"))
        if waiting:
            parts.append((f"  +{waiting} waiting", "dim"))
        return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def clock(seconds: float | None) -> str:
    """Return hours, minutes and seconds as a clock shows them.

    >>> clock(75), clock(3725), clock(None)
    ('1:15', '1:02:05', '–')
    """
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
