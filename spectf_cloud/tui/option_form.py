"""A form of a command's options, checked while typing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Button, Checkbox, Input, Label, Select, Static

from spectf_cloud.tui.options import Command, Option, Problem, Values, shell

_LAST_SECTION = "Options"

#: A check beyond the command's option definitions.
Check = Callable[[Values], Problem | None]


class PathSuggester(Suggester):
    """Completes a path; the right arrow accepts."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        if "/" not in value:
            return None
        head, _, begun = value.rpartition("/")
        try:
            found = sorted(Path(head or "/").expanduser().glob(f"{begun}*")) if begun else []
        except (OSError, ValueError, NotImplementedError):
            return None
        return f"{head}/{found[0].name}" if found else None


class OptionForm(Vertical):
    """Fields for every option of a command, by section; below them the help of the focused field."""

    HELP = """\
## Options
The same options as on the command line, checked as you type. Empty means the default, shown dimmed.
**Tab** moves on, **right** accepts a suggested path, **space** flips a switch.
"""

    class Changed(Message):
        """A field changed; ``problem`` is why the command would refuse, None if it would not."""

        def __init__(self, form: OptionForm, problem: Problem | None) -> None:
            self.form, self.problem = form, problem
            super().__init__()

        @property
        def control(self) -> OptionForm:
            return self.form

    def __init__(self, command: Command, check: Check | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.command = command
        self._check = check
        self.problem: Problem | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            for section in self._sections():
                yield Label(section, classes="section")
                for option in self.command.options:
                    if option.section == section:
                        yield _Row(option)
        yield Static(classes="option-help", markup=False)

    def on_mount(self) -> None:
        self._changed()

    @property
    def values(self) -> dict[str, str | bool]:
        """Filled-in values by option name, without defaults."""
        rows = self.query(_Row)
        return {row.option.name: row.value for row in rows if row.value not in ("", False)}

    @property
    def arguments(self) -> list[str]:
        """The arguments after ``spectf-cloud``."""
        return self.command.arguments(self.values)

    def focus_first(self) -> None:
        """Focus the first field."""
        self.query(Input).first().focus()

    def fill(self, values: Mapping[str, str | bool]) -> None:
        """Fill in some fields."""
        for row in self.query(_Row):
            if row.option.name in values:
                row.fill(values[row.option.name])
        self._changed()

    def _sections(self) -> list[str]:
        named = dict.fromkeys(option.section for option in self.command.options)
        return sorted(named, key=lambda section: section == _LAST_SECTION)  # a stable sort keeps the others in order

    @on(Input.Changed)
    @on(Checkbox.Changed)
    @on(Select.Changed)
    def _typed(self, event: Message) -> None:
        event.stop()
        self._changed()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._explain()

    def _changed(self) -> None:
        values = self.values
        self.problem = self.command.problem(values) or (self._check(values) if self._check else None)
        for row in self.query(_Row):
            row.set_class(self.problem is not None and row.option.name == self.problem.option, "-invalid")
        self._explain()
        self.post_message(self.Changed(self, self.problem))

    def _explain(self) -> None:
        """Show why the command would refuse, else the help of the focused field."""
        line = self.query_one(".option-help", Static)
        line.set_class(self.problem is not None, "-problem")
        focused = next((row.option for row in self.query(_Row) if row.has_focus_within), None)
        line.update(self.problem.message if self.problem else focused.help if focused else "")


class _Row(Horizontal):
    """A label and its field."""

    def __init__(self, option: Option) -> None:
        super().__init__(id=f"option-{option.name.replace('_', '-')}")
        self.option = option
        self.tooltip = option.help

    def compose(self) -> ComposeResult:
        option = self.option
        label = (option.flag or option.name).lstrip("-")
        yield Label(label + (" *" if option.required else ""), classes="option-label")
        if option.kind == "switch":
            yield Checkbox(compact=True)
        elif option.kind == "choice":
            yield Select(
                [(choice, choice) for choice in option.choices], value=option.default, allow_blank=False, compact=True
            )
        else:
            yield Input(placeholder=option.default, compact=True, suggester=PathSuggester(), select_on_focus=False)

    @property
    def value(self) -> str | bool:
        """The typed value; a choice left at its default is empty."""
        field = self.children[1]
        if isinstance(field, Checkbox):
            return field.value
        if isinstance(field, Select):
            return "" if field.value == self.option.default else str(field.value)
        assert isinstance(field, Input)
        return field.value

    def fill(self, value: str | bool) -> None:
        """Set the field without notifying the form."""
        field = self.children[1]
        assert isinstance(field, (Checkbox, Select, Input))
        with self.prevent(Input.Changed, Checkbox.Changed, Select.Changed):
            field.value = value
        if isinstance(field, Input):
            field.cursor_position = len(field.value)


class CommandLine(Horizontal):
    """The shell command of a form, and buttons to run and copy it."""

    def __init__(self, run_label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run_label = run_label
        self.command = ""

    def compose(self) -> ComposeResult:
        yield Static(classes="shell", markup=False)
        yield Button(self._run_label, variant="primary", compact=True, classes="run")
        yield Button("Copy", compact=True, classes="copy")

    def show(self, form: OptionForm) -> None:
        """Show the form's command; the run button is disabled while it has a problem."""
        self.command = shell(form.arguments)
        self.query_one(Static).update(f"$ {self.command}")
        self.query_one(".run", Button).disabled = form.problem is not None

    def copy(self) -> None:
        """Copy the command to the terminal's clipboard."""
        self.app.copy_to_clipboard(self.command)
        self.app.notify("Command copied")

    @on(Button.Pressed, ".copy")
    def _copy(self, event: Button.Pressed) -> None:
        event.stop()
        self.copy()
