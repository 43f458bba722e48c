"""Put a model into service, and take it out: what must be true before the registry changes."""

from collections.abc import Iterator

from servers.core.arms import served_by_of
from servers.core.cycle_files import Opening, document, needs_open, opening
from servers.core.dataset import DatasetStore
from servers.core.registry import CONSTANT, MIN_REMEDIES, Line, Move, Registry
from servers.core.task import Task
from servers.core.workspace import Workspace


class Releasing:
    """Promotions and rollbacks of one artifacts folder."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self._workspace, self._task = workspace, task
        self._registry, self._datasets = Registry(workspace), DatasetStore(workspace)

    def promote(self, cycle: str, candidate: str) -> Move:
        """Make the candidate of a passed gate the champion; at a beginning that failed, the constant.

        Raises:
            ValueError: there is no verdict for exactly this candidate and the champion of now, it does not say promote,
                remedies are missing, or the candidate's files are not those that were trained. Nothing changes then.
        """
        opened = opening(self._workspace, cycle)
        gate = document(self._workspace, cycle, "gate.json", "gate_candidate")
        history = self._registry.history(opened.dataset)
        if history and (history[-1].cycle, history[-1].model) == (cycle, candidate):
            return history[-1]  # this very request was made before
        needs_open(self._workspace, cycle)
        champion = self._registry.champion(opened.dataset)
        if (champion or CONSTANT) != gate["champion"]:
            raise ValueError(
                f"the verdict compares with {gate['champion']!r}, but the champion is {champion!r} now; "
                f"close {cycle} with write_report and open the next cycle"
            )
        if candidate == CONSTANT:
            self._refuse_constant(opened, gate["candidate"], gate["outcome"])
        else:
            self._refuse_unproven(opened, candidate, gate["candidate"], gate["outcome"])
        return self._registry.put_in_service(
            opened.dataset,
            candidate,
            self._digest(opened.dataset, candidate),
            action="begin" if champion is None else "promote",
            cycle=cycle,
            verdict_id=gate["verdict_id"],
            reason=gate["reason"],
            replaces=champion,
        )

    def roll_back(self, dataset: str, reason: str) -> Move:
        """Put back the champion before this one, or the one before that where its files are not what they were.

        Before the first model the constant served, and it needs no files.

        Raises:
            ValueError: there is no earlier one, or no reason.
        """
        if not reason.strip():
            raise ValueError("a rollback needs a reason; say what went wrong")
        self._datasets.head(dataset)
        line = self._registry.line(dataset)
        if line is None:
            raise ValueError(f"{dataset!r} has no champion yet, so there is none to go back to; call open_cycle")
        for model, digest in self._usable(dataset, line):
            return self._registry.roll_back(dataset, model, digest, replaces=line.champion, reason=reason)
        raise ValueError(f"{dataset!r} is served by the constant and has no earlier champion to go back to")

    def _usable(self, dataset: str, line: Line) -> Iterator[tuple[str, str]]:
        """Model id and digest of the earlier champions whose files are as they were, the newest first."""
        for move in reversed(line.standing[:-1]):
            try:
                if self._digest(dataset, move.model) == move.digest:
                    yield move.model, move.digest
            except ValueError:
                continue  # its files are gone, so it cannot serve
        if line.champion != CONSTANT:
            yield CONSTANT, self._digest(dataset, CONSTANT)

    def _refuse_constant(self, opened: Opening, judged: str, outcome: str) -> None:
        if opened.kind != "begin":
            raise ValueError("the constant comes into service only at a beginning; rollback_model goes back")
        if outcome == "promote":
            raise ValueError(f"{judged!r} passed the gate; call promote_model with it instead of the constant")

    def _refuse_unproven(self, opened: Opening, candidate: str, judged: str, outcome: str) -> None:
        if candidate != judged:
            raise ValueError(
                f"the verdict of {opened.cycle} is about {judged!r}, not {candidate!r}; call gate_candidate with it"
            )
        if outcome != "promote":
            way_on = "write_report" if opened.kind == "cycle" else "promote_model with 'constant'"
            raise ValueError(f"the gate says {outcome} for {candidate!r}, so it stays out of service; call {way_on}")
        if opened.kind == "begin":
            return
        remedies = document(self._workspace, opened.cycle, "playbook.json", "write_playbook with remedies")["remedies"]
        traces = {remedy["trace_id"] for remedy in remedies}
        if len(traces) < MIN_REMEDIES:
            raise ValueError(
                f"{len(traces)} failures have a remedy, a promotion needs {MIN_REMEDIES}; call write_playbook with more"
            )

    def _digest(self, dataset: str, model: str) -> str:
        head = self._datasets.head(dataset)
        train = self._datasets.train(dataset, head.root)
        return served_by_of(model, self._workspace, self._task, train).digest
