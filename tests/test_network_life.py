"""A server over HTTP as a process: what becomes of calls and trainings when it stops; and an agent that uses it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio import to_thread
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from servers.core.workspace import Workspace
from tests.network_process import LIMIT_S, ROOT, started
from tests.network_world import BOTH, HELLO, SECRET, ask, bearer, said
from tests.test_network import names
from tests.workshop import Workshop, call

pytestmark = [pytest.mark.anyio, pytest.mark.services]
HTTP = ("all", "--http", "127.0.0.1:0")


def client_of(url: str, http: httpx2.AsyncClient) -> Client:
    return Client(streamable_http_client(url + "/mcp", http_client=http))


async def test_a_call_under_way_gets_its_answer_before_the_process_leaves(tmp_path: Path):
    """Ours: SIGTERM loses no call, refuses new ones, and the exit code is 0."""
    with started(tmp_path, *HTTP) as server:
        url, results = server.url, []
        async with httpx2.AsyncClient(timeout=LIMIT_S) as http, client_of(url, http) as client:
            await client.list_tools()

            async def work() -> None:
                results.append(await call(client, "prepare_dataset", dataset="demo"))

            async with anyio.create_task_group() as tasks:
                with Workspace(tmp_path / "artifacts").writing("a test"):
                    tasks.start_soon(work)
                    await to_thread.run_sync(server.wait_at, tmp_path / "artifacts" / ".lock")
                    server.process.send_signal(signal.SIGTERM)
                    await to_thread.run_sync(server.wait_for, r"stopping; calls under way \(1\) have 25 s")
                    assert (await http.get(url + "/ready")).status_code == 503
                    refused = await ask(url, HELLO)
                    assert refused.status_code == 503 and "try again" in said(refused)
            code = await to_thread.run_sync(server.process.wait, LIMIT_S)

    assert results[0]["dataset"] == "demo" and code == 0 and "cut off" not in server.log


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path):
    """Ours: who presses Ctrl-C twice means it."""
    with started(tmp_path, *HTTP) as server:
        url = server.url
        async with httpx2.AsyncClient(timeout=LIMIT_S) as http:
            with Workspace(tmp_path / "artifacts").writing("a test"):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(waits_for_the_lock, url, http)
                    await to_thread.run_sync(server.wait_at, tmp_path / "artifacts" / ".lock")
                    server.process.send_signal(signal.SIGINT)
                    await to_thread.run_sync(server.wait_for, "stopping")
                    before = time.monotonic()
                    code = await to_thread.run_sync(server.end, signal.SIGINT)
                    assert time.monotonic() - before < 5
                    tasks.cancel_scope.cancel()

    assert code == 130 and "stopped at once" in server.log


async def test_a_call_that_takes_too_long_is_cut_off_and_can_be_made_again(tmp_path: Path):
    """Ours: a supervisor does not have to kill the server, and what is on disk is whole."""
    settings = f"Settings(artifacts=Path({str(tmp_path / 'artifacts')!r}))"
    code = (
        "import sys\nfrom pathlib import Path\nfrom servers.core.settings import Settings\n"
        "from servers.network.arguments import parse\nfrom servers.network.over_http import prepared\n"
        "from servers.network.serving import run\n"
        f"sys.exit(run(lambda: prepared(parse({list(HTTP)!r}), {settings}), grace_s=0.3))\n"
    )
    with started(tmp_path, command=[sys.executable, "-c", code]) as server:
        url = server.url
        async with httpx2.AsyncClient(timeout=LIMIT_S) as http:
            with Workspace(tmp_path / "artifacts").writing("a test"):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(waits_for_the_lock, url, http)
                    await to_thread.run_sync(server.wait_at, tmp_path / "artifacts" / ".lock")
                    ended = await to_thread.run_sync(server.end, signal.SIGTERM)
                    tasks.cancel_scope.cancel()
    log = server.log
    with started(tmp_path, *HTTP) as again:
        async with httpx2.AsyncClient(timeout=LIMIT_S) as http, client_of(again.url, http) as client:
            assert (await call(client, "prepare_dataset", dataset="demo"))["dataset"] == "demo"

    assert ended == 0 and "calls cut off: 1; the same calls go on" in log


async def waits_for_the_lock(url: str, http: httpx2.AsyncClient) -> None:
    """A call that gets no answer, because the test holds the lock until the server is gone."""
    try:
        async with client_of(url, http) as client:
            await client.call_tool("prepare_dataset", {"dataset": "demo"})
    except* (httpx2.HTTPError, MCPError):
        pass


async def test_a_training_lives_on_when_the_server_stops(tmp_path: Path):
    """Ours: a graceful shutdown loses no job; the server that is started next knows how it went."""
    shop = Workshop(tmp_path / "artifacts")
    with started(tmp_path, *HTTP, **BOTH) as server:
        async with (
            httpx2.AsyncClient(headers=bearer(SECRET), timeout=LIMIT_S) as http,
            client_of(server.url, http) as client,
        ):
            shop.use(client, await names(client))
            await shop.call("prepare_dataset", dataset="demo")
            cycle = (await shop.call("open_cycle", dataset="demo"))["cycle"]
            await shop.follow(cycle, until="start_retrain")
            await shop.move((await shop.call("get_cycle", cycle=cycle))["next_steps"])
            job = (await shop.call("list_jobs"))["jobs"][0]["job_id"]
        code = await to_thread.run_sync(server.end, signal.SIGTERM)
    with started(tmp_path, *HTTP, **BOTH) as again:
        async with (
            httpx2.AsyncClient(headers=bearer(SECRET), timeout=LIMIT_S) as http,
            client_of(again.url, http) as client,
        ):
            found = await call(client, "get_job", job_id=job, wait_s=20)

    assert code == 0 and found["state"] == "succeeded"


async def test_the_agent_turns_a_cycle_over_http(tmp_path: Path):
    """Ours: a run needs nothing but MCP, so the servers may be on another machine."""
    with started(tmp_path, *HTTP, **BOTH) as server:
        servers = {"etude": {"url": server.url + "/mcp", "headers": {"Authorization": "Bearer ${ETUDE_TOKEN}"}}}
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        words = ["cycle", "--cycles", "1", "--brain", "offline", "--json", "--mcp", str(tmp_path / "mcp.json")]
        ran = await to_thread.run_sync(
            lambda: subprocess.run(
                [sys.executable, "-m", "agent.cli", *words, "--artifacts", str(tmp_path / "agent")],
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin", **BOTH},
                capture_output=True,
                text=True,
                timeout=180,
            )
        )

    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout)
    assert outcome["backends"]["wandb_mcp"] == "stand-in" and len(outcome["cycles"]) == 1
    assert SECRET not in server.log + ran.stdout + ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_over_stdio_a_signal_ends_it_at_once(number: signal.Signals, tmp_path: Path):
    """Bug: Ctrl-C waited for a next line on stdin. Ours: nothing is left locked, and no traceback is shown."""
    with started(tmp_path, "all") as server:
        assert server.process.stdin is not None and server.process.stdout is not None
        server.process.stdin.write(json.dumps(HELLO) + "\n")
        server.process.stdin.flush()
        assert json.loads(server.process.stdout.readline())["result"]["serverInfo"]["name"] == "etude"
        code = server.end(number)

    assert code == -number and "Traceback" not in server.log
    with Workspace(tmp_path / "artifacts").writing("a test", wait_s=0.0):
        pass
