"""`report_draft.md`: the whole cycle in Markdown, with the content of the page, in words and tables.

It is made of the same view as the page with pictures, so that the two cannot tell different stories; it goes to W&B as
it stands. Texts and names from data are escaped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from servers.core.phrases import counted, sentence
from servers.playbook.book import PROVES_NOTHING
from servers.playbook.draft_figures import (
    WORDS_CHARS,
    curve_in_words,
    diagnosis_in_words,
    gate_in_words,
    hard_cases_in_words,
    latency_in_words,
    results_in_words,
)
from servers.playbook.facts import Facts
from servers.playbook.markdown import escaped, lesson, table
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_base import CycleShown
from servers.playbook.report.wording import estimate, headline, money, number, seconds, signed

MOST_CYCLES = 60


def report_draft(view: ReportView, facts: Facts, decisions: Sequence[Sequence[str]], files: Iterable[str]) -> str:
    """The report of a closed cycle.

    Args:
        view: What the page shows.
        facts: The cycle.
        decisions: Decision, by whom, on what; Markdown already.
        files: What else was written, under the artifacts folder.
    """
    parts = [
        f"# {escaped(view.task_title)}: {escaped(view.this.cycle)}, {escaped(view.this.verdict)}",
        f"**{escaped(headline(view), WORDS_CHARS)}**",
        *(f"> {escaped(sentence(warning), WORDS_CHARS)}" for warning in view.warnings),
        "## Problem and goal",
        _goal(view, facts.opening.champion),
        "## Setup and MCP compliance",
        *_setup(view),
        *_compliance(facts.snapshot),
        "## Key results",
        *results_in_words(view),
        *gate_in_words(view),
        "### All cycles",
        *_history(view),
        "## Hard cases and augmentation",
        *hard_cases_in_words(view),
        "### What the data can teach",
        *diagnosis_in_words(view),
        "### Tried and dropped",
        *_tried(view),
        "## Weave evidence",
        *_evidence(view),
        "## The cycle step by step",
        table(["decision", "by", "on what"], decisions),
        "## Lessons",
        "In the words of whoever ran the cycle: each figure, its unit and its direction were checked against the "
        "source with its number, the words were not.",
        *([lesson(found.title, found.text, found.sources) for found in view.lessons] or ["None."]),
        "## The planned next cycle",
        table(
            ["what", "plan"],
            [[escaped(plan.what), escaped(sentence(plan.words), WORDS_CHARS)] for plan in view.next_cycle],
        ),
        "## Latency against quality",
        latency_in_words(view),
        "## Learning curve",
        *curve_in_words(view),
        "## Money and time",
        *_spent(view),
        "## Lineage",
        *_lineage(view),
        "## All files and links",
        "\n".join(f"- {escaped(file)}" for file in [*files, *(e.run_url for e in facts.evaluations.values())]),
    ]
    return "\n\n".join(parts) + "\n"


def _goal(view: ReportView, champion: str) -> str:
    return (
        f"A model reads {counted(len(view.names), 'number')} ({escaped(', '.join(view.names), WORDS_CHARS)}) from a "
        f"text, and answers in strict JSON. {escaped(champion)} was in service; the goal was a candidate that is "
        "better on the sealed rows."
    )


def _setup(view: ReportView) -> Iterator[str]:
    data = view.dataset
    yield (
        f"Dataset {escaped(data.name)}, version {escaped(data.version)}: {data.train_rows} train, {data.diagnose_rows} "
        f"diagnose, {data.gate_rows} sealed rows{', SYNTHETIC' if data.synthetic else ''}."
    )
    rows = [[escaped(b.part), escaped(b.label), "embedded" if b.embedded else ""] for b in view.backends]
    yield table(["part", "done by", ""], rows)


def _compliance(snapshot: Mapping[str, Any] | None) -> list[str]:
    if snapshot is None:
        return ["Nothing was read back through the W&B MCP server in this cycle."]
    server = snapshot["server"]
    calls = [[escaped(c["tool"]), escaped(c["arguments"], 120), c["reply_digest"][:16]] for c in snapshot["calls"]]
    return [
        f"All context came through tools/call of {escaped(server['name'])} {escaped(server['version'])} "
        f"({escaped(server['kind'])}) at {escaped(snapshot['fetched_at'])}, and agreed with what the eval server "
        "wrote.",
        table(["tool", "arguments", "digest of the reply"], calls),
    ]


def _history(view: ReportView) -> Iterator[str]:
    shown = view.history[-MOST_CYCLES:]
    if len(shown) < len(view.history):
        yield f"The newest {MOST_CYCLES} of {len(view.history)}."
    header = ["cycle", "dataset", "verdict", "in service then", "its error", "aim", "new rows"]
    yield table(header, [_turn(view, cycle) for cycle in shown])


def _turn(view: ReportView, cycle: CycleShown) -> list[str]:
    return [
        escaped(cycle.cycle),
        escaped(cycle.dataset),
        escaped(cycle.verdict or "open"),
        escaped(cycle.champion_after or ""),
        estimate(cycle.served, view.digits),
        escaped(", ".join(cycle.focus)),
        "" if cycle.new_rows is None else str(cycle.new_rows),
    ]


def _tried(view: ReportView) -> Iterator[str]:
    new = view.augmentation
    if new is None:
        yield "No rows were added."
    else:
        yield (
            f"{new.added} rows by teacher {escaped(new.teacher)}, {new.replayed} train rows counted double; train grew "
            f"from {new.rows_before} to {new.rows_after} rows. "
            f"Aim: {escaped(', '.join(new.focus) or 'more of the same')}. {escaped(sentence(new.why), WORDS_CHARS)}"
        )
        dropped = ", ".join(f"{reason}: {count}" for reason, count in new.dropped.items() if count) or "none"
        yield f"Dropped by the filters: {escaped(dropped, WORDS_CHARS)}."
    if view.training is not None:
        changes = "; ".join(f"{c.name} from {c.before} to {c.after}: {c.reason}" for c in view.training.changes)
        yield (
            f"Trained {escaped(view.training.model)} on {view.training.train_rows} rows in "
            f"{seconds(view.training.seconds)}. Settings: {escaped(changes or 'as they were', WORDS_CHARS)}."
        )
    if view.campaign is not None:
        yield escaped(sentence(view.campaign.reason), WORDS_CHARS)
        yield table(
            ["way", "seeds", "new rows", "difference", "standard error", "p", "worked"],
            [
                [
                    escaped(way.way),
                    str(way.seeds),
                    str(way.rows_added),
                    signed(way.difference, view.digits),
                    number(way.se, view.digits),
                    f"{way.p:.2g}",
                    way.worked,
                ]
                for way in view.campaign.ways
            ],
        )


def _evidence(view: ReportView) -> list[str]:
    if view.context is None:
        return ["None was recorded."]
    if not view.remedies:
        return [f"{counted(view.context.failures, 'failure')} recorded, none remedied."]
    rows = [
        [
            escaped(remedy.trace_url or remedy.trace),
            escaped(remedy.dimension),
            escaped(remedy.change, WORDS_CHARS),
            number(remedy.error_before),
            number(remedy.error_after),
        ]
        for remedy in view.remedies
    ]
    return [f"Errors in points; {PROVES_NOTHING}.", table(["trace", "dimension", "change", "before", "after"], rows)]


def _spent(view: ReportView) -> Iterator[str]:
    rows = [
        [
            escaped(cost.part),
            escaped(cost.what),
            money(cost.usd),
            "" if cost.input_tokens is None else f"{cost.input_tokens:,} read, {cost.output_tokens or 0:,} written",
        ]
        for cost in view.costs
    ]
    yield table(["part", "what", "money", "tokens"], rows) if rows else "Nothing had to be paid."
    if view.times:
        steps = [[escaped(step.step), seconds(step.seconds), str(step.calls)] for step in view.times]
        yield table(["step", "time in the servers", "calls"], steps)


def _lineage(view: ReportView) -> Iterator[str]:
    found = view.lineage
    if found is None or not found.edges:
        yield "Nothing came from anything yet."
        return
    now = {"data": " (newest)", "model": " (in service)", "refused": ""}
    labels = {node.id: node.label + (now[node.kind] if node.now else "") for node in found.nodes}
    words = {"grew": "grew into", "trained": "trained", "followed": "was followed by"}
    yield "\n".join(
        f"- {escaped(labels.get(edge.start, edge.start))} {words[edge.kind]} {escaped(labels.get(edge.end, edge.end))}"
        for edge in found.edges
    )
