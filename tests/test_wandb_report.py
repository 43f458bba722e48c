"""A closed cycle's report at W&B, through `create_wandb_report_tool` of the official server: once, and noted."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from agent.desk import Desk, Patience
from agent.endpoints import own_servers
from agent.ledger import Ledger
from agent.progress import Progress
from agent.sessions import connect
from agent.settings import WandbSettings
from agent.wandb_report import Published, publish
from servers.core.services import Services
from servers.core.settings import Settings
from servers.playbook.server import build_room
from tests.doubles.wandb_mcp import PAGES, REPORT, RUNS, OfficialServer, Ways
from tests.doubles.wandb_mcp_wire import Hosted
from tests.doubles.wandb_store import Project, WandbStore
from tests.playbook_world import World, measured_begin
from tests.wandb_world import ENTITY, KEY, PROJECT, Naps, endpoint
from tests.workshop import call, refusal

pytestmark = [pytest.mark.anyio, pytest.mark.services]

ONLINE = {"WANDB_API_KEY": KEY, "WANDB_ENTITY": ENTITY}


class Closed:
    """A beginning that was tracked at W&B, measured, and stopped.

    Args:
        folder: Gets the artifacts.
    """

    def __init__(self, folder: Path) -> None:
        self.world, self.folder = World(folder), folder
        self.services = Services(Settings(artifacts=self.world.workspace.root), ONLINE)
        self.store = WandbStore(entity=ENTITY)
        self.project: Project = self.store.project(ENTITY, PROJECT)

    def playbook(self) -> Client:
        return Client(build_room(self.world.workspace, self.world.task, self.services).server)

    async def make(self) -> "Closed":
        async with self.playbook() as playbook:
            self.cycle = await measured_begin(self.world, playbook)
            await call(playbook, "write_report", cycle=self.cycle, stop_reason="looked at, and left")
        return self

    @contextmanager
    def hosted(self, **ways: Any) -> Iterator[Hosted]:
        with Hosted(OfficialServer(self.store, Ways(**ways)), KEY) as server:
            yield server

    async def publish(self, server: Hosted) -> Published:
        """What a run does after it closed a cycle."""
        artifacts = self.world.workspace.root
        playbook = own_servers(artifacts, None, None, ONLINE)["playbook"]
        wandb = endpoint(WandbSettings(url=server.url))
        async with connect({"playbook": playbook, "wandb": wandb}, self.folder / "log") as sessions:
            patience = Patience(sleep=Naps().sleep, call_s=30)
            desk = Desk(sessions, Ledger(artifacts), Progress(io.StringIO()), patience)
            return await publish(desk, self.cycle, artifacts)

    async def noted(self) -> str | None:
        async with self.playbook() as playbook:
            url: str | None = (await call(playbook, "get_cycle", cycle=self.cycle))["wandb_report"]
        return url


def without_times(draft: str) -> str:
    """A draft without the seconds, to which the calls after the closing add."""
    before, mark, after = draft.partition("## Money and time")
    assert mark
    return before + after.partition("## Lineage")[2]


@pytest.fixture
async def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Closed:
    monkeypatch.setenv("WANDB_APP_URL", PAGES)
    return await Closed(tmp_path).make()


async def test_the_report_is_written_once_with_the_words_of_the_draft_and_its_address_is_noted(closed: Closed):
    """Ours: the program hands it over word for word; asked again, nothing is written twice."""
    with closed.hosted() as server:
        first = await closed.publish(server)
        second = await closed.publish(server)

    (written,) = closed.project.reports
    assert first == second == Published(first.url, None)
    assert f'href="{first.url}"' in closed.world.text("wandb", "report.html")
    assert first.url == await closed.noted() and str(first.url).startswith(f"{PAGES}/{ENTITY}/{PROJECT}/reports/")
    assert without_times(written["markdown_report_text"]) == without_times(
        closed.world.text("wandb", "report_draft.md")
    )
    assert {panel["type"] for panel in written["panels"]} == {"line", "bar"}
    assert closed.cycle in written["displayName"] and "stopped" in written["displayName"]


async def test_get_cycle_says_that_a_report_is_wanted_until_it_is_there(closed: Closed):
    """Ours: whoever works by hand sees the same step as the program."""
    async with closed.playbook() as playbook:
        before = (await call(playbook, "get_cycle", cycle=closed.cycle))["next_steps"]
        url = f"{PAGES}/{ENTITY}/{PROJECT}/reports/by-hand--Vmlldzo1"
        await call(playbook, "write_report", cycle=closed.cycle, wandb_report=url)
        after = await call(playbook, "get_cycle", cycle=closed.cycle)

    assert [step["tool"] for step in before] == ["read_evidence", "open_cycle"]
    assert before[0]["arguments"] == {"ref": f"report:{closed.cycle}"}
    assert [step["tool"] for step in after["next_steps"]] == ["open_cycle"] and after["wandb_report"] == url


@pytest.mark.parametrize("form", ["graphql", "structured", "both"])
async def test_a_report_whose_reply_was_lost_is_found_again(closed: Closed, form: str):
    """Ours: writing is not repeatable, so W&B is asked before it is done again."""
    with closed.hosted(form=form) as server:
        server.official.go_wrong("lost", on=REPORT)
        lost = await closed.publish(server)
        found = await closed.publish(server)

    assert lost.url is None and "not known" in str(lost.problem)
    assert found.problem is None and found.url == await closed.noted()
    (written,) = closed.project.reports
    assert str(found.url).endswith(f"--{written['id']}")


async def test_a_report_that_never_arrived_is_written(closed: Closed):
    """Ours: W&B has none of this title, so there is nothing to be doubled."""
    with closed.hosted() as server:
        server.official.go_wrong("hang up", on=REPORT)
        assert (await closed.publish(server)).url is None
        again = await closed.publish(server)

    assert again.url == await closed.noted() and len(closed.project.reports) == 1


async def test_where_wandb_does_not_say_nothing_is_written_a_second_time(closed: Closed):
    """Ours: a report too few is told of, and a person can note it; one too many cannot be taken back."""
    for number in range(50):
        closed.project.add_report(f"another one, {number}")
    with closed.hosted() as server:
        server.official.go_wrong("hang up", on=REPORT)
        await closed.publish(server)
        full = await closed.publish(server)
        server.official.go_wrong("error", on=RUNS)
        silent = await closed.publish(server)

    assert "there may be more" in str(full.problem) and "note the address with write_report" in str(full.problem)
    assert "the service said no" in str(silent.problem)
    assert len(closed.project.reports) == 50 and await closed.noted() is None


async def test_a_busy_server_is_asked_again_and_a_refusal_is_one_line(closed: Closed):
    """Ours: a report that cannot be written fails no cycle."""
    with closed.hosted() as server:
        server.official.go_wrong("is_error", on=REPORT, value="Error creating report: 403 permission denied\nby W&B")
        refused = await closed.publish(server)
        server.official.go_wrong("busy", on=REPORT, times=2)
        written = await closed.publish(server)

    assert refused.url is None and "403 permission denied by W&B" in str(refused.problem)
    assert written.url is not None and len(closed.project.reports) == 1


async def test_a_reply_that_names_another_host_leads_nowhere_else(closed: Closed):
    """Ours: the address becomes a link on the page, and W&B's pages are where W&B is; no reply moves them."""
    lie = f"https://evil.example/{ENTITY}/{PROJECT}/reports/x--Vmlldzo1?next=https://evil.example#top"
    with closed.hosted() as server:
        server.official.go_wrong("not json", on=REPORT, value=f"Report created: {lie}.")
        written = await closed.publish(server)

    assert written == Published(f"{PAGES}/{ENTITY}/{PROJECT}/reports/x--Vmlldzo1", None)
    assert "evil.example" not in closed.world.text("wandb", "report.html")


async def test_a_server_without_the_tool_is_named(closed: Closed):
    """Ours: some profiles of the official server only read."""
    with closed.hosted(lacks=(REPORT,)) as server:
        assert await closed.publish(server) == Published(None, f"the W&B MCP server that is connected has no {REPORT}")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        f"{PAGES}/somebody/else/reports/x--Vmlldzo1",
        f"https://user:word@wandb.example/{ENTITY}/{PROJECT}/reports/x--Vmlldzo1",
        f"{PAGES}/{ENTITY}/{PROJECT}/runs/1",
        f"{PAGES}/{ENTITY}/{PROJECT}/reports/<b>--Vmlldzo1",
        "",
    ],
)
async def test_only_a_report_of_the_own_project_is_noted(closed: Closed, url: str):
    """Ours: the address becomes a link on the page, so it is no place for other words."""
    async with closed.playbook() as playbook:
        words = await refusal(playbook, "write_report", cycle=closed.cycle, wandb_report=url)

    assert f"no report of {ENTITY}/{PROJECT}" in words and await closed.noted() is None
