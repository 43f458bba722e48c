"""The steps of a cycle: which are done, and which calls come next. The order is the design's; nothing is stored.

A step counts as done when its tool left its document. The arguments that are suggested can be used as they stand; who
calls may choose others. Following the list always ends the cycle.
"""

import json
from collections.abc import Iterator
from typing import Any

from servers.core.disk import digest
from servers.core.evaluations import Evaluation
from servers.core.jobs import ENDED
from servers.core.registry import MIN_REMEDIES
from servers.core.task import Task
from servers.core.wire import Wire
from servers.playbook.facts import Facts
from servers.playbook.lessons import lessons_of
from servers.playbook.snapshot import erring_dimensions

WORST_TRACES = 20
SUGGESTED_REMEDIES = 5
MAX_ATTEMPTS = 3  # of a training: a process may be killed for no fault of its own, but not for ever
RUNS_QUERY = (
    "query Runs($entity: String!, $project: String!, $filters: JSONString) { "
    'project(name: $project, entityName: $entity) { runs(first: 20, filters: $filters, order: "-createdAt") { '
    "edges { node { id name displayName state jobType group createdAt config summaryMetrics tags } } "
    "pageInfo { hasNextPage endCursor } } } }"
)


class NextStep(Wire):
    """A call that moves the cycle on."""

    tool: str
    arguments: dict[str, Any]
    why: str


def done_steps(facts: Facts) -> list[str]:
    """The steps that left their document, in the order of the cycle."""
    steps = {
        "measured": facts.champion is not None,
        "recorded": facts.snapshot is not None,
        "diagnosed": facts.diagnosis is not None,
        "augmented": facts.augmented,
        "remedied": len(facts.remedies) >= MIN_REMEDIES,
        "planned": facts.plan is not None,
        "trained": bool(facts.trained),
        "measured again": facts.candidate is not None,
        "judged": facts.gate is not None,
        "released": facts.release is not None,
        "written": facts.summary is not None,
    }
    return [step for step, is_done in steps.items() if is_done]


def next_steps(facts: Facts, task: Task) -> list[NextStep]:
    """What to call now, in this order; call get_cycle again afterwards.

    The first of them always moves the cycle on (or, among the W&B reads, is needed by the record_context that does), so
    that whoever does one at a time gets to the end as well.
    """
    return list(_next(facts, task))


def _next(facts: Facts, task: Task) -> Iterator[NextStep]:
    cycle, opened = facts.cycle, facts.opening
    if facts.summary is not None:
        yield _step("open_cycle", f"{cycle} is closed", dataset=opened.dataset)
    elif unseen := [job for job in facts.jobs if job.state in ENDED and not job.tracked]:
        # It ended while nobody was looking: whoever waited for it was killed, say.
        yield _step("get_job", "see how the training ended, and log its run", job_id=unseen[0].job_id)
    elif waiting := [job for job in facts.jobs if job.state not in ENDED]:
        yield _step("get_job", "wait for the training", job_id=waiting[-1].job_id, wait_s=20)
    elif facts.overtaken:
        yield from _stop(facts, f"the champion is {facts.champion_now} now, no longer {opened.champion}")
    elif missing := [model for model in _to_measure(facts, task) if model not in facts.evaluations]:
        for model in missing:
            yield _step("evaluate_model", "measure it on the diagnose rows", cycle=cycle, model=model)
    elif facts.snapshot is None:
        yield from _reading_back(facts)
    elif facts.diagnosis is None:
        yield _step("diagnose_dataset", "see what the data can teach before spending anything", cycle=cycle)
    elif facts.gate is not None:
        yield from _ending(facts)
    elif opened.kind == "cycle" and facts.diagnosis["verdict"] != "train":
        # A beginning goes on: data that teach nothing get the constant for a champion, by a verdict like any other.
        yield from _stop(facts, f"diagnosis: {facts.diagnosis['reason']}")
    elif opened.kind == "cycle" and not facts.augmented:
        yield from _new_rows(facts)
    elif opened.kind == "cycle" and facts.augmentation and facts.augmentation["outcome"]["added"] == 0:
        yield from _stop(facts, "no new row survived the filters")
    elif opened.kind == "cycle" and len(facts.remedies) < _remedies_wanted(facts):
        yield _remedies(facts)
    elif not facts.trained:
        yield from _training(facts, task)
    else:
        yield from _judging(facts)


def _to_measure(facts: Facts, task: Task) -> list[str]:
    baselines = ["constant", "rule"] if task.keywords else ["constant"]
    return list(dict.fromkeys([*baselines, facts.opening.champion]))


def _reading_back(facts: Facts) -> Iterator[NextStep]:
    champion = facts.champion
    assert champion is not None  # measured before this step
    where = {"entity_name": champion.entity, "project_name": champion.project}
    of_champion = {"trace_roots_only": True, "attributes": {"evaluation_id": champion.evaluation_id}}
    why = "read the evaluation back through the W&B MCP server"
    yield _step("query_wandb_tool", why, query="query { viewer { username entity } }")
    for job_type, group in (("eval", facts.cycle), ("train", None)):
        yield _step("query_wandb_tool", why, query=RUNS_QUERY, variables=_runs_wanted(champion, job_type, group))
    yield _step("count_weave_traces_tool", why, **where, filters=of_champion)
    yield _step(
        "query_weave_traces_tool",
        why,
        **where,
        filters=of_champion,
        sort_by="output.mae_raw",
        sort_direction="desc",
        limit=WORST_TRACES,
        columns=["id", "trace_id", "attributes", "inputs", "output"],
        detail_level="full",
    )
    why = "add server {name, version}, and calls with the replies, word for word"
    yield _step("record_context", why, cycle=facts.cycle)


