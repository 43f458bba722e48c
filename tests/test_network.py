"""All servers over HTTP, with the real SDK's client: where each is, what they are together, and who sees what."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import PromptReference, ToolAnnotations

from servers.catalogue import all_tools
from servers.core.backends import STAND_IN
from servers.network import sessions, traffic
from tests.network_world import BOTH, HELLO, READER, SECRET, open_house, open_shed, said
from tests.workshop import Workshop, call, refusal

pytestmark = pytest.mark.anyio
ROOMS = ("eval", "augment", "retrain", "playbook", "wandb")
ERAS = ("legacy", "auto")


def ledger(folder: Path, room: str) -> list[str]:
    """The tools that a room wrote down."""
    file = folder / "ledger" / f"{room}.jsonl"
    return [json.loads(line)["tool"] for line in file.read_text().splitlines()] if file.exists() else []


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.parametrize("mode", ERAS)
async def test_each_server_is_at_its_own_path_and_all_of_them_at_one(tmp_path: Path, mode: Any):
    """Ours: a client that takes one URL has everything; MCP: protocol versions old and new."""
    expected = {room: {tool.name for tool in tools} for room, tools in (await all_tools()).items()}

    async with open_house(tmp_path) as house:
        found = {}
        for room in ROOMS:
            async with house.client(f"/{room}/mcp", mode=mode) as client:
                found[room] = await names(client)
        async with house.client(mode=mode) as client:
            together, info = await names(client), client.server_info

    assert found == expected
    assert together == set().union(*expected.values()) and len(together) == sum(map(len, expected.values()))
    assert info is not None and info.name == "etude"


async def test_a_call_to_all_of_them_lands_in_its_own_rooms_ledger(tmp_path: Path):
    """Ours: one entry, and still each server's own locks, refusals and ledger."""
    async with open_house(tmp_path) as house, house.client() as client:
        assert (await call(client, "describe_task"))["task"] == "kotone"
        assert "list_jobs takes no argument 'of'; it takes" in await refusal(client, "list_jobs", limit=1, of="x")
        assert await refusal(client, "dance") == "Unknown tool: dance"
        await call(client, "count_weave_traces_tool", entity_name="local", project_name="demo")

    assert {room: ledger(tmp_path, room) for room in ROOMS} == {
        "eval": ["describe_task"],
        "augment": [],
        "retrain": ["list_jobs"],
        "playbook": [],
        "wandb": ["count_weave_traces_tool"],
    }


