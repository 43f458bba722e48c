"""What moves at the bottom of a terminal while a run goes on: the cycle, its steps, the call, the money, the error."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from pydantic import ValidationError
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.marks import Marks, marks_for
from agent.replies import BudgetShown, Summary, error_in
from agent.spent import Spent
from agent.step_line import StepLine
from agent.words import one_line

STEPS = ("measure", "read back", "diagnose", "augment", "train", "judge", "promote", "write")
BEGINNING = tuple(step for step in STEPS if step != "augment")
CAMPAIGN = (*STEPS[:5], "choose", *STEPS[5:])
MAX_WIDTH = 100  # characters; a wider panel is no easier to read
NARROW, LOW = 60, 14  # a terminal with fewer columns, or lines, gets one line instead of a panel
TURNS_PER_S = 5
BAR_CHARS = 16
WORDS_CHARS = 200
UNDER_WAY = ("queued", "running")


class Board:
    """The state of a run as it is shown, and how it is drawn. Nothing is decided by it."""

    def __init__(self) -> None:
        self.cycle = ""
        self.step: StepLine | None = None
        self.budget: BudgetShown | None = None
        self.job: str | None = None
        """The training that is under way."""
        self.errors: list[float] = []
        """Of the constant, then of the champion after each cycle, on the diagnose rows, in points."""
        self._began = perf_counter()
        self._where = ""
        self._steps: tuple[str, ...] = BEGINNING
        self._done: set[str] = set()
        self._champion = self._candidate = ""
        self._candidate_error: float | None = None
        self._spent: dict[str, Spent] = {}

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return perf_counter() - self._began

    @property
    def place(self) -> str:
        """Where the run is, in words; empty where it is nowhere yet."""
        step = f"in step {self.step.name!r}" if self.step else ""
        return " of ".join(filter(None, [step, self.cycle])) if step else f"in {self.cycle}" if self.cycle else ""

    @property
    def lives_on(self) -> str:
        """What goes on without the run, in words; empty where nothing does."""
        return f", and the training {self.job} goes on by itself" if self.job else ""

    def opened(self, cycle: str, champion: str, turn: str, campaign: bool) -> None:
        """A cycle was opened, or found open.

        Args:
            cycle: Its id.
            champion: Who is in service.
            turn: Which turn of the run it is, in words; empty for the beginning.
            campaign: Whether it tries several ways.
        """
        self.cycle, self._champion, self._where = cycle, champion, turn
        self._steps = CAMPAIGN if campaign else STEPS if turn else BEGINNING
        self._done, self._candidate, self._candidate_error = set(), "", None

    def closed(self, summary: Summary) -> None:
        """A cycle has ended: the champion's error moves, or stays."""
        measured = {role: error_in(metrics) for role, metrics in summary.diagnose.items() if metrics}
        start = [measured.get("constant"), measured.get("champion") if summary.kind == "cycle" else None]
        if len(self.errors) < 2:
            self.errors = [error for error in start if error is not None]
        after = measured.get("candidate") if summary.verdict == "promote" else None
        if after is None and self.errors:
            after = self.errors[-1]
        self.errors += [after] if after is not None else []
        self.job, self._candidate_error = None, None

    def began(self, step: StepLine) -> None:
        """A step has begun."""
        self.step = step

    def ended(self, step: StepLine) -> None:
        """A step is over."""
        if step.name != "write" or "judge" in self._done:  # the playbook is written before the training, too
            self._done.add(step.name)
        self.step = None

    def thought(self, spent: Spent | None) -> None:
        """A brain has given an answer.

        Args:
            spent: What the cycle's thinking took so far.
        """
        if spent is not None:
            self._spent[self.cycle] = spent

    def heard(self, tool: str, result: Mapping[str, Any]) -> None:
        """A tool has answered; what is not understood is not shown."""
        try:
            self._heard(tool, result)
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError):
            return

    def _heard(self, tool: str, result: Mapping[str, Any]) -> None:
        if result.get("budget"):
            self.budget = BudgetShown.model_validate(result["budget"])
        match tool:
            case "evaluate_model":
                self._measured(str(result["model"]), float(result["metrics"]["vector_mae"]))
            case "start_retrain" | "get_job":
                self.job = one_line(str(result["job_id"]), WORDS_CHARS) if result["state"] in UNDER_WAY else None
                if tool == "get_job" and self.step and self.job:
                    last = next(iter(reversed(result.get("log") or [])), "")
                    self.step.reached(result["step"], result["of"], str(last or result["message"]))

    def _measured(self, model: str, error: float) -> None:
        if model == "constant" and not self.errors:
            self.errors = [error]
        elif model == self._champion and len(self.errors) == 1 and model != "constant":
            self.errors.append(error)
        elif "train" in self._done:
            self._candidate, self._candidate_error = model, error

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As much as there is room for; it is drawn anew several times a second."""
        marks = marks_for(console)
        if options.max_width < NARROW or console.height < LOW:
            yield self._in_one_line(marks)
            return
        row = [self._row(marks)] if self.cycle else []
        title = f" {marks.between} ".join(filter(None, ["Étude", self.cycle, self._where]))
        yield Panel(
            Group(*row, self._current(marks), *([self._figures(marks)] if self.errors or self._money() else [])),
            title=Text(title, style="bold"),
            title_align="left",
            subtitle=Text(f"{self.seconds:.0f} s", style="dim"),
            subtitle_align="right",
            border_style="cyan",
            # Not to the edge: where a terminal shows the ^C of its user, it would break the last line.
            width=min(options.max_width - len("^C^C"), MAX_WIDTH),
        )

    def _row(self, marks: Marks) -> Text:
        """The steps of the cycle: done, now, to come."""
        row = Text(no_wrap=True, overflow="ellipsis")
        for name in self._steps:
            if self.step is not None and self.step.name == name:
                mark, style = marks.now, "bold cyan"
            elif name in self._done:
                mark, style = marks.done, "green"
            else:
                mark, style = marks.to_come, "dim"
            row.append(" " if row else "").append(f"{mark}{name}", style=style)
        return row

    def _turning(self, marks: Marks) -> str:
        return marks.turning[int(perf_counter() * TURNS_PER_S) % len(marks.turning)]

    def _current(self, marks: Marks) -> Table:
        """The step that is under way, what it calls, and how far that is."""
        line = Table.grid(padding=(0, 1, 0, 0), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(no_wrap=True, justify="right")
        step = self.step
        if step is None:
            line.add_row(Text(self._turning(marks), style="cyan"), Text("", style="dim"), "")
            return line
        words = Text(one_line(step.words, WORDS_CHARS))
        far = Text()
        if (share := step.share) is not None:
            full, empty = marks.bar(share, BAR_CHARS)
            far.append(full, style="cyan").append(empty, style="dim")
            far.append(f" {step.done:g} of {step.total:g}")
        far.append(f" {step.seconds:.1f} s", style="dim")
        line.add_row(Text(f"{self._turning(marks)} {step.name}", style="bold cyan"), words, far)
        return line

    def _figures(self, marks: Marks) -> Table:
        """The champion's error as it moves, and what was spent."""
        line = Table.grid(padding=(0, 1, 0, 0), expand=True)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(no_wrap=True, justify="right")
        error = Text()
        if self.errors:
            error.append("champion's error ").append(marks.trend(self.errors), style="bold magenta")
            error.append(f" {marks.course(self.errors)}", style="bold")
        if self._candidate_error is not None:
            error.append(f"  candidate {self._candidate_error:.2f}", style="cyan")
        line.add_row(error, Text(f" {marks.between} ".join(self._money()), style="dim"))
        return line

    def _money(self) -> list[str]:
        """What was spent, and what is left; what is nothing is not said."""
        words = []
        if tokens := sum(spent.input_tokens + spent.output_tokens for spent in self._spent.values()):
            words.append(f"{tokens:,} tokens")
        if usd := sum(spent.usd for spent in self._spent.values()):
            words.append(f"{usd:.3f} USD")
        if self.budget is not None and self.budget.left < self.budget.limit:
            words.append(f"{self.budget.left:.2f} USD left")
        return words

    def _in_one_line(self, marks: Marks) -> Text:
        step = self.step
        now = f"{step.name} {step.seconds:.0f} s {step.words}" if step is not None else ""
        words = " ".join(filter(None, [self._turning(marks), self.cycle, now]))
        return Text(one_line(words, WORDS_CHARS), no_wrap=True, overflow="ellipsis")
