"""The steps that the beginning and every cycle share: measure, diagnose, train, judge, promote, write."""

from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from typing import TypeVar

from pydantic import ValidationError

from agent.brain import Brain, Change, Turn
from agent.desk import Desk, StepFailed
from agent.replies import (
    CycleState,
    Diagnosis,
    Done,
    Evaluated,
    Evidence,
    Job,
    Promotion,
    Report,
    RetrainPlan,
    Verdict,
    in_points,
)

RELEASED = "released"  # among what a cycle has done: its promote_model was carried out
Answer = TypeVar("Answer")

POLL_S = 10  # of get_job's own wait; it answers at once when the job ends


async def decided(brain: Brain, answer: Awaitable[Answer]) -> Answer:
    """What a brain answered.

    Raises:
        StepFailed: it could not answer from what is there.
    """
    try:
        return await answer
    except ValueError as error:
        raise StepFailed(f"brain {brain.name}: {error}") from error


async def measure(desk: Desk, cycle: str, models: dict[str, str], name: str = "measure") -> dict[str, Evaluated]:
    """Evaluate models on the diagnose rows.

    Args:
        desk: Where calls are made.
        cycle: The open cycle.
        models: Model id by role.
        name: What the step is called on the screen.

    Returns:
        The evaluations by role.
    """
    with desk.step(name) as step:
        found: dict[str, Evaluated] = {}
        for role, model in models.items():
            found[role] = await desk.ask("evaluate_model", Evaluated, cycle=cycle, model=model)
        step.outcome = ", ".join(f"{role} {in_points(evaluated.error())}" for role, evaluated in found.items())
    return found


async def diagnose(desk: Desk, cycle: str) -> Diagnosis:
    """What the data can teach."""
    with desk.step("diagnose") as step:
        found = await desk.ask("diagnose_dataset", Diagnosis, cycle=cycle)
        none = [name for name, dimension in found.dimensions.items() if dimension.signal == "none"]
        step.outcome = f"{found.verdict}: {found.reason}" + (f"; no signal for {', '.join(none)}" if none else "")
    for warning in found.warnings:
        desk.progress.entry("  warning", warning, "yellow")
    return found


async def train(desk: Desk, cycle: str, changes: Sequence[Change]) -> str:
    """Train on the newest version of the cycle's data, and wait for it.

    Returns:
        The candidate's model id.

    Raises:
        StepFailed: the job did not succeed.
    """
    with desk.step("train") as step:
        plan = await desk.ask("plan_retrain", RetrainPlan, cycle=cycle, changes=[asdict(change) for change in changes])
        job = await desk.ask("start_retrain", Job, plan_id=plan.plan_id)
        while job.state in ("queued", "running"):
            job = await desk.ask("get_job", Job, job_id=job.job_id, wait_s=POLL_S)
            step.saying(f"{job.job_id} is {job.state}" + (f": {job.message}" if job.message else ""))
        if job.model is None and job.state == "succeeded":
            job = await desk.ask("get_job", Job, job_id=job.job_id)
        if job.state != "succeeded" or job.model is None:
            why = job.error or job.message or "no reason given"
            raise StepFailed(f"step 'train', job {job.job_id} {job.state}: {why}")
        step.outcome = job.model
        return job.model


async def judge(desk: Desk, state: CycleState, candidate: str) -> Verdict:
    """Put the candidate before the sealed rows, or read what was said when that was done already.

    A verdict that promoted cannot be asked for again: its candidate is the champion now.
    """
    with desk.step("gate") as step:
        if RELEASED in state.done:
            verdict = await stored_verdict(desk, state.cycle)
        else:
            verdict = await desk.ask("gate_candidate", Verdict, cycle=state.cycle, candidate=candidate)
        step.outcome = f"{verdict.outcome}: {verdict.reason}"
        return verdict


async def stored_verdict(desk: Desk, cycle: str) -> Verdict:
    """What the gate said in a cycle.

    Raises:
        StepFailed: it said nothing, or its words cannot be read.
    """
    ref, text = f"gate:{cycle}", ""
    offset: int | None = 0
    while offset is not None:
        page = await desk.ask("read_evidence", Evidence, ref=ref, offset=offset)
        text += page.text
        offset = page.next_offset
    try:
        return Verdict.model_validate_json(text)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise StepFailed(f"step 'gate', tool read_evidence: {ref} is not understood: {why}") from error


async def promote(desk: Desk, state: CycleState, model: str) -> str:
    """Put a model into service, unless that was done already.

    Returns:
        The champion's model id.
    """
    if RELEASED in state.done:
        return model
    with desk.step("promote") as step:
        champion = (await desk.ask("promote_model", Promotion, cycle=state.cycle, candidate=model)).champion
        step.outcome = champion
        return champion


async def write_down(desk: Desk, brain: Brain, turn: Turn) -> str:
    """Write the lessons and the report, which closes the cycle.

    Returns:
        The report's path.
    """
    with desk.step("write") as step:
        lessons = await decided(brain, brain.lessons(turn))
        await desk.ask("write_playbook", Done, cycle=turn.cycle, remedies=[], lessons=[asdict(one) for one in lessons])
        stopped = {"stop_reason": turn.aim.stop_reason} if turn.aim.stop_reason else {}
        report = (await desk.ask("write_report", Report, cycle=turn.cycle, **stopped)).report
        step.outcome = f"{len(lessons)} {'lesson' if len(lessons) == 1 else 'lessons'}, {report}"
        return report
