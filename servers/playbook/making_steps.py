"""The steps that make a candidate: new rows, remedies, a training; or several of each in a campaign."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from servers.core.campaign import Campaign
from servers.core.disk import digest
from servers.core.jobs import JobStatus
from servers.core.task import Task
from servers.playbook.ending_steps import judging, remedies_wanted, remedy_step, stop, unmeasured
from servers.playbook.facts import Facts
from servers.playbook.next_step import NextStep, step
from servers.playbook.suggesting import Change, Suggestion, suggested, untried, ways_to_try

MAX_ATTEMPTS = 3  # of a training: a process may be killed for no fault of its own, but not for ever


def suggestion_for(facts: Facts, task: Task) -> Suggestion:
    """How to make the candidate, from what is known."""
    focus = facts.worst_dimensions(facts.opening.champion)
    found = suggested(facts.known, focus, facts.recipe, task.augment.replay_rows > 0, facts.family)
    return found or Suggestion("no_new_data", None, [], "every way that is known harmed")


def lacking(facts: Facts, task: Task) -> str | None:
    """Why there is nothing to train a candidate on or with; None where there is."""
    if facts.augmentation is None:
        suggestion = suggestion_for(facts, task)
        return suggestion.why if suggestion.way == "no_new_data" and not suggestion.changes else None
    if not facts.augmented or facts.rows_added or untried(facts.known, facts.recipe, facts.family):
        return None
    return f"{_no_rows([facts.augmentation['outcome']])}, and every recipe was tried"


def _no_rows(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Why plans brought no rows, in the augment server's words where it has any."""
    said = [outcome[why] for outcome in outcomes for why in ("distrusted", "refused") if outcome.get(why)]
    return said[0] if said else "no new row survived the filters"


def _looking_up(facts: Facts) -> Iterator[NextStep]:
    """Read what is known before a plan is made, where anything is."""
    if facts.known:
        here = facts.known[0].dataset == facts.opening.dataset
        where = {"dataset": facts.opening.dataset} if here else {"task": facts.known[0].task}
        yield step("search_playbook", "what worked and what did not, which the plan below follows", **where)


def new_rows(facts: Facts, task: Task) -> Iterator[NextStep]:
    if facts.augmentation is None:
        suggestion = suggestion_for(facts, task)
        focus = [] if suggestion.way == "more" else facts.worst_dimensions(facts.opening.champion)
        replay = {} if suggestion.replay_rows is None else {"replay_rows": suggestion.replay_rows}
        yield from _looking_up(facts)
        why = f"{suggestion.why}; an empty list asks for more of the same"
        yield step("plan_augmentation", why, cycle=facts.cycle, focus_dimensions=focus, **replay)
    else:
        yield step("augment_dataset", "make the rows that were planned", plan_id=facts.augmentation["plan_id"])


def campaign_steps(facts: Facts, task: Task) -> Iterator[NextStep]:
    """The steps of a campaign up to the verdict."""
    if facts.campaign is None:
        changes, focus = (
            untried(facts.known, facts.recipe, facts.family),
            facts.worst_dimensions(facts.opening.champion),
        )
        yield from _looking_up(facts)
        yield step(
            "plan_campaign",
            "several ways with several seeds each, so that an effect has a cause",
            cycle=facts.cycle,
            focus_dimensions=focus,
            changes=changes,
            ways=ways_to_try(facts.known, focus, changes),
        )
        return
    campaign = Campaign.model_validate(facts.campaign)
    result = facts.campaign_result
    if not campaign.made:
        yield step("augment_dataset", "make the rows of every way", plan_id=campaign.plan_id)
    elif not campaign.trainable:
        yield from stop(facts, _no_rows([rows.spec["outcome"] for rows in campaign.rows]))
    elif not facts.trained:
        yield from _started(facts, campaign.plan_id, "train every way in one job")
    elif missing := unmeasured(facts):
        yield from missing
    elif result is None:
        yield step("choose_candidate", "compare the ways, and choose the one that goes on", cycle=facts.cycle)
    elif not result["to_gate"]:
        yield from stop(facts, result["reason"], "close the cycle, the verdict is saved")
    elif len(facts.remedies) < remedies_wanted(facts):
        yield remedy_step(facts)
    else:
        yield from judging(facts)


def training(facts: Facts, task: Task) -> Iterator[NextStep]:
    plan = facts.plan
    if plan is None:
        yield from _planned(facts, task)
    elif plan.get("outdated") or (not _jobs_of(facts, plan["plan_id"]) and _is_stale(facts, task)):
        again = [change for change in plan["changes"] if facts.recipe.get(change["name"]) != change["value"]]
        why = "plan again: the rows, the task file, or what the quote was made for changed since"
        yield step("plan_retrain", why, cycle=facts.cycle, changes=again)
    else:
        yield from _started(facts, plan["plan_id"], "train as planned")


def _planned(facts: Facts, task: Task) -> Iterator[NextStep]:
    """Plan the training: the champion's recipe, unless another one is what is tried."""
    changes: list[Change] = []
    why = "keep the recipe, so that an effect has one cause"
    if facts.opening.kind == "cycle":
        suggestion = suggestion_for(facts, task)
        if facts.augmented and not facts.rows_added and (others := untried(facts.known, facts.recipe, facts.family)):
            assert facts.augmentation is not None  # it was carried out
            changes, why = others, f"{_no_rows([facts.augmentation['outcome']])}; another recipe is left to try"
        elif suggestion.changes:
            changes, why = suggestion.changes, suggestion.why
            if not facts.augmented:
                yield from _looking_up(facts)
    yield step("plan_retrain", why, cycle=facts.cycle, changes=changes)


def _jobs_of(facts: Facts, plan_id: str) -> list[JobStatus]:
    return [job for job in facts.jobs if job.plan_id == plan_id]


def _started(facts: Facts, plan_id: str, why: str) -> Iterator[NextStep]:
    """Start the training of a plan, and again where it failed, but not for ever."""
    started = _jobs_of(facts, plan_id)
    if not started:
        yield step("start_retrain", why, plan_id=plan_id)
    elif started[-1].kind == "smoke" and started[-1].state == "succeeded":
        yield step("start_retrain", f"the smoke run succeeded; {why}", plan_id=plan_id)
    elif started[-1].state == "failed" and started[-1].attempt < MAX_ATTEMPTS:
        job = started[-1]
        why = f"try again, attempt {job.attempt} failed: {job.error or 'no reason given'}"
        yield step("start_retrain", why, plan_id=plan_id)
    else:
        job = started[-1]
        other = "or try again: start_retrain with the same plan, or plan_retrain with other changes"
        yield from stop(facts, f"{job.job_id} {job.state}: {job.error or 'no reason given'}", other)


def _is_stale(facts: Facts, task: Task) -> bool:
    """Whether the plan for a training was made for other rows, or for another task file."""
    assert facts.plan is not None  # or there would be nothing to be stale
    return (facts.plan["dataset_version"], facts.plan["task_digest"]) != (facts.head.fingerprint, digest(task))
