"""`SpectfApp`: the four pages and their jobs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Footer, HelpPanel, TabbedContent, TabPane

from spectf_cloud.tui.ask_screen import ConfirmScreen
from spectf_cloud.tui.crash import crash_words
from spectf_cloud.tui.job_view import JobList, JobStrip
from spectf_cloud.tui.jobs import Job, JobQueue, State
from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.palette import page_commands
from spectf_cloud.tui.preferences import Preferences, Rate, model_key
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.scenes import ScenesPage
from spectf_cloud.tui.tour_screen import TourScreen
from spectf_cloud.tui.train_page import TrainPage

# The colours of the probability map: deep blue, teal, sand.
_THEME = Theme(
    name="spectf",
    primary="#3f8fb5",
    secondary="#2f6d8c",
    accent="#e2b45c",
    success="#56b89a",
    warning="#e2b45c",
    error="#e0586e",
    background="#0e1620",
    surface="#142130",
    panel="#1b2c3f",
    foreground="#dfe7ee",
)
_PAGES = {"scenes": "Scenes", "mask": "Mask", "result": "Result", "train": "Train"}


class SpectfApp(App[None]):
    """The terminal application.

    ``folder`` is where the tree of scenes starts; ``sharp_image`` comes from `spectf_cloud.tui.pixel_images`.
    """

    TITLE = "SpecTf Cloud"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - Textual declares them on the instance
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", priority=True),
        Binding("escape", "close_help", "Close the help", show=False, priority=True),
        *(
            Binding(f"f{number}", f"page('{page}')", title, show=False, priority=True)
            for number, (page, title) in enumerate(_PAGES.items(), start=2)
        ),
        Binding("f8", "cancel", "Cancel job", priority=True),
    ]

    def __init__(
        self, folder: Path, commands: Any, preferences: Preferences | None = None, sharp_image: Any = None
    ) -> None:
        """Take ``commands``, the command tree of the command line, to make forms from."""
        super().__init__()
        self._folder, self._commands = folder, commands
        self.sharp_image = sharp_image
        self.preferences = preferences or Preferences.load()
        self.masking = JobQueue(self._mask_job_changed)
        self.training = JobQueue(self._train_job_changed)
        self._offers_cancel = False
        self._asked_for: str | None = None
        self.last_words = "the application ended unexpectedly"
        self.register_theme(_THEME)

    def compose(self) -> ComposeResult:
        with TabbedContent(initial="scenes"):
            with TabPane("[dim]F2[/] Scenes", id="scenes"):
                yield ScenesPage(self._folder)
            with TabPane("[dim]F3[/] Mask", id="mask"):
                yield MaskingPage(self._commands)
            with TabPane("[dim]F4[/] Result", id="result"):
                yield ResultPage()
            with TabPane("[dim]F5[/] Train", id="train"):
                yield TrainPage(self._commands)
        yield JobStrip(id="job-strip")
        yield Footer()

    def on_mount(self) -> None:
        self.theme = self.preferences.theme if self.preferences.theme in self.available_themes else _THEME.name
        self.query_one(JobStrip).display = False
        self.query_one(ScenesPage).focus_first()
        if not self.preferences.tour_seen:
            self.action_tour()

    # Pages

    def action_page(self, page: str) -> None:
        """Go to a page."""
        if len(self.screen_stack) > 1:  # a question waits for its answer
            return
        tabs = self.query_one(TabbedContent)
        if tabs.active == page:
            self._focus_page(tabs.active_pane)
        else:
            self.set_focus(None)  # a focused widget that is then hidden would take the focus away later
            self._asked_for, tabs.active = page, page

    @on(TabbedContent.TabActivated)
    def _page_shown(self, event: TabbedContent.TabActivated) -> None:
        # Only now, as hidden widgets take no focus; and only for the page asked for, as focus itself turns pages.
        if event.pane.id == self._asked_for:
            self._asked_for = None
            self._focus_page(event.pane)

    def _focus_page(self, pane: TabPane | None) -> None:
        for page in pane.children if pane else ():
            if isinstance(page, (ScenesPage, MaskingPage, ResultPage, TrainPage)):
                self.call_after_refresh(page.focus_first)

    @on(ScenesPage.Chosen)
    def _scene_chosen(self, event: ScenesPage.Chosen) -> None:
        self.query_one(MaskingPage).choose(event.path)
        self.action_page("mask")

    @on(ScenesPage.Opened)
    def _probability_opened(self, event: ScenesPage.Opened) -> None:
        self.query_one(ResultPage).open_result(event.path, None, [self.query_one(ScenesPage).folder])
        self.action_page("result")

    # Jobs

    @on(MaskingPage.Run)
    def _run_mask(self, event: MaskingPage.Run) -> None:
        self.masking.add(event.arguments, event.title)

    @on(TrainPage.Run)
    def _run_training(self, event: TrainPage.Run) -> None:
        self.training.add(event.arguments, event.title)

    @on(JobList.Opened)
    def _job_opened(self, event: JobList.Opened) -> None:
        if not self._look_at(event.job):
            self.notify("Only a finished job with --proba can be shown", severity="warning")
            return
        self.action_page("result")

    def _look_at(self, job: Job) -> bool:
        probability = (job.result.get("outputs") or {}).get("probability")
        if job.state is not State.done or probability is None:
            return False
        options = _options_of(job)
        observation = Path(options["--obs"]) if "--obs" in options else None
        self.query_one(ResultPage).open_result(Path(probability), (Path(options["--rdn"]), observation))
        return True

    def _mask_job_changed(self, job: Job) -> None:
        if not self.is_running:
            return
        self.query_one(JobList).show(job)
        self._show_strip()
        if job.state is State.done:
            if job.steady_rate:
                self.preferences.learn(_key_of(job), job.steady_rate)
            self._look_at(job)
            self.notify(f"{job.title} is masked: F4 shows the result", title="Done")
            self.query_one(ScenesPage).action_reload()
        elif job.state is State.failed:
            self.notify(job.error, title=job.title, severity="error", timeout=12)

    def _train_job_changed(self, job: Job) -> None:
        if not self.is_running:
            return
        self.query_one(TrainPage).show_job(job)
        self._show_strip()
        if job.over and job.state is not State.cancelled:
            self.notify(job.error or "finished", title=job.title, severity="error" if job.error else "information")

    def _show_strip(self) -> None:
        self.query_one(JobStrip).show([*self.masking.jobs, *self.training.jobs])
        if self._offers_cancel != self._busy:  # rebuilding the footer at every event would be slow
            self._offers_cancel = self._busy
            self.refresh_bindings()

    def expected_rate(self) -> Rate | None:
        """Return how fast masking is here with the form's options; None before a first job."""
        form = self.query_one(MaskingPage).form
        default = {option.name: option.default for option in form.command.options}
        chosen = {name: str(form.values.get(name, default[name])) for name in ("weights", "fidelity", "device")}
        return self.preferences.rate(model_key(**chosen))

    def action_cancel(self) -> None:
        """Cancel the job under the cursor on the Mask page, else the running one."""
        page = self.query_one(TabbedContent).active
        queue = self.training if page == "train" else self.masking
        chosen = self.query_one(JobList).current if page == "mask" else None
        running = next((job for job in queue.jobs if not job.over), None)
        job = chosen if chosen is not None and not chosen.over else running
        if job is None:
            self.notify("No job is running or waiting", severity="warning")
        else:
            queue.cancel(job)

    # The rest

    def action_help(self) -> None:
        """Open or close the help."""
        if self._help_is_open:
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_close_help(self) -> None:
        """Close the help."""
        self.action_hide_help_panel()

    @property
    def _help_is_open(self) -> bool:
        return bool(self.screen.query(HelpPanel))

    def action_tour(self) -> None:
        """Show the tour."""

        def seen(_: None) -> None:
            self.preferences.tour_seen = True
            self.preferences.save()

        self.push_screen(TourScreen(), seen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to cancel only while a job is there, and to close the help only while it is open."""
        if action == "close_help":
            return self._help_is_open
        return self._busy if action == "cancel" else True

    @property
    def _busy(self) -> bool:
        """Whether any job is running or waiting."""
        return self.masking.busy or self.training.busy

    async def action_quit(self) -> None:
        """Quit; ask first while a job is running."""
        if not self._busy:
            self._leave(True)
            return
        self.push_screen(ConfirmScreen("A job is not finished.", "Cancel it and leave", "Stay"), self._leave)

    @work
    async def _stop_and_exit(self) -> None:
        await self.masking.close()
        await self.training.close()
        self.exit()

    def _leave(self, sure: bool | None) -> None:
        if sure:
            self.preferences.theme = self.theme
            self.preferences.save()
            self._stop_and_exit()

    def _handle_exception(self, error: Exception) -> None:
        """Keep the message of a crash; Textual then ends the application with return code 1."""
        self.last_words = crash_words(error)
        super()._handle_exception(error)

    async def on_unmount(self) -> None:
        await self.masking.close()
        await self.training.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield every action for the palette."""
        yield from super().get_system_commands(screen)
        for page, title in _PAGES.items():
            yield SystemCommand(f"Go to {title}", f"The {title} page", partial(self.action_page, page))
        scenes, mask = self.query_one(ScenesPage), self.query_one(MaskingPage)
        result, train = self.query_one(ResultPage), self.query_one(TrainPage)
        yield from page_commands(scenes, mask, result, train)
        yield SystemCommand("Cancel the job", "The selected one, or the running one", self.action_cancel)
        yield SystemCommand("Tour", "The four pages, explained on one", self.action_tour)


def _options_of(job: Job) -> dict[str, str]:
    """Return the options of a job that have a value."""
    separate = dict(zip(job.arguments, job.arguments[1:], strict=False))
    joined = (part.partition("=") for part in job.arguments if part.startswith("--"))
    return separate | {option: value for option, _, value in joined if value}


def _key_of(job: Job) -> str:
    """Return the key of the options that its speed depends on."""
    found = _options_of(job)
    return model_key(
        found.get("--weights", "builtin"), found.get("--fidelity", "faithful"), found.get("--device", "-1")
    )
