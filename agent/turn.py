"""One cycle: measure, read back through W&B, diagnose, make data, remedy, train, measure again, judge, write down.

Every tool here finds what is there when it is asked again, so a cycle that was cut short is gone through from the top
and goes on where it ended.
"""

from dataclasses import asdict, dataclass, replace

from agent.brain import Aim, Brain, Situation, Turn
from agent.desk import Desk, StepFailed
from agent.replies import (
    Augmentation,
    AugmentationPlan,
    Comparison,
    Context,
    CycleState,
    Done,
    Evaluated,
    TaskReply,
)
from agent.steps import decided, diagnose, judge, measure, promote, train, write_down
from agent.wandb_reads import Place, questions

NO_NEW_ROWS = "no new rows survived the filters"


@dataclass(frozen=True)
class TurnEnd:
    """What a cycle left behind."""

    turn: Turn
    champion_after: str
    report: str


async def run_cycle(desk: Desk, brain: Brain, task: TaskReply, state: CycleState) -> TurnEnd:
    """Go through one open cycle and close it.

    Raises:
        StepFailed: a tool refused; what is done stays done.
        ServerProblem: a server is gone.
    """
    cycle = state.cycle
    dimensions = [dimension.name for dimension in task.dimensions]
    roles = {"constant": "constant", "rule": "rule", "champion": state.champion}
    evaluations = await measure(desk, cycle, roles)
    context = await _read_back(desk, task, cycle, evaluations["champion"])
    diagnosis = await diagnose(desk, cycle)
    situation = Situation(cycle, state.dataset, dimensions, state.champion, diagnosis, context)
    turn = Turn(cycle, "cycle", dimensions, diagnosis, evaluations, await _aim(desk, brain, situation))
    if turn.aim.stop_reason is None:
        turn = await _make_data(desk, brain, situation, turn)
    if turn.aim.stop_reason is not None:
        return TurnEnd(turn, state.champion, await write_down(desk, brain, turn))
    candidate = await train(desk, cycle, await decided(brain, brain.changes(situation, turn.aim)))
    turn = await _measure_again(desk, turn, candidate)
    turn = replace(turn, verdict=await judge(desk, state, candidate))
    champion = await promote(desk, state, candidate) if turn.promotes else state.champion
    return TurnEnd(turn, champion, await write_down(desk, brain, turn))


async def _read_back(desk: Desk, task: TaskReply, cycle: str, champion: Evaluated) -> Context:
    """Ask the W&B server, and hand its words to the playbook server as they are."""
    with desk.step("read back") as step:
        takes = desk.sessions.input_names("query_wandb_tool")
        server = desk.sessions.server_of("query_wandb_tool")
        place, dimensions = Place(task.entity, task.project), [dimension.name for dimension in task.dimensions]
        try:
            asked = questions(place, cycle, champion.evaluation_id, dimensions, takes)
        except ValueError as error:
            raise StepFailed(f"step 'read back': {error}") from error
        calls = []
        for question in asked:
            arguments, reply = await desk.read_back(question)
            said = {"text": reply.text, "is_error": reply.is_error}
            calls.append({"tool": question.tool, "arguments": arguments, **said})
        context = await desk.ask(
            "record_context",
            Context,
            cycle=cycle,
            server={"name": server.says_it_is, "version": server.version},
            calls=calls,
        )
        step.outcome = f"{len(context.eval_summary)} models, {len(context.failures)} failures"
        return context


async def _aim(desk: Desk, brain: Brain, situation: Situation) -> Aim:
    with desk.step("decide") as step:
        aim = await decided(brain, brain.aim(situation))
        step.outcome = f"aims at {', '.join(aim.focus_dimensions) or 'nothing'}"
        if aim.stop_reason is not None:
            step.outcome = f"stops: {aim.stop_reason}"
        return aim


async def _make_data(desk: Desk, brain: Brain, situation: Situation, turn: Turn) -> Turn:
    """New rows for the focus dimensions, and a remedy for each failure they are made for."""
    aim, cycle = turn.aim, turn.cycle
    with desk.step("augment") as step:
        plan = await desk.ask("plan_augmentation", AugmentationPlan, cycle=cycle, focus_dimensions=aim.focus_dimensions)
        made = await desk.ask("augment_dataset", Augmentation, plan_id=plan.plan_id)
        dropped = ", ".join(f"{count} {reason}" for reason, count in made.dropped.items() if count)
        step.outcome = f"{made.added} rows added, {made.replayed} replayed; dropped: {dropped or 'none'}"
    if made.added == 0:
        return replace(turn, augmentation=made, aim=replace(aim, stop_reason=NO_NEW_ROWS))
    with desk.step("remedy") as step:
        remedies = await decided(brain, brain.remedies(situation, aim, plan.plan_id))
        await desk.ask("write_playbook", Done, cycle=cycle, remedies=[asdict(r) for r in remedies], lessons=[])
        step.outcome = f"{len(remedies)} failures, traced"
    return replace(turn, augmentation=made)


async def _measure_again(desk: Desk, turn: Turn, candidate: str) -> Turn:
    found = await measure(desk, turn.cycle, {"candidate": candidate}, "re-measure")
    with desk.step("compare") as step:
        comparison = await desk.ask(
            "compare_models",
            Comparison,
            candidate_evaluation=found["candidate"].evaluation_id,
            champion_evaluation=turn.evaluations["champion"].evaluation_id,
        )
        low, high = comparison.overall.ci
        step.outcome = f"{comparison.overall.difference:+.2f} points ({low:+.2f} to {high:+.2f}) on diagnose, no proof"
    return replace(turn, evaluations={**turn.evaluations, **found}, comparison=comparison)
