"""The failures of a cycle for whoever comes next: `weave_failure_cases.json` and `weave_failure_playbook.md`.

Both show what came back through W&B and what the cycle did about it. Recommendations follow from three facts: how large
the mean error of a dimension is on these failures, whether the text carries signal for it, and what was changed.
"""

from collections.abc import Sequence
from typing import Any

from servers.core.disk import write_json, write_text
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.playbook.book import PROVES_NOTHING, Playbook, Remedy, playbook_of
from servers.playbook.facts import Facts
from servers.playbook.markdown import escaped, figure, lesson, table
from servers.playbook.prose import filled, sources_of
from servers.playbook.snapshot import Failure

SHOWN_TEXT_CHARS = 160
NONE = "None in this cycle."


class Recommendation(Wire):
    """What to do about one dimension."""

    title: str
    why: str
    action: str
    config_hint: str


def write_failure_cases(workspace: Workspace, task: Task, facts: Facts) -> list[str]:
    """Write both files, and return their paths under the artifacts folder; none before a snapshot was recorded."""
    if facts.snapshot is None:
        return []
    failures = [Failure.model_validate(row) for row in facts.snapshot["failures_top_k"]]
    errors = {name: _mean([f.abs_error_by_dim[name] for f in failures]) for name in task.names}
    playbook = playbook_of(workspace, facts.cycle)
    advice = [_recommendation(name, error, facts, playbook.remedies) for name, error in _largest(errors)]
    cases: dict[str, Any] = {
        "schema": 1,
        "cycle_id": facts.cycle,
        "mode": failures[0].mode,
        "top_k": len(failures),
        "source": facts.snapshot["source"],
        "server": facts.snapshot["server"],
        "aggregate_dim_abs_error": errors,
        "failure_cases": failures,
        "recommendations": advice,
    }
    folder = workspace.report_dir
    write_json(folder / "weave_failure_cases.json", cases)
    write_text(folder / "weave_failure_playbook.md", _markdown(facts, failures, errors, playbook, advice))
    return [f"{folder.name}/{name}" for name in ("weave_failure_cases.json", "weave_failure_playbook.md")]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _largest(errors: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(errors.items(), key=lambda pair: -pair[1])


def _recommendation(name: str, error: float, facts: Facts, remedies: Sequence[Remedy]) -> Recommendation:
    signal = None if facts.diagnosis is None else facts.diagnosis["dimensions"][name]["signal"]
    changes = sorted({remedy.change for remedy in remedies if remedy.dimension == name})
    focus = [] if facts.augmentation is None else facts.augmentation["focus_dimensions"]
    why = f"mean error {error:.2f} points on these failures; signal in the text: {signal or 'not diagnosed'}"
    hint = "already among" if name in focus else "leave it out of" if signal == "none" else "add it to"
    if signal == "none":
        action = "leave it: no new rows can teach what the text does not say; better labels or richer texts could"
    elif changes:
        action = "; ".join(changes)
    else:
        action = "nothing was changed for it in this cycle"
    return Recommendation(
        title=name,
        why=why,
        action=action,
        config_hint=f"plan_augmentation: {hint} focus_dimensions",
    )


def _markdown(
    facts: Facts,
    failures: Sequence[Failure],
    errors: dict[str, float],
    playbook: Playbook,
    advice: Sequence[Recommendation],
) -> str:
    assert facts.snapshot is not None  # write_failure_cases saw it
    server = facts.snapshot["server"]
    parts = [
        f"# Failures and remedies of {escaped(facts.cycle)}",
        f"Source: {escaped(facts.snapshot['source'])}, {escaped(server['name'])} {escaped(server['version'])} "
        f"({escaped(server['kind'])}), fetched {escaped(facts.snapshot['fetched_at'])}. "
        f"Model: {escaped(facts.opening.champion)}.",
        "## Error by dimension",
        "Mean absolute error on the failures below, points.",
        table(["dimension", "error"], [[escaped(name), figure(error)] for name, error in _largest(errors)]),
        "## Failures, worst first",
        table(["trace", "text", "error", "worst dimension", "remedy"], _failure_rows(failures, playbook.remedies)),
        "## Remedies",
        f"Errors in points on the remedied rows: {PROVES_NOTHING}.",
        table(["trace", "dimension", "change", "before", "after"], [_remedy_row(r) for r in playbook.remedies])
        if playbook.remedies
        else NONE,
        "## Lessons",
        *([lesson(x.title, filled(x.text, x.claims), sources_of(x.claims)) for x in playbook.lessons] or [NONE]),
        "## Improvement plan",
        table(
            ["title", "why", "action", "config hint"],
            [[escaped(a.title), escaped(a.why), escaped(a.action), escaped(a.config_hint)] for a in advice],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _failure_rows(failures: Sequence[Failure], remedies: Sequence[Remedy]) -> list[list[str]]:
    changes = {remedy.trace_id: remedy.told for remedy in remedies}

    def row(failure: Failure) -> list[str]:
        worst = max(failure.abs_error_by_dim, key=failure.abs_error_by_dim.__getitem__)
        return [
            escaped(failure.trace_url),
            escaped(cleaned(failure.request_text, SHOWN_TEXT_CHARS)),
            figure(failure.mae_raw),
            f"{escaped(worst)} {figure(failure.abs_error_by_dim[worst])}",
            escaped(changes.get(failure.trace_id, "none")),
        ]

    return [row(failure) for failure in failures]


def _remedy_row(remedy: Remedy) -> list[str]:
    return [
        escaped(remedy.trace_id),
        escaped(remedy.dimension),
        escaped(remedy.told),
        figure(remedy.error_before),
        figure(remedy.error_after),
    ]
