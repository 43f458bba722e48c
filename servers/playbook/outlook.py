"""The planned next cycle, from what this one found. A plan, not a promise: every step of it is decided anew."""

from collections.abc import Sequence

from servers.core.task import Task
from servers.playbook.conclusion import Conclusion
from servers.playbook.facts import Facts
from servers.playbook.suggesting import Suggestion, suggested

Plan = list[tuple[str, str]]


def next_cycle(task: Task, facts: Facts, conclusion: Conclusion) -> Plan:
    """What the next cycle would do, as (what, in words)."""
    if conclusion.verdict == "stopped":
        return [("before anything else", _mend(facts)), ("data", "diagnose again once that is mended"), _gate(task)]
    focus = facts.worst_dimensions(conclusion.champion_after)
    way = suggested(facts.known, focus, facts.recipe, task.augment.replay_rows > 0, facts.family)
    rows, served = facts.head.rows.train, conclusion.champion_after
    return [
        ("inputs", f"open_cycle on {facts.opening.dataset}, {rows} train rows, {served} in service"),
        ("data", _data(task, way, focus)),
        ("training", _training(facts, conclusion, way)),
        _gate(task),
        *_more_rows(conclusion),
    ]


def _data(task: Task, way: Suggestion | None, focus: Sequence[str]) -> str:
    if way is None:
        return "no new rows: every way that is known harmed"
    if way.way == "no_new_data":
        return f"no new rows: {way.why}"
    aim = "more rows of the same kind" if way.way == "more" else f"new rows for {' and '.join(focus)}"
    replayed = task.augment.replay_rows if way.replay_rows is None else way.replay_rows
    return f"{aim}: {task.augment.new_rows} planned, {replayed} hard train rows counted double; {way.why}"


def _mend(facts: Facts) -> str:
    verdict = None if facts.diagnosis is None else facts.diagnosis["verdict"]
    advice = {
        "relabel": "label again: rows with equal texts disagree",
        "collect more": "collect more rows",
        "stop": "find labels that the texts speak about",
    }
    return advice.get(str(verdict), "remove what stopped this cycle")


def _training(facts: Facts, conclusion: Conclusion, way: Suggestion | None) -> str:
    if way is not None and way.changes:
        return "; ".join(f"{change['name']} {change['value']:g}: {change['reason']}" for change in way.changes)
    if conclusion.verdict == "promote" or not facts.changes:
        return "the same recipe on the new version, so that an effect has one cause"
    changed = ", ".join(change.name for change in facts.changes)
    return f"back to the recipe of the model in service; {changed} did not pay"


def _gate(task: Task) -> tuple[str, str]:
    return "gate", (
        f"vector_mae and the focus dimensions shown better on the sealed rows, no dimension more than "
        f"{task.gate.max_worse:g} points worse, strict JSON in at least {task.gate.min_json_valid_rate:.0%} of answers"
    )


def _more_rows(conclusion: Conclusion) -> Plan:
    if conclusion.verdict != "undecided":
        return []
    return [("sealed rows", "too few to show a gain worth a promotion: import a dataset with more held-out rows")]