async def test_the_w_and_b_stand_in_is_there_only_where_tracking_is_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ours: nothing stands in for a service that is in use."""
    async with open_house(tmp_path) as house, house.client() as client:
        assert STAND_IN in (client.instructions or "") and "query_wandb_tool" in await names(client)

    monkeypatch.setenv("WANDB_API_KEY", "w" * 40)
    async with open_house(tmp_path) as house, house.client() as client:
        assert STAND_IN not in (client.instructions or "") and "query_wandb_tool" not in await names(client)
        assert (await house.ask(path="/wandb/mcp")).status_code == 404


async def test_a_beginning_can_be_gone_through_with_one_client_at_one_url(tmp_path: Path):
    """Ours: who has one entry in a chat client can do everything that get_cycle asks for."""
    async with open_house(tmp_path) as house, house.client() as client:
        shop = Workshop(tmp_path)
        shop.use(client, await names(client))
        await shop.call("prepare_dataset", dataset="demo")
        cycle = (await shop.call("open_cycle", dataset="demo"))["cycle"]
        done = await shop.follow(cycle, until="diagnose_dataset")

    assert "record_context" in done and "query_wandb_tool" in done
    snapshot = json.loads((tmp_path / "loop" / cycle / "mcp_eval_snapshot.json").read_text())
    assert (snapshot["server"]["name"], snapshot["server"]["kind"]) == ("etude", "stand-in")


async def test_prompts_resources_and_completions_of_every_room_are_in_one_place(tmp_path: Path):
    """Ours: what a room has to read and to say, the server that has them all has as well."""
    everything = []
    async with open_house(tmp_path, environment=BOTH) as house:
        for path in ("/mcp", *(f"/{room}/mcp" for room in ROOMS)):
            async with house.client(path, token=READER) as client:
                prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
                templates = await client.list_resource_templates()
                everything.append((prompts, {one.uri_template for one in templates.resource_templates}))
        async with house.client(token=SECRET) as client:
            await call(client, "prepare_dataset", dataset="demo")
            task = (await client.read_resource("etude://task")).contents[0]
            prompt = await client.get_prompt("run_cycle", {"dataset": "demo"})
            ref = PromptReference(type="ref/prompt", name="run_cycle")
            proposed = await client.complete(ref, {"name": "dataset", "value": "d"})
            with pytest.raises(MCPError, match="no document is named like 'etude://nothing'"):
                await client.read_resource("etude://nothing")

    together, *each = everything
    assert together == (set().union(*(one[0] for one in each)), set().union(*(one[1] for one in each)))
    assert {"run_cycle", "explain_failures"} <= together[0] and "etude://cycles/{cycle}/report" in together[1]
    assert '"kotone"' in str(getattr(task, "text", "")) and prompt.messages and proposed.completion.values == ["demo"]


@pytest.mark.parametrize("mode", ERAS)
async def test_several_clients_work_at_once(tmp_path: Path, mode: Any):
    """Ours: a person in a chat client and an agent may share a server."""
    answers: list[str] = []

    async with open_house(tmp_path, environment=BOTH) as house:

        async def work(token: str) -> None:
            async with house.client(token=token, mode=mode) as client:
                for _ in range(3):
                    answers.append((await call(client, "describe_task"))["task"])

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(work, (SECRET, READER)[number % 2])

    assert answers == ["kotone"] * 18


@pytest.mark.parametrize("mode", ERAS)
async def test_a_read_only_token_is_shown_only_tools_that_change_nothing(tmp_path: Path, mode: Any):
    """Ours: a model does not plan with what it may not call; a call all the same is answered with what is missing."""
    reading = {
        tool.name
        for tools in (await all_tools()).values()
        for tool in tools
        if tool.annotations and tool.annotations.read_only_hint
    }

    async with open_house(tmp_path, environment=BOTH) as house:
        async with house.client(token=READER, mode=mode) as client:
            assert await names(client) == reading
            assert (await call(client, "describe_task"))["task"] == "kotone"
            with pytest.raises(MCPError, match="this token may only read, and 'prepare_dataset' is none"):
                await client.call_tool("prepare_dataset", {"dataset": "demo"})
        async with house.client(token=SECRET, mode=mode) as client:
            assert reading < await names(client)
            await call(client, "prepare_dataset", dataset="demo")


async def test_a_session_is_of_use_only_to_the_token_that_opened_it(tmp_path: Path):
    """MCP: a session's id is no password."""
    async with open_house(tmp_path, environment=BOTH) as house:
        session = (await house.ask(HELLO, token=SECRET)).headers["mcp-session-id"]
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        answers = {
            token: (await house.ask(ping, token=token, headers={"mcp-session-id": session})).status_code
            for token in (SECRET, READER)
        }

    assert answers == {SECRET: 200, READER: 404}


