"""The closing summary on a terminal: what a run brought, what it took, and what to type next, on one screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agent.marks import Marks, marks_for
from agent.outcome import Outcome
from agent.replies import BudgetShown, Metrics, Summary, error_in, in_points
from agent.typed import Typed
from agent.words import one_line

WORDS_CHARS = 300
BAR_CHARS = 24
MIN_BARS = 64  # columns; a terminal that has fewer gets no bars
MIN_DIMENSIONS = 3
VERDICTS = {
    "promote": ("promoted", "green"),
    "hold": ("held", "yellow"),
    "undecided": ("undecided", "yellow"),
    "stopped": ("stopped", "magenta"),
}


@dataclass(frozen=True)
class Closing:
    """A run that is over."""

    outcome: Outcome
    cycles: Sequence[Summary]
    """Closed by the run, oldest first, the beginning among them where the run made it."""
    dimensions: Sequence[str]
    synthetic: bool
    """Whether the data come from the embedded demo world."""
    errors: Sequence[float]
    """Of the constant, then of the champion after each cycle, on the diagnose rows, in points."""
    seconds: float
    budget: BudgetShown | None

    def show(self, console: Console, typed: Typed) -> None:
        """Print it, so that it fits the console's height where that is possible."""
        marks = marks_for(console)
        foot = self._foot(typed)
        foot_lines = sum(-(-cell_len(f"{label:<9} {words}") // console.width) for label, words, _, _ in foot)
        room = console.height - 2 - foot_lines - 2  # the prompt and a line above it; the title and the trend
        verdicts = len(self.cycles)
        changes = self._changes()
        spacious = room >= verdicts + len(changes) + 3
        if not spacious:
            kept = max(MIN_DIMENSIONS, room - verdicts)
            changes = sorted(changes, key=lambda change: -abs(change[2] - change[1]))[:kept]
        gap = [""] if spacious else []
        console.print(Rule(self._title(marks), align="left", style="dim cyan"))
        if self.errors:
            console.print(self._trend(marks))
        for part in (*gap, self._verdicts(marks, console), *gap, self._bars(changes, marks, console), *gap):
            console.print(part)
        for label, words, style, hint in foot:
            line = Text(f"{label:<9} ", style="cyan").append(words, style=style)
            if hint and cell_len(f"{line.plain}  {hint}") < console.width:
                line.append(f"  {hint}", style="dim")
            console.print(line, soft_wrap=True)  # broken by the terminal, so that it can be copied whole

    def _title(self, marks: Marks) -> Text:
        words = ["Étude", self.outcome.task, self.outcome.dataset.name, f"{self.seconds:.0f} s"]
        return Text(f" {marks.between} ".join(words), style="bold cyan")

    def _trend(self, marks: Marks) -> Text:
        line = Text("champion's error ", no_wrap=True, overflow="ellipsis")
        line.append(f"{marks.trend(self.errors)} ", style="bold magenta")
        line.append(marks.course(self.errors), style="bold")
        if len(self.errors) > 1 and self.errors[-1] < self.errors[0]:
            line.append(f"  {1 - self.errors[-1] / self.errors[0]:.0%} below the constant", style="bold green")
        return line

    def _verdicts(self, marks: Marks, console: Console) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(3):
            table.add_column(no_wrap=True)
        if console.width >= MIN_BARS:
            table.add_column(no_wrap=True, overflow="ellipsis")
        for summary in self.cycles:
            word, style = VERDICTS[summary.verdict]
            mark = marks.done if summary.verdict == "promote" else marks.between
            before, after = _pair(summary)
            moved = f"{in_points(before)} {marks.arrow} {in_points(after)}" if after is not None else ""
            name = summary.cycle if summary.kind == "cycle" else "begin"
            cells: list[str | Text] = [name, Text(f"{mark} {word}", style=style), moved]
            table.add_row(*cells, *([Text(self._why(summary), style="dim")] if console.width >= MIN_BARS else []))
        return table

    @staticmethod
    def _why(summary: Summary) -> str:
        gate = summary.gate
        if gate is not None and gate.difference is not None and gate.ci is not None:
            return f"sealed rows {gate.difference:+.2f} ({gate.ci[0]:+.2f} to {gate.ci[1]:+.2f})"
        return one_line(summary.reason, WORDS_CHARS)

    def _changes(self) -> list[tuple[str, float, float]]:
        """Each dimension's error at the beginning of the run and at its end, where both are known."""
        first = next((found for summary in self.cycles if (found := _before(summary))), None)
        last = next((found for summary in reversed(self.cycles) if (found := _serving(summary))), None)
        if first is None or last is None:
            return []
        pairs = [(name, error_in(first, name), error_in(last, name)) for name in self.dimensions]
        return [(name, old, new) for name, old, new in pairs if old is not None and new is not None]

    @staticmethod
    def _bars(changes: Sequence[tuple[str, float, float]], marks: Marks, console: Console) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(2):
            table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        widest = max((max(old, new) for _, old, new in changes), default=0.0) or 1.0
        for name, old, new in changes:
            better = new <= old
            left, gained = marks.bar(new / max(old, new), max(1, round(max(old, new) / widest * BAR_CHARS)))
            bar = Text(left, style="cyan").append(gained, style="dim green")
            table.add_row(
                name,
                f"{in_points(old)} {marks.arrow} {in_points(new)}",
                Text(in_points(new - old, "+"), style="green" if better else "red"),
                bar if console.width >= MIN_BARS else "",
            )
        return table

    def _foot(self, typed: Typed) -> list[tuple[str, str, str, str]]:
        """What it took, what is not real, where to look, what to type next: label, words, style, and a hint."""
        outcome = self.outcome
        lines = [("spent", self._spent(), "", "")]
        if words := self._embedded():
            lines.append(("embedded", words, "yellow", ""))
        lines.append(("report", outcome.report, "bold", ""))
        lines += [("at W&B", url, "bold", "") for url in [outcome.cycles[-1].wandb_report] if url]
        lines.append(("next", typed.other("report", "--serve"), "bold green", "all cycles in a browser"))
        if judged := [part.cycle for part in outcome.cycles if part.gate is not None]:
            verify = typed.other("verify", f"cycle_{judged[-1]}")
            lines.append(("", verify, "green", "the verdict, recomputed from the sealed rows"))
        return [*lines, ("", typed.again, "green", "on from here")]

    def _spent(self) -> str:
        """Seconds, tokens and money; what is nothing is not said."""
        brains = [part.brain for part in self.outcome.cycles if part.brain is not None]
        words = [f"{self.seconds:.0f} s"]
        if brains:
            words.append(f"{sum(b.input_tokens + b.output_tokens for b in brains):,} tokens")
        if usd := sum(b.usd for b in brains):
            words.append(f"at most {usd:.3f} USD of thinking")
        budget = self.budget
        if budget is not None and budget.left < budget.limit:
            words.append(f"{budget.left:.2f} of the budget's {budget.limit:.2f} USD are left")
        elif not usd:
            words.append("no money")
        return ", ".join(words)

    def _embedded(self) -> str:
        """What stands in for the real thing."""
        backends = self.outcome.backends
        words = ["SYNTHETIC data"] if self.synthetic else []
        words += ["teacher"] if backends.teacher in ("demo-world", "recombination") else []
        words += ["CPU text model"] if backends.model == "student" else []
        words += ["W&B MCP stand-in"] if backends.wandb_mcp == "stand-in" else []
        return ", ".join(words)


def _before(summary: Summary) -> Metrics | None:
    """The metrics of who served when a cycle was opened."""
    return summary.diagnose.get("constant" if summary.kind == "begin" else "champion")


def _serving(summary: Summary) -> Metrics | None:
    """The metrics of who serves after a cycle."""
    return summary.diagnose.get("candidate") if summary.verdict == "promote" else _before(summary)


def _pair(summary: Summary) -> tuple[float | None, float | None]:
    """The errors of who served before and of the candidate."""
    before, candidate = _before(summary), summary.diagnose.get("candidate")
    return error_in(before) if before else None, error_in(candidate) if candidate else None
