"""The playbook server: where a cycle stands, what W&B said, what was learned, and the report that closes it."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from servers.core.campaign import Way, Worked
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook import wording
from servers.playbook.book import Lesson, RemedyGiven, playbook_of, write_down
from servers.playbook.closing import PICTURE, Written
from servers.playbook.closing import write_report as close_cycle
from servers.playbook.context import Recorded, record
from servers.playbook.cycles import CycleState, cycle_state
from servers.playbook.cycles import open_cycle as open_or_find
from servers.playbook.evidence import EvidencePage, read_page, search
from servers.playbook.facts import facts_of
from servers.playbook.failure_cases import write_failure_cases
from servers.playbook.policies import search_policies
from servers.playbook.prompts import offer_prompts
from servers.playbook.replies import Call
from servers.playbook.results import PlaybookWritten, SearchResult
from servers.playbook.shelf import documents
from servers.playbook.snapshot import ServerName
from servers.playbook.steps import next_steps
from servers.room import CycleId, DatasetName, Offset, Room
from servers.wording import Said

INSTRUCTIONS = (
    "Keeps the cycle of improvement: what is done, what comes next, what W&B said, what was learned. "
    "Begin with open_cycle, then follow next_steps of get_cycle."
)


def build_room(workspace: Workspace, task: Task, services: Services | None = None) -> Room:
    """The playbook server over one artifacts folder, for one task."""
    room, services = Room("playbook", INSTRUCTIONS, workspace), services or Services()

    def pictured(words: Said, cycle: str) -> Said:
        """With the picture of a closed cycle, where there is one."""
        picture = workspace.cycle_dir(cycle) / PICTURE
        return replace(words, picture=picture.read_bytes()) if picture.exists() else words

    def state_told(found: CycleState) -> Said:
        return pictured(wording.state(found), found.cycle) if found.closed else wording.state(found)

    def closed_told(found: Written) -> Said:
        return pictured(wording.closed(found), found.cycle)

    @room.writes(told=state_told)
    def open_cycle(
        dataset: DatasetName, campaign: Annotated[bool, Field(description="try several ways")] = False
    ) -> CycleState:
        """Open a cycle on a dataset, or find its open one; the first begins the dataset, against the constant.
        Next: the calls in next_steps.
        """
        return cycle_state(workspace, task, services, open_or_find(workspace, task, services, dataset, campaign))

    @room.reads(told=state_told)
    def get_cycle(cycle: Annotated[str | None, Field(description="newest if left out")] = None) -> CycleState:
        """Say where a cycle stands and which calls come next, with arguments and reasons.
        Next: the calls in next_steps.
        """
        return cycle_state(workspace, task, services, cycle)

    @room.writes(told=wording.recorded)
    def record_context(cycle: CycleId, server: ServerName, calls: list[Call]) -> Recorded:
        """Take in the replies of the W&B MCP tools, word for word, and write the cycle's snapshot.
        Refuses all of them if one failed or disagrees with the eval server. Next: diagnose_dataset.
        """
        remedied = [remedy.trace_id for remedy in playbook_of(workspace, cycle).remedies]
        return record(workspace, task, cycle, server, calls, remedied)

    @room.reads(told=wording.evidence)
    def read_evidence(
        ref: Annotated[str, Field(description="kind:id, e.g. evaluation:<id>, diagnosis:<cycle>, trace:<id>")],
        offset: Offset = 0,
    ) -> EvidencePage:
        """Show a document that a claim can rest on, or a result that was put aside (result:…), 4000 characters a page.
        An unknown kind lists the known ones. Next: read_evidence from next_offset on, or write_playbook.
        """
        return read_page(workspace, task, services, ref, offset)

    @room.reads(told=wording.search)
    def search_playbook(
        query: Annotated[str | None, Field(description="words; also finds lessons and remedies")] = None,
        dataset: str | None = None,
        task: str | None = None,
        way: Way | None = None,
        dimension: str | None = None,
        worked: Worked | None = None,
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
        offset: Offset = 0,
    ) -> SearchResult:
        """Find what ways of making a candidate did in closed cycles, and lessons by words.
        Next: plan_augmentation or plan_campaign by what worked; read_evidence with a source.
        """
        lessons = [] if query is None else search(workspace, query, limit)
        page = search_policies(
            workspace,
            words=query,
            dataset=dataset,
            task=task,
            way=way,
            dimension=dimension,
            worked=worked,
            limit=limit,
            offset=offset,
        )
        return SearchResult(policies=page.entries, total=page.total, next_offset=page.next_offset, entries=lessons)

    @room.writes(told=wording.playbook)
    def write_playbook(cycle: CycleId, remedies: list[RemedyGiven], lessons: list[Lesson]) -> PlaybookWritten:
        """Add remedies for recorded failures, and lessons; the same trace or title replaces. Figures stand in texts
        only as {claim:id}, and every claim must resolve. Next: get_cycle.
        """
        playbook = write_down(workspace, task, cycle, remedies, lessons)
        facts = facts_of(workspace, cycle)
        write_failure_cases(workspace, task, facts)
        upcoming = next_steps(facts, task)
        return PlaybookWritten(
            remedies=len(playbook.remedies),
            lessons=len(playbook.lessons),
            path=f"loop/{cycle}/playbook.json",
            next=upcoming[0].tool if upcoming else "get_cycle",
        )

    @room.writes(told=closed_told)
    def write_report(
        cycle: CycleId,
        stop_reason: Annotated[str | None, Field(description="why it ends without a verdict")] = None,
        wandb_report: Annotated[
            str | None, Field(description="address of its report at W&B, once there is one")
        ] = None,
    ) -> Written:
        """Close the cycle: write report, decisions, figures and the plan of the next one. Next: open_cycle."""
        return close_cycle(workspace, task, services, cycle, stop_reason, wandb_report)

    room.shelf.add(*documents(workspace, task, services))
    offer_prompts(room, workspace, task, services)
    return room