def _runs_wanted(champion: Evaluation, job_type: str, group: str | None) -> dict[str, str]:
    filters = {"jobType": job_type, "state": "finished"} | ({"group": group} if group else {})
    return {"entity": champion.entity, "project": champion.project, "filters": json.dumps(filters)}


def _new_rows(facts: Facts) -> Iterator[NextStep]:
    if facts.augmentation is None:
        focus = facts.worst_dimensions(facts.opening.champion)
        why = "worst against the constant where the text carries signal; an empty list asks for more of the same"
        yield _step("plan_augmentation", why, cycle=facts.cycle, focus_dimensions=focus)
    else:
        yield _step("augment_dataset", "make the rows that were planned", plan_id=facts.augmentation["plan_id"])


def _remedies_wanted(facts: Facts) -> int:
    """How many remedies there can be, up to what a promotion needs."""
    return min(MIN_REMEDIES, len(facts.snapshot["failures_top_k"]) if facts.snapshot else 0)


def _remedies(facts: Facts) -> NextStep:
    """Remedies for the failures that err most where the new rows aim."""
    assert facts.snapshot is not None  # comes before this step
    planned = facts.augmentation or {"focus_dimensions": [], "plan_id": None}
    focus = planned["focus_dimensions"] or facts.worst_dimensions(facts.opening.champion)
    change = f"new rows of {planned['plan_id']}" if planned["plan_id"] else "trained anew"
    worst = []
    for failure in facts.snapshot["failures_top_k"]:
        errors = failure["abs_error_by_dim"]
        erring = erring_dimensions(errors)
        dimension = next((name for name in erring if name in focus), erring[0])
        worst.append((dimension in focus, errors[dimension], failure["trace_id"], dimension))
    remedies = [
        {"trace_id": trace_id, "dimension": dimension, "change": change}
        for _, _, trace_id, dimension in sorted(worst, reverse=True)[:SUGGESTED_REMEDIES]
    ]
    why = f"a promotion needs {MIN_REMEDIES} failures with what is changed for each"
    return _step("write_playbook", why, cycle=facts.cycle, remedies=remedies, lessons=[])


def _training(facts: Facts, task: Task) -> Iterator[NextStep]:
    started = [job for job in facts.jobs if facts.plan is not None and job.plan_id == facts.plan["plan_id"]]
    if facts.plan is None:
        yield _step("plan_retrain", "keep the recipe, so that an effect has one cause", cycle=facts.cycle, changes=[])
    elif not started and _is_stale(facts, task):
        yield _step(
            "plan_retrain", "plan again: the rows or the task file changed since", cycle=facts.cycle, changes=[]
        )
    elif not started:
        yield _step("start_retrain", "train as planned", plan_id=facts.plan["plan_id"])
    elif started[-1].state == "failed" and started[-1].attempt < MAX_ATTEMPTS:
        job = started[-1]
        why = f"try again, attempt {job.attempt} failed: {job.error or 'no reason given'}"
        yield _step("start_retrain", why, plan_id=facts.plan["plan_id"])
    else:
        job = started[-1]
        why = "or try again: start_retrain with the same plan, or plan_retrain with other changes"
        yield from _stop(facts, f"{job.job_id} {job.state}: {job.error or 'no reason given'}", why)


def _is_stale(facts: Facts, task: Task) -> bool:
    """Whether the plan for a training was made for other rows, or for another task file."""
    assert facts.plan is not None  # or there would be nothing to be stale
    return (facts.plan["dataset_version"], facts.plan["task_digest"]) != (facts.head.fingerprint, digest(task))


def _judging(facts: Facts) -> Iterator[NextStep]:
    if missing := [model for model in facts.trained if model not in facts.evaluations]:
        for model in missing:
            yield _step("evaluate_model", "measure the candidate on the same rows", cycle=facts.cycle, model=model)
        return
    candidate = facts.candidate
    assert candidate is not None  # all that were trained are measured
    why = "judge it on the sealed rows; compare_models shows the change on the open ones, which proves nothing"
    yield _step("gate_candidate", why, cycle=facts.cycle, candidate=candidate.model)


def _ending(facts: Facts) -> Iterator[NextStep]:
    assert facts.gate is not None  # comes before this step
    if facts.release is None and facts.outcome == "promote":
        if facts.opening.kind == "cycle" and len(facts.remedies) < _remedies_wanted(facts):
            yield _remedies(facts)
            return
        yield _step("promote_model", "it passed the gate", cycle=facts.cycle, candidate=facts.gate["candidate"])
        return
    if facts.champion_now is None:
        yield _step("promote_model", "no model beat the constant", cycle=facts.cycle, candidate="constant")
        return
    yield from _written_down(facts, stopping=False)
    yield _step("write_report", "close the cycle", cycle=facts.cycle)


def _written_down(facts: Facts, stopping: bool) -> Iterator[NextStep]:
    written = {lesson["title"] for lesson in facts.playbook["lessons"]} if facts.playbook else set()
    if lessons := [lesson for lesson in lessons_of(facts, stopping) if lesson["title"] not in written]:
        why = "write down what was learned; figures stand as {claim:id}"
        yield _step("write_playbook", why, cycle=facts.cycle, remedies=[], lessons=lessons)


def _stop(facts: Facts, reason: str, why: str = "end the cycle without a verdict") -> Iterator[NextStep]:
    yield from _written_down(facts, stopping=facts.gate is None)
    if facts.gate is not None:
        yield _step("write_report", reason, cycle=facts.cycle)
    else:
        yield _step("write_report", why, cycle=facts.cycle, stop_reason=reason)


def _step(tool: str, why: str, **arguments: Any) -> NextStep:
    return NextStep(tool=tool, arguments=arguments, why=why)
