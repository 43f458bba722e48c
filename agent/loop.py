"""The whole run: make the data ready, begin where there is no champion yet, then turn the loop.

Which cycles there are, and that they end, is decided here; what is done inside one is the brain's. What a cycle brought
is read from the evidence when it is closed, so a run that was cut short tells of all its cycles, not only of the last.
"""

from pathlib import Path

from agent.brain import Brain
from agent.closing import Closing
from agent.desk import Desk, StepFailed
from agent.journal import Journal
from agent.outcome import STAND_INS, BackendsPart, BeginPart, CyclePart, DatasetPart, Outcome
from agent.replies import CycleState, Prepared, Summary, TaskReply
from agent.screen import announce, conclude
from agent.wandb_names import RUNS
from agent.wandb_report import publish


class Run:
    """One run of `etude cycle`.

    Args:
        desk: Where calls are made.
        brain: Who decides.
        artifacts: The folder, as it is named in the outcome.
        journal: Its note of the run; whoever tells the outcome finishes it.
        reports_at_wandb: Whether W&B gets the reports of closed cycles, where it has their runs.
    """

    def __init__(
        self, desk: Desk, brain: Brain, artifacts: Path, journal: Journal, reports_at_wandb: bool = True
    ) -> None:
        self._desk, self._brain, self._artifacts, self._journal = desk, brain, artifacts, journal
        self._reports_at_wandb = reports_at_wandb
        self._closed: list[Summary] = []
        self._published: dict[str, str] = {}
        self._dimensions: list[str] = []
        self._synthetic = False

    async def go(self, dataset: str, cycles: int, campaign: bool = False) -> Outcome:
        """Begin if need be, and turn the loop `cycles` times; an open cycle of an earlier run is the first of them.

        With `campaign` each turn that is opened tries several ways. A run of the same words that was cut short is
        finished instead of begun again. A cycle that stops before it made data leaves all as it was, so the next one
        would stop as well: the run ends.

        Raises:
            StepFailed: a tool refused, or the brain cannot go on; the same command goes on from there.
            ServerProblem: a server is gone.
        """
        try:
            return await self._go(dataset, cycles, campaign)
        finally:
            self._desk.ledger.finish(self._closed[-1].cycle if self._closed else None)

    def closing(self, outcome: Outcome) -> Closing:
        """The summary of a run that is over."""
        board = self._desk.progress.board
        return Closing(
            outcome, self._closed, self._dimensions, self._synthetic, board.errors, board.seconds, board.budget
        )

    async def _go(self, dataset: str, cycles: int, campaign: bool) -> Outcome:
        with self._desk.step("prepare") as step:
            task = await self._desk.ask("describe_task", TaskReply)
            prepared = await self._desk.ask("prepare_dataset", Prepared, dataset=dataset)
            self._dimensions, self._synthetic = task.names, prepared.synthetic
            backends = self._backends(prepared)
            step.outcome = f"{prepared.dataset} {prepared.dataset_version}"
        wandb = self._desk.sessions.server_of(RUNS)
        announce(self._desk.progress, task, prepared, backends, self._brain.about, wandb)
        await self._recall(dataset, cycles, campaign)
        while (left := cycles - len(self._turns)) > 0 and not self._is_stuck(left):
            await self._next(task, dataset, cycles, campaign)
            await self._publish(backends)
        await self._publish(backends)  # what could not be written before
        prepared = await self._desk.ask("prepare_dataset", Prepared, dataset=dataset)
        return Outcome(
            task=task.task,
            dataset=DatasetPart(name=prepared.dataset, fingerprint=prepared.dataset_version, rows=prepared.rows),
            backends=backends,
            begin=await self._begin(dataset),
            cycles=[
                CyclePart.of(summary, self._brain.spent(summary.cycle), self._published.get(summary.cycle))
                for summary in self._turns
            ],
            artifacts=str(self._artifacts),
            report=str(self._artifacts / self._closed[-1].report),
        )

    @property
    def _turns(self) -> list[Summary]:
        """The cycles of this run that are closed, without the beginning."""
        return [summary for summary in self._closed if summary.kind == "cycle"]

    async def _recall(self, dataset: str, cycles: int, campaign: bool) -> None:
        """Take up what a run of the same words has closed before it was cut short."""
        for cycle in self._journal.begin(dataset, cycles, campaign):
            if (await self._desk.ask("get_cycle", CycleState, cycle=cycle)).closed:
                self._closed.append(await self._summary(cycle))
        if self._closed:
            self._desk.progress.say(f"Goes on with a run that has closed {', '.join(s.cycle for s in self._closed)}.")

    def _is_stuck(self, left: int) -> bool:
        """Whether another cycle would only find again what the last one stopped for."""
        if not self._turns or self._turns[-1].verdict != "stopped" or self._turns[-1].rows_added is not None:
            return False
        more = f"{left} more {'cycle' if left == 1 else 'cycles'} would stop the same way"
        self._desk.progress.say(f"The data are as they were, so {more}; the run ends here.", "bold")
        return True

    async def _next(self, task: TaskReply, dataset: str, cycles: int, campaign: bool) -> None:
        """Open a cycle, or find the open one, and have the brain take it to its end."""
        how = {"campaign": True} if campaign else {}
        state = await self._desk.ask("open_cycle", CycleState, dataset=dataset, **how)
        self._journal.works_on(state.cycle)
        self._desk.ledger.open(state.cycle)
        kind = ", a campaign" if state.campaign else ""
        turn = "" if state.kind == "begin" else f"turn {len(self._turns) + 1} of {cycles}"
        self._desk.progress.board.opened(state.cycle, state.champion, turn, state.campaign)
        self._desk.progress.headline(f"{state.cycle}{kind}, champion {state.champion}")
        await self._brain.finish(self._desk, task, state)
        summary = await self._summary(state.cycle)
        self._desk.ledger.close()
        self._desk.progress.board.closed(summary)
        conclude(self._desk.progress, summary, task.names, self._brain.spent(state.cycle))
        if summary.kind == "begin" and summary.verdict == "stopped":
            raise StepFailed(f"{state.cycle} ended without a model in service: {summary.reason}")
        self._closed.append(summary)

    async def _publish(self, backends: BackendsPart) -> None:
        """Have W&B show the report of every closed cycle of this run that it does not show yet."""
        if not self._reports_at_wandb or backends.tracking != "wandb":
            return
        for summary in self._closed:
            if summary.cycle not in self._published:
                with self._desk.step("publish") as step:
                    published = await publish(self._desk, summary.cycle, self._artifacts)
                    step.outcome = published.url or f"no report at W&B: {published.problem}"
                if published.url is not None:
                    self._published[summary.cycle] = published.url

    async def _summary(self, cycle: str) -> Summary:
        return await self._desk.document(f"summary:{cycle}", Summary)

    async def _begin(self, dataset: str) -> BeginPart:
        """What came of the beginning, whoever made it."""
        made_here = [summary for summary in self._closed if summary.kind == "begin"]
        try:
            begun = made_here[-1] if made_here else await self._summary(f"begin_{dataset}")
        except (
            StepFailed
        ):  # there is none of this name: an earlier try of it was stopped, and a later one begun by hand
            return BeginPart(champion=self._turns[0].champion_before, verdict=None, reason="already begun")
        return BeginPart(
            champion=begun.champion_after if made_here else self._turns[0].champion_before,
            verdict=begun.verdict,
            reason=None if begun.verdict == "promote" else begun.reason,
        )

    def _backends(self, prepared: Prepared) -> BackendsPart:
        server = self._desk.sessions.server_of(RUNS)
        return BackendsPart(
            brain=self._brain.name,
            wandb_mcp="stand-in" if server.says_it_is in STAND_INS else "official",
            **prepared.backends.model_dump(),
        )
