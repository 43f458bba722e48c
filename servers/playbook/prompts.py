"""The prompts of the playbook server: run a cycle, review a promotion, plan the next cycle.

Each says where things stand at the moment it is asked for; its words lie in `servers/prompts/`.
"""

from collections.abc import Mapping
from typing import Annotated

from mcp.types import EmbeddedResource
from pydantic import Field

from servers.core.cycle_files import Opening, open_cycles, opening
from servers.core.dataset import DatasetStore
from servers.core.disk import read_json
from servers.core.registry import Registry
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wear import MAX_VERDICTS, verdicts_asked
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.playbook.cycles import all_cycles, newest
from servers.playbook.pages import cycle_page, whole_playbook
from servers.prompts.words import Said, beside, words
from servers.room import Room
from servers.shelf import JSON, MARKDOWN, as_json
from servers.wording import quoted

ALWAYS_THERE = "demo"  # prepare_dataset makes it


def offer_prompts(room: Room, workspace: Workspace, task: Task, services: Services) -> None:
    """Add them to the playbook's room."""
    datasets = DatasetStore(workspace)

    def names(_: Mapping[str, str]) -> list[str]:
        return list(dict.fromkeys([*datasets.names(), ALWAYS_THERE]))

    def judged(_: Mapping[str, str]) -> list[str]:
        newest_first = [opened.cycle for opened in reversed(all_cycles(workspace))]
        return [cycle for cycle in newest_first if (workspace.cycle_dir(cycle) / "gate.json").exists()]

    def last_on(dataset: str | None) -> Opening | None:
        found = [opened for opened in all_cycles(workspace) if dataset in (None, opened.dataset)]
        return found[-1] if found else None

    def chosen(dataset: str | None) -> str | None:
        """The dataset that is meant; None where none is ready and none was named.

        Raises:
            ValueError: there is no such dataset.
        """
        if dataset is None:
            last = last_on(None)
            ready = datasets.names()
            return last.dataset if last else ready[0] if ready else None
        if dataset != ALWAYS_THERE:
            datasets.head(dataset)
        return dataset

    def standing(dataset: str | None) -> str:
        ready = datasets.names()
        if dataset is None or dataset not in ready:
            return f"Where things stand now: datasets that are ready: {', '.join(ready) or 'none'}; nothing has begun."
        serves, unfinished = Registry(workspace).champion(dataset), open_cycles(workspace, dataset)
        last = last_on(dataset)
        return (
            f"Where things stand now: in service on {dataset} is {serves or 'nothing yet'}; "
            f"{f'{unfinished[-1]} is open' if unfinished else 'no cycle is open'}; "
            f"the newest cycle is {last.cycle if last else 'none'}."
        )

    def state_of(cycle: str) -> EmbeddedResource:
        return beside(f"etude://cycles/{cycle}", MARKDOWN, cycle_page(workspace, task, services, cycle))

    @room.prompt("Run a cycle", dataset=names, campaign=lambda _: ["no", "yes"])
    def run_cycle(
        dataset: Annotated[str | None, Field(description="to improve on; the newest cycle's if left out")] = None,
        campaign: Annotated[str | None, Field(description="yes: try several ways, with several seeds each")] = None,
    ) -> Said:
        """Take one cycle of improvement from where it stands to its report, with a person to ask."""
        several, name = _is_yes(campaign), chosen(dataset)
        opens = f"`open_cycle` with dataset={name or ALWAYS_THERE}" + (" and campaign=true" if several else "")
        first = f"{opens} opens a cycle, or finds the one that is open."
        if name is None or name not in datasets.names():
            first = f"`prepare_dataset` with dataset={name or ALWAYS_THERE} makes the rows ready. Then {first}"
        last = last_on(name) if name else None
        text = words(
            "run_cycle",
            dataset=f"dataset {name}" if name else f"the dataset that the person names, or {ALWAYS_THERE}",
            title=quoted(task.title),
            standing=standing(name),
            first=first,
        )
        return [text, *([state_of(last.cycle)] if last else [])]

    @room.prompt("Review a promotion", cycle=judged)
    def review_promotion(
        cycle: Annotated[str | None, Field(description="cycle with a verdict; the newest one if left out")] = None,
    ) -> Said:
        """Go through a verdict of the gate check by check, and say what speaks for and against the model."""
        if cycle is None:
            with_verdict = judged({})
            cycle = with_verdict[0] if with_verdict else newest(workspace)
        opened = opening(workspace, cycle)
        path = workspace.cycle_dir(cycle) / "gate.json"
        if not path.exists():
            raise ValueError(f"{cycle} has no verdict yet; get_cycle says what comes before gate_candidate")
        gate = read_json(path)
        text = words(
            "review_promotion",
            cycle=cycle,
            candidate=cleaned(gate["candidate"]),
            champion=cleaned(gate["champion"]),
            title=quoted(task.title),
            standing=f"The outcome is {gate['outcome']}. " + standing(opened.dataset),
        )
        return [text, beside(f"etude://cycles/{cycle}/gate", JSON, as_json(gate)), state_of(cycle)]

    @room.prompt("Plan the next cycle", dataset=names)
    def plan_next_cycle(
        dataset: Annotated[str | None, Field(description="to improve on; the newest cycle's if left out")] = None,
    ) -> Said:
        """Weigh what was learned, and offer a few plans for the next cycle."""
        name = chosen(dataset)
        asked = 0
        if name in datasets.names():
            asked = verdicts_asked(workspace, datasets.head(name).gate_fingerprint)
        last = last_on(name) if name else None
        text = words(
            "plan_next_cycle",
            dataset=name or ALWAYS_THERE,
            title=quoted(task.title),
            standing=standing(name),
            wear=f"they have given {asked} verdicts of {MAX_VERDICTS} at most.",
        )
        book = beside("etude://playbook", MARKDOWN, whole_playbook(workspace))
        return [text, book, *([state_of(last.cycle)] if last else [])]


def _is_yes(answer: str | None) -> bool:
    """A person's yes or no; nothing said is no.

    Raises:
        ValueError: it is neither.
    """
    said = (answer or "no").strip().casefold()
    if said in ("yes", "y", "true"):
        return True
    if said in ("no", "n", "false"):
        return False
    raise ValueError(f"campaign is 'yes' or 'no', not {cleaned(said, 40)!r}")
