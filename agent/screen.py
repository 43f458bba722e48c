"""What a run says in words and tables: what it is made of, and what each turn brought."""

from rich.table import Table

from agent.brain import Turn
from agent.outcome import BackendsPart, Outcome
from agent.progress import Progress
from agent.replies import Evaluated, Prepared, TaskReply, in_points

# What every embedded part is, said wherever its results are shown.
EMBEDDED = {
    "brain": {"offline": "embedded policy, no language model"},
    "wandb_mcp": {"stand-in": "embedded, over the local tracker"},
    "tracking": {"local": "embedded, SQLite in the artifacts folder"},
    "teacher": {
        "demo-world": "embedded: the generator of the demo data itself, an upper bound for any teacher",
        "recombination": "embedded: clauses of the own training rows",
    },
    "model": {"student": "embedded text model, CPU"},
    "jobs": {"local": "processes of this machine"},
}
ROLES = ("constant", "rule", "champion", "candidate")


def announce(progress: Progress, task: TaskReply, prepared: Prepared, backends: BackendsPart) -> None:
    """The banner: task, data and what stands behind each part."""
    rows = prepared.rows
    progress.entry("task", f"{task.task}: {task.title}")
    progress.entry(
        "dataset",
        f"{prepared.dataset} {prepared.dataset_version}: {rows.train} train, {rows.diagnose} diagnose, "
        f"{rows.gate} sealed rows" + ("; SYNTHETIC, from the embedded demo world" if prepared.synthetic else ""),
    )
    for part, name in backends.model_dump().items():
        note = EMBEDDED.get(part, {}).get(name)
        progress.entry(part, name + (f" ({note})" if note else ""))


def conclude(progress: Progress, turn: Turn, champion: str) -> None:
    """The table of one turn, and its verdict in words."""
    before, after = turn.evaluations.get("champion"), turn.evaluations.get("candidate")
    both = before is not None and after is not None
    roles = [role for role in ROLES if role in turn.evaluations]
    if both and progress.narrow:
        roles = ["champion", "candidate"]
    table = Table(box=None, padding=(0, 1 if progress.narrow else 2, 0, 0))
    table.add_column("dimension", overflow="fold")
    for role in roles:
        table.add_column(role, justify="right", no_wrap=True)
    if both:
        table.add_column("change", justify="right", no_wrap=True)
    for name in [None, *turn.dimensions]:
        cells = [in_points(turn.evaluations[role].error(name)) for role in roles]
        label = "all" if name is None else f"{name} (focus)" if name in turn.aim.focus_dimensions else name
        table.add_row(label, *cells, *([_change(before, after, name)] if both else []))
    progress.say(f"{turn.cycle}: error on the diagnose rows, points")
    progress.show(table)
    progress.say(f"{verdict_words(turn)} Champion: {champion}.", "bold")
    progress.say("")


def verdict_words(turn: Turn) -> str:
    """The verdict as a sentence."""
    if turn.verdict is None:
        return f"Stopped: {turn.aim.stop_reason}."
    word = {"promote": "Promoted", "hold": "Held", "undecided": "Undecided"}[turn.verdict.outcome]
    return f"{word}: {turn.verdict.reason}."


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


def _change(before: Evaluated | None, after: Evaluated | None, dimension: str | None) -> str:
    old = before.error(dimension) if before else None
    new = after.error(dimension) if after else None
    return in_points(None if old is None or new is None else new - old, "+")
