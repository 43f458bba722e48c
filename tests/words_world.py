"""A world in which every tool answers, and all answers are kept: texts, links and typed forms."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from servers.augment import results as augment
from servers.augment import wording as augment_wording
from servers.catalogue import all_servers
from servers.core.campaign import CampaignResult
from servers.core.diagnosis import Diagnosis
from servers.core.hub_repos import Uploaded
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.eval import results as evals
from servers.eval import wording as eval_wording
from servers.eval.asking import Sampled
from servers.eval.comparing import ModelComparison
from servers.eval.verdicts import GateDocument
from servers.playbook import results as playbook
from servers.playbook import wording as playbook_wording
from servers.playbook.closing import Written
from servers.playbook.context import Recorded
from servers.playbook.cycles import CycleState
from servers.playbook.evidence import EvidencePage
from servers.retrain import results as retrain
from servers.retrain import wording as retrain_wording
from servers.room import Room
from servers.wording import Teller
from tests.campaign_world import CHANGE, FOCUS, CampaignWorld
from tests.workshop import Workshop

FORMS: dict[str, tuple[type[Wire], Teller]] = {
    "describe_task": (evals.TaskDescription, eval_wording.task),
    "prepare_dataset": (evals.PreparedDataset, eval_wording.prepared),
    "diagnose_dataset": (Diagnosis, eval_wording.diagnosis),
    "sample_model": (Sampled, eval_wording.sampled),
    "evaluate_model": (evals.EvaluationResult, eval_wording.evaluation),
    "get_evaluation": (evals.EvaluationResult, eval_wording.evaluation),
    "list_failures": (evals.Failures, eval_wording.failures),
    "compare_models": (ModelComparison, eval_wording.comparison),
    "choose_candidate": (CampaignResult, eval_wording.choice),
    "gate_candidate": (GateDocument, eval_wording.verdict),
    "list_datasets": (augment.Datasets, augment_wording.datasets),
    "plan_augmentation": (augment.AugmentationPlan, augment_wording.plan),
    "plan_campaign": (augment.CampaignPlan, augment_wording.campaign),
    "augment_dataset": (augment.AugmentationResult, augment_wording.rows),
    "publish_dataset": (augment.Published, augment_wording.published),
    "plan_retrain": (retrain.PlanResult, retrain_wording.plan),
    "start_retrain": (retrain.JobResult, retrain_wording.job),
    "get_job": (retrain.JobResult, retrain_wording.job),
    "cancel_job": (retrain.JobResult, retrain_wording.job),
    "list_jobs": (retrain.Jobs, retrain_wording.jobs),
    "list_models": (retrain.Models, retrain_wording.models),
    "promote_model": (retrain.Service, retrain_wording.service),
    "rollback_model": (retrain.Service, retrain_wording.service),
    "publish_model": (Uploaded, retrain_wording.uploaded),
    "open_cycle": (CycleState, playbook_wording.state),
    "get_cycle": (CycleState, playbook_wording.state),
    "record_context": (Recorded, playbook_wording.recorded),
    "read_evidence": (EvidencePage, playbook_wording.evidence),
    "search_playbook": (playbook.SearchResult, playbook_wording.search),
    "write_playbook": (playbook.PlaybookWritten, playbook_wording.playbook),
    "write_report": (Written, playbook_wording.closed),
}
MARKED = "a [link](http://evil) ![x](http://evil/x.png) <b>`# | \u202e\n## " + "long " * 300
"""What somebody may write who wants to be more than data."""


@dataclass
class Heard:
    """What a tool returned."""

    tool: str
    text: str
    links: dict[str, str | None]
    """By URI, the type of what it links to."""
    content: dict[str, Any]


@dataclass
class Ear:
    """Asks, and keeps what is answered."""

    heard: list[Heard] = field(default_factory=list)
    on_shelves: dict[str, str | None] = field(default_factory=dict)
    """By URI, the type of what the servers give to read."""

    async def ask(self, client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        text, *more = result.content
        links = [block for block in more if block.type != "image"]
        assert not result.is_error and text.type == "text", text
        assert all(link.type == "resource_link" for link in links)
        self.heard.append(
            Heard(
                tool,
                text.text,
                {str(link.uri): link.mime_type for link in links if link.type == "resource_link"},
                result.structured_content or {},
            )
        )
        return self.heard[-1].content


class ListeningShop(Workshop):
    """The five servers, all of whose answers are kept, but for the W&B stand-in's."""

    def __init__(self, folder: Path, ear: Ear) -> None:
        super().__init__(folder)
        self.ear = ear

    async def answered(self, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
        if tool.endswith("_tool"):
            return await super().answered(tool, **arguments)
        await self.ear.ask(self._owner[tool], tool, **arguments)
        return self.ear.heard[-1].text, self.ear.heard[-1].content

    async def look_at_the_shelves(self) -> None:
        """See what every server gives to read."""
        for client in {id(client): client for client in self._owner.values()}.values():
            if client.server_capabilities.resources is not None:
                listed = await client.list_resources()
                self.ear.on_shelves |= {str(one.uri): one.mime_type for one in listed.resources}


def saying(folder: Path, tool: str, result: Wire) -> Room:
    """A room whose one tool returns this, in the form and words of the real one."""
    form, teller = FORMS[tool]
    room = Room("eval", "For a test.", Workspace(folder))

    def declared() -> Any:
        """Say it."""
        return result

    declared.__name__, declared.__annotations__ = tool, {"return": form}
    room.reads(told=teller)(declared)
    return room


def everything_said(folder: Path) -> Ear:
    """What every tool says: on the way through a beginning and a cycle of the demo, and of a small campaign."""
    ear = Ear()

    async def cycles(folder: Path) -> None:
        async with ListeningShop(folder, ear) as shop:
            await shop.call("describe_task")
            version = (await shop.call("prepare_dataset", dataset="demo"))["dataset_version"]
            for _ in range(2):
                cycle = (await shop.call("open_cycle", dataset="demo"))["cycle"]
                await shop.follow(cycle)
            measured = [one.content["evaluation_id"] for one in ear.heard if one.tool == "evaluate_model"][-3:]
            await shop.call("get_evaluation", evaluation_id=measured[0])
            await shop.call("list_failures", evaluation_id=measured[0])
            await shop.call("compare_models", champion_evaluation=measured[0], candidate_evaluations=measured[1:])
            await shop.call("list_datasets")
            jobs = (await shop.call("list_jobs", limit=1))["jobs"]
            await shop.call("cancel_job", job_id=jobs[0]["job_id"])
            await shop.call("list_models", dataset="demo")
            await shop.call("search_playbook", query="nostalgia")
            await shop.call("read_evidence", ref=f"snapshot:{cycle}")
            await shop.call("publish_dataset", dataset="demo", dataset_version=version)
            await shop.look_at_the_shelves()
            await shop.call("rollback_model", dataset="demo", reason=MARKED[:400])
            await shop.call("list_models", dataset="demo")

    async def campaign(folder: Path) -> None:
        world = CampaignWorld(folder)
        cycle = await world.opened()
        given = {
            "cycle": cycle,
            "focus_dimensions": FOCUS,
            "changes": [CHANGE],
            "seeds": 2,
            "ways": ["more", "focused"],
        }
        servers = all_servers(world.workspace.root)
        async with Client(servers["augment"]) as maker, Client(servers["eval"]) as judge:
            await ear.ask(maker, "plan_campaign", **given)
            world.made(cycle)
            world.trained(cycle)
            world.measured(cycle, {"more": [-1.0, -1.1], "focused": [-2.0, -2.1]})
            await ear.ask(judge, "choose_candidate", cycle=cycle)

    async def online(folder: Path) -> None:
        sampling = Sampled(
            model="prompt", split="diagnose", state="running", job_id="sample-0123456789ab", message="40 of 120 rows",
            next="sample_model again, which waits",
        )  # fmt: skip
        at_hub = Uploaded(url="https://huggingface.co/ada/etude-student", revision="0123456789abcdef0123")
        for tool, result in {"sample_model": sampling, "publish_model": at_hub}.items():
            async with Client(saying(folder, tool, result).server) as client:
                await ear.ask(client, tool)

    anyio.run(cycles, folder / "cycles")
    anyio.run(campaign, folder / "campaign")
    anyio.run(online, folder / "online")
    return ear
