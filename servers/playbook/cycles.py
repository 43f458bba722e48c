"""Cycles: how one is opened, and where it stands, derived from what the tools left behind."""

from typing import Any, Literal

from servers.core.budget import Budget, BudgetState
from servers.core.cycle_files import Opening, is_closed, opening
from servers.core.dataset import DatasetStore
from servers.core.disk import now, write_json
from servers.core.registry import Registry
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wear import verdicts_asked, worn_out
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.playbook.facts import facts_of
from servers.playbook.next_step import NextStep
from servers.playbook.steps import done_steps, next_steps


class CycleState(Wire):
    """Where a cycle stands."""

    cycle: str
    kind: Literal["begin", "cycle"]
    """`begin` is the first model against the constant."""
    dataset: str
    dataset_version: str
    """The version that the cycle opened on."""
    champion: str
    """In service when the cycle was opened."""
    campaign: bool
    """Whether several ways are tried before one candidate is judged."""
    done: list[str]
    next_steps: list[NextStep]
    """What to call now, in this order."""
    closed: bool
    verdict: str | None
    """promote, hold, undecided or stopped, once the cycle is closed."""
    wandb_report: str | None
    """Where W&B shows the closed cycle's report, once that was noted."""
    budget: BudgetState
    """Of the whole artifacts folder."""


def open_cycle(workspace: Workspace, task: Task, services: Services, dataset: str, campaign: bool = False) -> str:
    """Open a cycle, or find the open one of this dataset, and return its id.

    A beginning has one way, so it is never a campaign.

    Raises:
        ValueError: the dataset is not there or belongs to another task, or its sealed split is worn out.
    """
    datasets = DatasetStore(workspace)
    if dataset not in datasets.names():
        known = ", ".join(datasets.names()) or "none"
        raise ValueError(f"no dataset {dataset!r} is ready; ready: {known}; call prepare_dataset first")
    head = datasets.head(dataset)
    if head.task != task.name:
        raise ValueError(f"{dataset!r} was imported for task {head.task!r}, this server works on {task.name!r}")
    found = [opened for opened in all_cycles(workspace) if opened.dataset == dataset]
    still_open = [opened for opened in found if not is_closed(workspace, opened.cycle)]
    if still_open:
        return still_open[-1].cycle
    if (worn := worn_out(dataset, verdicts_asked(workspace, head.gate_fingerprint))) is not None:
        raise ValueError(worn)
    champion = Registry(workspace).champion(dataset)
    cycle = _next_id(workspace, dataset, beginning=champion is None)
    opened = Opening(
        schema=1,
        cycle=cycle,
        kind="begin" if champion is None else "cycle",
        dataset=dataset,
        dataset_version=head.fingerprint,
        champion=champion or "constant",
        opened_at=now(),
        campaign=campaign and champion is not None,
        backends=services.backends(head),
    )
    write_json(workspace.cycle_dir(cycle) / "cycle.json", opened.model_dump(mode="json", by_alias=True))
    return cycle


def cycle_state(workspace: Workspace, task: Task, services: Services, cycle: str | None) -> CycleState:
    """Where a cycle stands, and what comes next; of the newest one if none is named.

    Raises:
        ValueError: there is no such cycle.
    """
    if cycle is None:
        cycle = newest(workspace)
    facts = facts_of(workspace, cycle)
    opened = facts.opening
    return CycleState(
        cycle=opened.cycle,
        kind=opened.kind,
        dataset=opened.dataset,
        dataset_version=opened.dataset_version,
        champion=opened.champion,
        campaign=opened.campaign,
        done=done_steps(facts),
        next_steps=next_steps(facts, task),
        closed=facts.summary is not None,
        verdict=None if facts.summary is None else facts.summary["verdict"],
        wandb_report=None if facts.wandb_report is None else facts.wandb_report["url"],
        budget=Budget(workspace, services).state(),
    )


def all_cycles(workspace: Workspace) -> list[Opening]:
    """Every cycle, in the order in which they were opened."""
    folders = (workspace.root / "loop").glob("*/cycle.json")
    return sorted((opening(workspace, file.parent.name) for file in folders), key=_order)


def newest(workspace: Workspace) -> str:
    """The cycle that was opened last.

    Raises:
        ValueError: none was opened yet.
    """
    found = all_cycles(workspace)
    if not found:
        raise ValueError("no cycle was opened yet; call open_cycle")
    return found[-1].cycle


def _next_id(workspace: Workspace, dataset: str, beginning: bool) -> str:
    """`begin_<dataset>` for the beginning, `cycle_<n>` otherwise, the number running over the whole folder.

    A beginning that was stopped leaves no champion, so the next one begins again under `begin_<dataset>.2` and so on.
    """
    taken = {opened.cycle for opened in all_cycles(workspace)}
    if beginning:
        first = f"begin_{dataset}"
        names = (first, *(f"{first}.{n}" for n in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)
    numbers = [int(cycle.removeprefix("cycle_")) for cycle in taken if cycle.startswith("cycle_")]
    return f"cycle_{max(numbers, default=0) + 1}"


def _order(opened: Opening) -> tuple[str, int, str]:
    number: Any = opened.cycle.rpartition("_")[2]
    return opened.opened_at, int(number) if number.isdecimal() else 0, opened.cycle
