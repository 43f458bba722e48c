"""What the retrain server's tools planned, started and put into service, in words."""

from servers.core.hub_repos import Uploaded
from servers.core.phrases import counted
from servers.core.registry import Move
from servers.retrain.results import JobResult, Jobs, ModelEntry, Models, PlanResult, Service
from servers.wording import (
    Link,
    Said,
    bullets,
    call,
    fitting,
    lasting,
    names,
    priced,
    quoted,
    said,
    usd,
    warning,
)

LIST_ROOM = 1_300
LOG_LINES = 4
WAIT_S = 20
MOVES = 3


def plan(found: PlanResult) -> Said:
    """plan_retrain"""
    changes = bullets(f"{one.name} = {one.value:g}: {quoted(one.reason, 200)}" for one in found.changes)
    recipe = ", ".join(f"{name} {value}" for name, value in found.hparams.items())
    return said(
        f"Plan {found.plan_id}: train a {found.model_family} on {found.dataset}, version {found.dataset_version}.",
        f"{priced(found.quote)} {usd(found.budget_left)} of the budget are left.",
        f"Changed against the champion's recipe:\n{changes}" if changes else "With the champion's recipe as it is.",
        f"The whole recipe: {quoted(recipe, 400)}",
        then=found.next.replace("start_retrain", f"start_retrain with plan_id {found.plan_id}", 1).replace(
            f"{found.plan_id} with approve_usd", f"{found.plan_id} and approve_usd", 1
        ),
    )


def job(found: JobResult) -> Said:
    """start_retrain, get_job, cancel_job"""
    live = found.state in ("queued", "running")
    made = found.models or ([found.model] if found.model else [])
    models = f"It made {counted(len(made), 'model')}: {names(map(quoted, made), 30)}." if made else None
    log = found.log[-LOG_LINES:]
    return said(
        f"Job {found.job_id}: {_state(found)}.",
        f"It failed: {quoted(found.error, 500)}" if found.error else None,
        warning(f"not at W&B yet: {quoted(found.tracking_note, 200)}" if found.tracking_note else None),
        models,
        f"It says: {quoted(found.message)}" if found.message and not log else None,
        "Last lines of its log:\n" + bullets(quoted(line) for line in log) if log else None,
        then=call("get_job", job_id=found.job_id, wait_s=WAIT_S)
        if live and found.next.startswith("get_job")
        else found.next + (f", such as {quoted(made[0])}" if made and "evaluate_model" in found.next else ""),
        links=[Link(f"etude://jobs/{found.job_id}", f"Job {found.job_id}")],
    )


def jobs(found: Jobs) -> Said:
    """list_jobs"""
    if not found.total:
        return said("No job was started yet.", then="plan_retrain")
    first = (found.next_offset or found.total) - len(found.jobs)
    shown = fitting([f"{one.job_id}: {_state(one)}{_made(one)}" for one in found.jobs], LIST_ROOM)
    upto = first + len(shown)
    more = f"list_jobs with offset {upto} shows older ones; " if upto < found.total else ""
    return said(
        f"Jobs {first + 1} to {upto} of {found.total}, newest first:",
        bullets(shown),
        then=more + "get_job with a job_id says more",
    )


def models(found: Models) -> Said:
    """list_models"""
    first = (found.next_offset or found.total) - len(found.models)
    shown = fitting([_model(one) for one in found.models], LIST_ROOM - 400)
    upto = first + len(shown)
    serves = f"{quoted(found.champion)} serves" if found.champion else "Nothing serves yet"
    page = f", here {first + 1} to {upto}" if (first, upto) != (0, found.total) and shown else ""
    more = f"list_models with offset {upto} shows more; " if upto < found.total else ""
    moves = found.history[-MOVES:]
    return said(
        f"{serves}. {counted(found.total, 'model')} trained{page}" + (":" if shown else "."),
        bullets(shown),
        f"How the champion came about ({counted(found.moves, 'move')} in all), newest last:\n"
        + bullets(_move(one) for one in moves)
        if moves
        else None,
        then=more + "open_cycle tries to do better; rollback_model takes the champion out of service",
        links=[Link("etude://models", "All models and how each came into service")],
    )


def service(found: Service) -> Said:
    """promote_model, rollback_model"""
    instead = f" instead of {quoted(found.previous)}" if found.previous else ""
    by = f", by {found.verdict_id}" if found.verdict_id else ""
    return said(f"{quoted(found.champion)} serves now{instead}{by}.", then=found.next)


def uploaded(found: Uploaded) -> Said:
    """publish_model"""
    return said(f"Uploaded, private: {found.url} at revision {found.revision}.", then="open_cycle")


def _state(found: JobResult) -> str:
    steps = f", step {found.step} of {found.of}" if found.of else ""
    attempt = f" (attempt {found.attempt})" if found.attempt > 1 else ""
    if found.state == "queued":
        return f"queued{attempt}"
    after = "for" if found.state == "running" else "after"
    return f"{found.state}{attempt} {after} {lasting(found.seconds)}{steps}"


def _made(found: JobResult) -> str:
    made = found.models or ([found.model] if found.model else [])
    return f", made {names(map(quoted, made), 2)}" if made else ""


def _model(one: ModelEntry) -> str:
    serves = " (serves)" if one.champion else ""
    problem = f"; cannot serve: {quoted(one.problem, 150)}" if one.problem else ""
    return f"{quoted(one.model)}{serves}: from {one.cycle}, on version {one.dataset_version}{problem}"


def _move(one: Move) -> str:
    ago = one.at[:16].replace("T", " ")
    return f"{ago} UTC, {one.action}: {quoted(one.model)}. {quoted(one.reason, 160)}"
