"""Put a model into service, and take it out: what must be true before the registry changes."""

from servers.core.arms import load_arm
from servers.core.cycle_files import Opening, document, needs_open
from servers.core.dataset import DatasetStore
from servers.core.registry import Move, Registry
from servers.core.task import Task
from servers.core.workspace import Workspace

MIN_REMEDIES = 3  # trace-linked failures with what was changed for each; the first project's rule
CONSTANT = "constant"


class Releasing:
    """Promotions and rollbacks of one artifacts folder."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self._workspace, self._task = workspace, task
        self._registry, self._datasets = Registry(workspace), DatasetStore(workspace)

    def promote(self, cycle: str, candidate: str) -> Move:
        """Make the candidate of a passed gate the champion; at a beginning that failed, the constant.

        Raises:
            ValueError: there is no verdict for exactly this candidate and the champion of now, it does not say promote,
                or remedies are missing.
        """
        opened = needs_open(self._workspace, cycle)
        gate = document(self._workspace, cycle, "gate.json", "gate_candidate")
        if made := self._made(opened, candidate, gate["verdict_id"]):
            return made
        current = self._registry.champion(opened.dataset)
        if (current or CONSTANT) != gate["champion"]:
            raise ValueError(
                f"the verdict compares with {gate['champion']!r}, but the champion is {current!r} now; "
                f"close {cycle} with write_report and open the next cycle"
            )
        if candidate == CONSTANT:
            self._refuse_constant(opened, gate["outcome"])
        else:
            self._refuse_unproven(opened, candidate, gate["candidate"], gate["outcome"])
        return self._registry.put_in_service(
            opened.dataset,
            candidate,
            self._digest(opened.dataset, candidate),
            action="begin" if opened.kind == "begin" else "promote",
            cycle=cycle,
            verdict_id=gate["verdict_id"],
            reason=gate["reason"],
        )

    def roll_back(self, dataset: str, reason: str) -> Move:
        """Put the champion before this one back.

        Raises:
            ValueError: there is no earlier one, or its files are gone or changed.
        """
        move = self._registry.earlier(dataset)
        if move.model != CONSTANT and self._digest(dataset, move.model) != move.digest:
            raise ValueError(f"the files of {move.model!r} are not those that were in service; restore them first")
        return self._registry.roll_back(dataset, reason)

    def _made(self, opened: Opening, candidate: str, verdict_id: str) -> Move | None:
        """The move that this very request made before, if it did."""
        history = self._registry.history(opened.dataset)
        same = [move for move in history if (move.model, move.verdict_id) == (candidate, verdict_id)]
        return same[-1] if same and history[-1] == same[-1] else None

    def _refuse_constant(self, opened: Opening, outcome: str) -> None:
        if opened.kind != "begin":
            raise ValueError("the constant comes into service only at a beginning; rollback_model goes back")
        if outcome == "promote":
            raise ValueError("the candidate passed the gate; promote it instead of the constant")

    def _refuse_unproven(self, opened: Opening, candidate: str, judged: str, outcome: str) -> None:
        if candidate != judged:
            raise ValueError(
                f"the verdict of {opened.cycle} is about {judged!r}, not about {candidate!r}; gate it first"
            )
        if outcome != "promote":
            raise ValueError(f"the gate says {outcome} for {candidate!r}, so it stays out of service")
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
        arm = load_arm(model, self._workspace, self._task, self._datasets.train(dataset, head.root))
        return arm.served_by.digest