def clockwork() -> MCPServer[Any]:
    """A server whose tools take a while, say how far they are, or fail."""
    server: MCPServer[Any] = MCPServer("clockwork", log_level="CRITICAL")

    @server.tool()
    async def count(ctx: Context) -> str:
        for step in range(3):
            await ctx.report_progress(step, 3, f"step {step}")
        return "counted"

    @server.tool()
    async def wait(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "waited"

    return server


@pytest.mark.parametrize("mode", ERAS)
async def test_progress_arrives_while_a_tool_works(tmp_path: Path, mode: Any):
    """MCP: notifications ride on the stream that the answer will come on."""
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with open_shed(tmp_path, clockwork()) as shed, shed.client(mode=mode) as client:
        result = await client.call_tool("count", {}, progress_callback=hear)

    assert not result.is_error and heard == [(0, "step 0"), (1, "step 1"), (2, "step 2")]


async def test_a_session_that_nobody_uses_ends(tmp_path: Path):
    """Ours: clients that went away without a word cost nothing after a while."""
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with open_shed(tmp_path, clockwork(), session_idle_s=0.2) as shed:
        session = {"mcp-session-id": (await shed.ask(HELLO)).headers["mcp-session-id"]}
        assert (await shed.ask(ping, headers=session)).status_code == 200
        with anyio.fail_after(10):
            while (answer := await shed.ask(ping, headers=session)).status_code == 200:
                await anyio.sleep(0.3)

    assert answer.status_code == 404 and "Session not found" in said(answer)


async def test_a_call_under_way_is_finished_before_the_server_stops_and_nothing_new_is_taken(tmp_path: Path):
    """Ours: who supervises sees it at once, and no work is lost."""
    async with open_shed(tmp_path, clockwork()) as shed:
        answers: list[Any] = []

        async def work() -> None:
            async with shed.client() as client:
                await client.list_tools()  # or it would ask for them after the call, when the server is gone
                answers.append(await client.call_tool("wait", {"seconds": 1.0}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            with anyio.fail_after(10):
                while not shed.entrance.traffic.calls:
                    await anyio.sleep(0.01)
            shed.stop.set()
            await anyio.sleep(0.05)
            ready, health = [await shed.ask(path=path, method="GET") for path in ("/ready", "/health")]
            assert (ready.status_code, health.status_code) == (503, 200)
            refused = await shed.ask(HELLO)
            assert refused.status_code == 503 and "is being stopped" in said(refused)
            assert refused.headers["retry-after"] == "5"
        with anyio.fail_after(10):
            await shed.stopped.wait()

    assert answers[0].content[0].text == "waited" and shed.cut == 0


async def test_streams_end_when_the_server_stops(tmp_path: Path):
    """Ours: a client that only listens keeps no server alive, and its stream ends instead of breaking."""
    async with open_shed(tmp_path, clockwork()) as shed:
        session = {"mcp-session-id": (await shed.ask(HELLO)).headers["mcp-session-id"]}
        listening = anyio.Event()
        ended: list[int] = []

        async def listen() -> None:
            async with (
                httpx2.AsyncClient(timeout=20) as http,
                http.stream("GET", shed.url + "/mcp", headers={"accept": "text/event-stream"} | session) as stream,
            ):
                listening.set()
                await stream.aread()  # raises where the connection breaks in the middle
                ended.append(stream.status_code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await listening.wait()
            shed.stop.set()
            with anyio.fail_after(10):
                await shed.stopped.wait()

    assert ended == [200]


async def test_who_may_only_read_takes_no_room_from_who_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bug: a hundred sessions that the read-only token opened and left kept the other token out for half an hour."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    async with open_shed(tmp_path, clockwork(), environment=BOTH) as shed:
        left = [(await shed.ask(token=READER)).status_code for _ in range(12)]
        kept = await shed.ask(token=SECRET)

    assert {kept.status_code, *left} == {200}


async def test_of_the_sessions_that_a_client_left_the_longest_unused_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Bug: a client that connected anew each time, and never ended a session, was locked out after the hundredth."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with open_shed(tmp_path, clockwork()) as shed:

        async def opened() -> dict[str, str]:
            return {"mcp-session-id": (await shed.ask()).headers["mcp-session-id"]}

        first, second = await opened(), await opened()
        await shed.ask(ping, headers=first)
        third = await opened()
        answers = [(await shed.ask(ping, headers=one)).status_code for one in (first, second, third)]

    assert answers == [200, 404, 200]


async def test_a_session_in_use_does_not_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: a call under way, or a client that listens, is not thrown out for somebody who comes later."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    wait = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "wait", "arguments": {"seconds": 1}}}
    async with open_shed(tmp_path, clockwork()) as shed:
        session = {"mcp-session-id": (await shed.ask()).headers["mcp-session-id"]}
        answers: list[str] = []

        async def working() -> None:
            answers.append((await shed.ask(wait, headers=session)).text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(working)
            with anyio.fail_after(10):
                while not shed.entrance.traffic.calls:
                    await anyio.sleep(0.01)
            late = await shed.ask()

    assert late.status_code == 503 and "waited" in answers[0]


async def test_who_may_only_read_can_keep_half_of_the_server_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: whoever has the lesser token, and holds all that it can get, leaves room for the other."""
    monkeypatch.setattr(traffic, "MAX_REQUESTS", 2)
    server, released = clockwork(), anyio.Event()

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def hold() -> str:
        await released.wait()
        return "done"

    hold_it = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "hold", "arguments": {}}}
    async with open_shed(tmp_path, server, environment=BOTH) as shed:
        session = {"mcp-session-id": (await shed.ask(token=READER)).headers["mcp-session-id"]}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(shed.ask, hold_it, token=READER, headers=session))
            with anyio.fail_after(10):
                while not shed.entrance.traffic.calls:
                    await anyio.sleep(0.01)
            answers = {token: (await shed.ask(token=token)).status_code for token in (READER, SECRET)}
            released.set()

    assert answers == {READER: 503, SECRET: 200}
