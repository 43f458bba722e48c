"""The parts of a report that say what a cycle took: money, tokens, seconds."""

from collections.abc import Iterator
from typing import Any

from servers.core.budget import BudgetState
from servers.core.disk import read_jsonl
from servers.core.workspace import Workspace
from servers.playbook.facts import Facts
from servers.playbook.report.view import BudgetShown, ToolCalls
from servers.playbook.report.view_work import CostShown, TimeShown

BEHIND_EVERY_TIME = "~"


def budget_shown(state: BudgetState | None) -> BudgetShown | None:
    """Where the budget stands, if it was asked."""
    return None if state is None else BudgetShown(limit=state.limit, spent=state.spent, left=state.left)


def costs_shown(workspace: Workspace, facts: Facts) -> list[CostShown]:
    """What was paid while the cycle was open: the brain's answers, then what the budget settled, by what it was."""
    found = list(_brain(workspace, facts))
    settled: dict[str, tuple[str, float]] = {}
    for line in read_jsonl(workspace.budget_file):
        if line["event"] == "settle" and facts.opening.opened_at <= line["at"] <= _until(facts):
            settled[line["key"]] = (line["what"], line["usd"])  # the last word about a key holds
    found += [CostShown(part=_part(key), what=what or key, usd=usd) for key, (what, usd) in settled.items()]
    return found


def _brain(workspace: Workspace, facts: Facts) -> Iterator[CostShown]:
    lines = read_jsonl(workspace.cycle_dir(facts.cycle) / "brain.jsonl")
    answers = list({line["answer"]: line for line in lines}.values())  # the last line about an answer holds
    if answers:
        yield CostShown(
            part="brain",
            what=f"{len(answers)} answers of {answers[-1]['model']}",
            usd=sum(line["usd"] for line in answers),
            input_tokens=sum(line["input_tokens"] for line in answers),
            output_tokens=sum(line["output_tokens"] for line in answers),
        )


def _part(key: str) -> str:
    kind = key.split("-", 1)[0]
    return {"train": "training", "smoke": "training, tried out", "teach": "teacher", "sample": "answers"}.get(
        kind, kind
    )


def times_shown(workspace: Workspace, facts: Facts) -> list[TimeShown]:
    """Seconds by step of the agent, in the order of the steps; by server where no agent kept a ledger."""
    by_step: dict[str, list[float]] = {}
    for server, call in calls_of(workspace, facts):
        by_step.setdefault(call.get("step") or f"{server} server", []).append(call["seconds"])
    return [TimeShown(step=step, seconds=sum(found), calls=len(found)) for step, found in by_step.items()]


def ledger_shown(workspace: Workspace, facts: Facts) -> list[ToolCalls]:
    """The tool calls of the cycle: those of the agent's ledger, or of the servers' while the cycle was open."""
    by_tool: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for server, call in calls_of(workspace, facts):
        by_tool.setdefault((server, call["tool"]), []).append(call)
    return [
        ToolCalls(
            tool=tool,
            server=server,
            calls=len(calls),
            errors=sum(call["is_error"] for call in calls),
            seconds=sum(call["seconds"] for call in calls),
        )
        for (server, tool), calls in by_tool.items()
    ]


def calls_of(workspace: Workspace, facts: Facts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every tool call of the cycle with its server."""
    own = workspace.cycle_dir(facts.cycle) / "ledger.jsonl"
    if own.exists():
        for call in read_jsonl(own):
            yield call["server"], call
        return
    for file in sorted((workspace.root / "ledger").glob("*.jsonl")):
        for call in read_jsonl(file):
            if facts.opening.opened_at <= call["at"] <= _until(facts):
                yield file.stem, call


def _until(facts: Facts) -> str:
    return facts.summary["closed_at"] if facts.summary else BEHIND_EVERY_TIME
