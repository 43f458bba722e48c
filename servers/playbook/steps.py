"""The steps of a cycle: which are done, and which calls come next. The order is the design's; nothing is stored.

A step counts as done when its tool left its document. The arguments that are suggested can be used as they stand; who
calls may choose others. Following the list always ends the cycle.
"""

import json
from collections.abc import Iterator

from servers.core.arms import PROMPT, TEACHER
from servers.core.campaign import Campaign
from servers.core.evaluations import Evaluation
from servers.core.jobs import ENDED
from servers.core.registry import MIN_REMEDIES
from servers.core.student import FAMILY
from servers.core.task import Task
from servers.playbook.ending_steps import ending, judging, measuring, remedies_wanted, remedy_step, stop
from servers.playbook.facts import Facts
from servers.playbook.making_steps import campaign_steps, lacking, new_rows, suggestion_for, training
from servers.playbook.next_step import NextStep, step
from servers.playbook.wandb_report import is_wanted

WORST_TRACES = 20
FOR_WANDB = (
    "page by page it is what create_wandb_report_tool of the W&B server takes; note the address that comes back with "
    "write_report, as wandb_report"
)
RUNS_QUERY = (
    "query Runs($entity: String!, $project: String!, $filters: JSONString) { "
    'project(name: $project, entityName: $entity) { runs(first: 20, filters: $filters, order: "-createdAt") { '
    "edges { node { id name displayName state jobType group createdAt config summaryMetrics tags } } "
    "pageInfo { hasNextPage endCursor } } } }"
)


def done_steps(facts: Facts) -> list[str]:
    """The steps that left their document, in the order of the cycle."""
    steps = {
        "measured": facts.champion is not None,
        "recorded": facts.snapshot is not None,
        "diagnosed": facts.diagnosis is not None,
        "augmented": facts.augmented or (facts.campaign is not None and Campaign.model_validate(facts.campaign).made),
        "remedied": len(facts.remedies) >= MIN_REMEDIES,
        "planned": facts.plan is not None or facts.campaign is not None,
        "trained": bool(facts.trained),
        "chosen": facts.campaign_result is not None,
        "measured again": facts.candidate is not None,
        "judged": facts.gate is not None,
        "released": facts.release is not None,
        "written": facts.summary is not None,
    }
    return [step for step, is_done in steps.items() if is_done]


def next_steps(facts: Facts, task: Task) -> list[NextStep]:
    """What to call now, in this order; call get_cycle again afterwards.

    The first of them always moves the cycle on, unless it is a read: W&B reads are needed by the record_context behind
    them, and search_playbook is for whoever decides about the plan behind it.
    """
    return list(_next(facts, task))


def _next(facts: Facts, task: Task) -> Iterator[NextStep]:
    cycle, opened = facts.cycle, facts.opening
    if facts.summary is not None:
        if is_wanted(facts):
            yield step("read_evidence", FOR_WANDB, ref=f"report:{cycle}")
        yield step("open_cycle", f"{cycle} is closed", dataset=opened.dataset)
    elif unseen := [job for job in facts.jobs if job.state in ENDED and not job.tracked]:
        # It ended while nobody was looking: whoever waited for it was killed, say.
        yield step("get_job", "see how the training ended, and log its run", job_id=unseen[0].job_id)
    elif waiting := [job for job in facts.jobs if job.state not in ENDED]:
        yield step("get_job", "wait for the training", job_id=waiting[-1].job_id, wait_s=20)
    elif facts.overtaken:
        yield from stop(facts, f"the champion is {facts.champion_now} now, no longer {opened.champion}")
    elif missing := measuring(facts, _to_measure(facts, task), "measure it on the diagnose rows"):
        yield from missing
    elif facts.snapshot is None:
        yield from _reading_back(facts)
    elif facts.diagnosis is None:
        yield step("diagnose_dataset", "see what the data can teach before spending anything", cycle=cycle)
    elif facts.gate is not None:
        yield from ending(facts)
    elif opened.kind == "cycle" and facts.diagnosis["verdict"] != "train":
        # A beginning goes on: data that teach nothing get the constant for a champion, by a verdict like any other.
        yield from stop(facts, f"diagnosis: {facts.diagnosis['reason']}")
    elif opened.campaign:
        yield from campaign_steps(facts, task)
    elif opened.kind == "cycle" and not facts.trained and facts.plan is None and (why := lacking(facts, task)):
        yield from stop(facts, why)
    elif opened.kind == "cycle" and not facts.augmented and _wants_rows(facts, task):
        yield from new_rows(facts, task)
    elif opened.kind == "cycle" and len(facts.remedies) < remedies_wanted(facts):
        yield remedy_step(facts)
    elif not facts.trained:
        yield from training(facts, task)
    else:
        yield from judging(facts)


def _wants_rows(facts: Facts, task: Task) -> bool:
    return facts.augmentation is not None or suggestion_for(facts, task).way != "no_new_data"


def _to_measure(facts: Facts, task: Task) -> list[str]:
    opened, backends = facts.opening, facts.opening.backends
    models = ["constant", *(["rule"] if task.keywords else [])]
    if not backends.is_embedded("model"):
        models.append(FAMILY)  # what a fine-tuned model has to beat
    if backends.prompt is not None:
        models.append(PROMPT)
    if opened.kind == "begin" and not backends.is_embedded("teacher"):
        models.append(TEACHER)  # once: how far the task can be learned from its labels
    return list(dict.fromkeys([*models, opened.champion]))


def _reading_back(facts: Facts) -> Iterator[NextStep]:
    champion = facts.champion
    assert champion is not None  # measured before this step
    where = {"entity_name": champion.entity, "project_name": champion.project}
    of_champion = {"trace_roots_only": True, "attributes": {"evaluation_id": champion.evaluation_id}}
    why = "read the evaluation back through the W&B MCP server"
    yield step("query_wandb_tool", why, query="query { viewer { username entity } }")
    for job_type, group in (("eval", facts.cycle), ("train", None)):
        yield step("query_wandb_tool", why, query=RUNS_QUERY, variables=_runs_wanted(champion, job_type, group))
    yield step("count_weave_traces_tool", why, **where, filters=of_champion)
    yield step(
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
    yield step("record_context", why, cycle=facts.cycle)


def _runs_wanted(champion: Evaluation, job_type: str, group: str | None) -> dict[str, str]:
    filters = {"jobType": job_type, "state": "finished"} | ({"group": group} if group else {})
    return {"entity": champion.entity, "project": champion.project, "filters": json.dumps(filters)}
