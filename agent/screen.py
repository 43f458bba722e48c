"""What a run says in words and tables: what it is made of, and what each turn brought."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agent.outcome import BackendsPart, Outcome
from agent.progress import Progress
from agent.replies import CampaignShown, Metrics, Prepared, Summary, TaskReply, error_in, in_points
from agent.sessions import Server
from agent.spent import Spent
from agent.words import one_line

# What every embedded part is, said wherever its results are shown.
EMBEDDED = {
    "wandb_mcp": {"stand-in": "embedded, over the local tracker"},
    "tracking": {"local": "embedded, SQLite in the artifacts folder"},
    "teacher": {
        "demo-world": "embedded: the generator of the demo data itself, an upper bound for any teacher",
        "recombination": "embedded: clauses of the own training rows",
    },
    "model": {"student": "embedded text model, CPU"},
    "jobs": {"local": "processes of this machine"},
}
NOTE_CHARS = 200
ROLES = ("constant", "rule", "student", "prompt", "teacher", "champion", "candidate")


def announce(
    progress: Progress, task: TaskReply, prepared: Prepared, backends: BackendsPart, about_brain: str, wandb: Server
) -> None:
    """The banner: task, data and what stands behind each part; `wandb` is who reads W&B."""
    rows = prepared.rows
    progress.entry("task", f"{task.task}: {task.title}")
    progress.entry(
        "dataset",
        f"{prepared.dataset} {prepared.dataset_version}: {rows.train} train, {rows.diagnose} diagnose, "
        f"{rows.gate} sealed rows" + ("; SYNTHETIC, from the embedded demo world" if prepared.synthetic else ""),
    )
    for part, name in backends.model_dump(exclude_none=True).items():
        note = about_brain if part == "brain" else EMBEDDED.get(part, {}).get(name)
        if (part, name) == ("wandb_mcp", "official"):
            note = one_line(f"{wandb.says_it_is} {wandb.version}, {wandb.place}", NOTE_CHARS)
        progress.entry(part, name + (f" ({note})" if note else ""))


def conclude(progress: Progress, summary: Summary, dimensions: Sequence[str], spent: Spent | None) -> None:
    """The table of one closed cycle, its verdict in words, and what thinking about it took."""
    measured = {role: metrics for role in ROLES if (metrics := summary.diagnose.get(role)) is not None}
    before, after = measured.get("champion"), measured.get("candidate")
    if summary.kind == "begin":  # the constant is measured against, and stands in its own column
        before = None
        measured.pop("champion", None)
    both = before is not None and after is not None
    roles = ["champion", "candidate"] if both and progress.narrow else list(measured)
    table = Table(box=None, padding=(0, 1 if progress.narrow else 2, 0, 0), header_style="dim")
    table.add_column("dimension", overflow="fold")
    for role in roles:
        table.add_column(role, justify="right", no_wrap=True)
    if both:
        table.add_column("change", justify="right", no_wrap=True)
    for name in [None, *dimensions]:
        cells = [in_points(error_in(measured[role], name)) for role in roles]
        label = "all" if name is None else f"{name} (focus)" if name in summary.focus_dimensions else name
        change = _change(before, after, name)
        colour = "green" if change.startswith("-") and change != "-" else "red" if change.startswith("+") else ""
        style = "bold" if name is None or name in summary.focus_dimensions else ""
        table.add_row(Text(label, style), *cells, *([Text(change, f"{style} {colour}".strip())] if both else []))
    progress.say(f"{summary.cycle}: error on the diagnose rows, points")
    progress.show(table)
    if summary.campaign is not None:
        progress.say(f"{summary.cycle}: ways against the champion on the diagnose rows, points")
        progress.show(_ways(summary.campaign))
    colour = {"promote": "green", "stopped": "magenta"}.get(summary.verdict, "yellow")
    progress.say(f"{verdict_words(summary)} Champion: {summary.champion_after}.", f"bold {colour}")
    if spent is not None:
        progress.say(f"The brain gave {spent_words(spent)}.")
    progress.say("")


def _ways(campaign: CampaignShown) -> Table:
    """What each way did, the best first."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("way", "change", "p", "worked", "its own part"):
        table.add_column(name, justify="right" if name in ("change", "p") else "left", overflow="fold")
    for way in campaign.ways:
        cause = way.cause
        part = f"{cause.difference:+.2f} to {cause.against}, {cause.worked}" if cause else ""
        change = f"{way.difference:+.2f} ± {way.standard_error:.2f}"
        table.add_row(f"{way.way} x{way.seeds}", change, f"{way.p:.2g}", way.worked, part)
    return table


def verdict_words(summary: Summary) -> str:
    """The verdict as a sentence."""
    word = {"promote": "Promoted", "hold": "Held", "undecided": "Undecided", "stopped": "Stopped"}[summary.verdict]
    return f"{word}: {summary.reason}."


def spent_words(spent: Spent) -> str:
    """What thinking took, for a reader."""
    tokens = f"{spent.input_tokens:,} tokens read, {spent.output_tokens:,} written"
    return f"{spent.answers} answers: {tokens}" + (f", at most {spent.usd:.3f} USD" if spent.usd else "")


def ending(outcome: Outcome) -> str:
    """The few lines on stdout that end a run without --json."""
    lines = []
    for part in outcome.cycles:
        what = part.verdict + (f" ({part.reason})" if part.reason else "")
        lines.append(f"cycle_{part.cycle}: {what}; champion {part.champion_after}")
    lines.append(f"begin: {outcome.begin.verdict}" + (f" ({outcome.begin.reason})" if outcome.begin.reason else ""))
    lines.insert(0, lines.pop())
    lines.append(f"champion: {outcome.cycles[-1].champion_after}")
    lines.append(f"report: {outcome.report}")
    return "\n".join(lines)


def _change(before: Metrics | None, after: Metrics | None, dimension: str | None) -> str:
    old = None if before is None else error_in(before, dimension)
    new = None if after is None else error_in(after, dimension)
    return in_points(None if old is None or new is None else new - old, "+")
