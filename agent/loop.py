"""The whole run: make the data ready, begin where there is no champion yet, then turn the loop."""

from time import perf_counter

from agent.brain import Aim, Brain, Turn
from agent.desk import Desk, StepFailed
from agent.outcome import (
    STAND_IN,
    BackendsPart,
    BeginPart,
    CyclePart,
    DatasetPart,
    DiagnosePart,
    GatePart,
    Outcome,
)
from agent.replies import CycleState, Prepared, TaskReply
from agent.screen import announce, conclude
from agent.steps import diagnose, judge, measure, promote, stored_verdict, train, write_down
from agent.turn import TurnEnd, run_cycle


class Run:
    """One run of `etude cycle`.

    Args:
        desk: Where calls are made.
        brain: Who decides.
        artifacts: The folder, as it is named in the outcome.
    """

    def __init__(self, desk: Desk, brain: Brain, artifacts: str) -> None:
        self._desk, self._brain, self._artifacts = desk, brain, artifacts

    async def go(self, dataset: str, cycles: int) -> Outcome:
        """Begin if need be, and turn the loop `cycles` times; an open cycle of an earlier run is the first of them.

        A cycle that stops before it made data leaves all as it was, so the next one would stop as well: the run ends.

        Raises:
            StepFailed: a tool refused; the same command goes on from there.
            ServerProblem: a server is gone.
        """
        try:
            return await self._go(dataset, cycles)
        finally:
            self._desk.ledger.finish()

    async def _go(self, dataset: str, cycles: int) -> Outcome:
        with self._desk.step("prepare") as step:
            task = await self._desk.ask("describe_task", TaskReply)
            prepared = await self._desk.ask("prepare_dataset", Prepared, dataset=dataset)
            backends = self._backends(prepared)
            step.outcome = f"{prepared.dataset} {prepared.dataset_version}"
        announce(self._desk.progress, task, prepared, backends)
        state, report = await self._open(dataset), ""
        if state.kind == "begin":
            begin, report = await self._begin(task, state)
            state = await self._open(dataset)
        else:
            begin = await self._begun_before(state)
        parts: list[CyclePart] = []
        while True:
            part, end = await self._cycle(task, state)
            parts.append(part)
            report = end.report
            if len(parts) == cycles:
                break
            if part.verdict == "stopped" and end.turn.augmentation is None:
                self._desk.progress.say(f"The data are as they were, so {_not_run(cycles - len(parts))}.", "bold")
                break
            state = await self._open(dataset)
        prepared = await self._desk.ask("prepare_dataset", Prepared, dataset=dataset)
        return Outcome(
            task=task.task,
            dataset=DatasetPart(name=prepared.dataset, fingerprint=prepared.dataset_version, rows=prepared.rows),
            backends=backends,
            begin=begin,
            cycles=parts,
            artifacts=self._artifacts,
            report=report,
        )

    async def _open(self, dataset: str) -> CycleState:
        state = await self._desk.ask("open_cycle", CycleState, dataset=dataset)
        self._desk.ledger.open(state.cycle)
        self._desk.progress.say(f"{state.cycle}, champion {state.champion}", "bold")
        return state

    def _backends(self, prepared: Prepared) -> BackendsPart:
        server = self._desk.sessions.server_of("query_wandb_tool")
        return BackendsPart(
            brain=self._brain.name,
            wandb_mcp="stand-in" if server.says_it_is == STAND_IN else "official",
            **prepared.backends.model_dump(),
        )

    async def _begin(self, task: TaskReply, state: CycleState) -> tuple[BeginPart, str]:
        """The first model against the constant. Data that teach nothing get a true verdict and the constant."""
        desk, cycle = self._desk, state.cycle
        diagnosis = await diagnose(desk, cycle)
        evaluations = await measure(desk, cycle, {"constant": "constant", "rule": "rule"})
        candidate = await train(desk, cycle, [])
        evaluations |= await measure(desk, cycle, {"candidate": candidate}, "re-measure")
        verdict = await judge(desk, state, candidate)
        champion = await promote(desk, state, candidate if verdict.outcome == "promote" else "constant")
        dimensions = [dimension.name for dimension in task.dimensions]
        turn = Turn(cycle, "begin", dimensions, diagnosis, evaluations, Aim(), verdict=verdict)
        report = await write_down(desk, self._brain, turn)
        desk.ledger.close()
        conclude(desk.progress, turn, champion)
        return BeginPart(champion=champion, verdict=verdict.outcome, reason=_reason(turn)), report

    async def _begun_before(self, state: CycleState) -> BeginPart:
        """What the gate said at the beginning that an earlier run made."""
        try:
            verdict = await stored_verdict(self._desk, f"begin_{state.dataset}")
        except StepFailed:  # it was made by hand, without a gate
            return BeginPart(champion=state.champion, verdict=None, reason="already begun")
        reason = None if verdict.outcome == "promote" else verdict.reason
        return BeginPart(champion=state.champion, verdict=verdict.outcome, reason=reason)

    async def _cycle(self, task: TaskReply, state: CycleState) -> tuple[CyclePart, TurnEnd]:
        started = perf_counter()
        end = await run_cycle(self._desk, self._brain, task, state)
        self._desk.ledger.close()
        conclude(self._desk.progress, end.turn, end.champion_after)
        return _part(state, end, perf_counter() - started), end


def _part(state: CycleState, end: TurnEnd, seconds: float) -> CyclePart:
    turn = end.turn
    return CyclePart(
        cycle=_number(state.cycle),
        verdict=turn.verdict.outcome if turn.verdict else "stopped",
        reason=_reason(turn),
        focus_dimensions=turn.aim.focus_dimensions,
        champion_before=state.champion,
        champion_after=end.champion_after,
        diagnose=DiagnosePart(**{role: evaluated.metrics for role, evaluated in turn.evaluations.items()}),
        gate=GatePart.of(turn.verdict) if turn.verdict else None,
        seconds=round(seconds, 2),
    )


def _reason(turn: Turn) -> str | None:
    if turn.verdict is None:
        return turn.aim.stop_reason
    return None if turn.promotes else turn.verdict.reason


def _not_run(left: int) -> str:
    return f"{left} more {'cycle' if left == 1 else 'cycles'} would stop the same way; the run ends here"


def _number(cycle: str) -> int:
    return int(cycle.rpartition("_")[2])
