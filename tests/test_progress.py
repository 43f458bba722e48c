"""How far a call is reaches a client that asked for it: seldom, ever growing, and without a word to anybody else."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters

from servers.catalogue import all_servers
from servers.core.job_files import begin_attempt, try_lock, write_wire
from servers.core.progress import tell, telling
from servers.core.services import Services
from servers.core.settings import PromptSettings, Settings
from servers.core.workspace import Workspace
from servers.eval.server import build_room as build_eval
from servers.retrain.server import build_room as build_retrain
from tests.asking_world import KEY, endpoint, sample_job
from tests.doubles.mistral import serve_answers
from tests.doubles.mistral_answers import Answers
from tests.doubles.telling import telling_room
from tests.judge_world import KOTONE, candidate_in
from tests.playbook_world import World
from tests.workshop import call

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent
LIMIT_S = 20.0
Mode = Literal["legacy", "auto"]
Heard = list[tuple[float, float | None, str | None]]
ROWS = [(float(k), 40.0, f"{k} of 40 rows") for k in range(40)]


async def listened(client: Client, tool: str, **arguments: Any) -> Heard:
    """What a client hears while a tool works."""
    heard: Heard = []

    async def hear(done: float, total: float | None, words: str | None) -> None:
        heard.append((done, total, words))

    result = await client.call_tool(tool, arguments, progress_callback=hear)
    assert not result.is_error, result.content
    await anyio.sleep(0)  # what came before the result has been handed over by then
    return heard


@asynccontextmanager
async def served(how: str, folder: Path, mode: Mode) -> AsyncIterator[Client]:
    """A client of a telling room that is a process of its own."""
    command = [sys.executable, "-m", "tests.doubles.telling", str(folder)]
    if how == "stdio":
        async with Client(StdioServerParameters(command=command[0], args=command[1:], cwd=ROOT), mode=mode) as client:
            yield client
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([*command, str(port)], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            await until(lambda: is_open(port))
            async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
                yield client
        finally:
            process.kill()


def is_open(port: int) -> bool:
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == 0


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(LIMIT_S):
        while not happened():
            await anyio.sleep(0.02)


@pytest.mark.parametrize(
    ("how", "mode"),
    [
        ("stdio", "legacy"),
        ("http", "auto"),
        pytest.param("stdio", "auto", marks=pytest.mark.services),
        pytest.param("http", "legacy", marks=pytest.mark.services),
    ],
)
async def test_progress_comes_over_the_wire_in_old_and_new_versions(how: str, mode: Mode, tmp_path: Path):
    """MCP: notifications/progress for a call with a token, values growing; none for one without.

    Ours: at most five a second, and a client that gave up hears no more while the work goes on to its end.
    """
    async with served(how, tmp_path, mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        started = time.monotonic()
        heard = await listened(client, "work", steps=ROWS, pause_s=0.02)
        took = time.monotonic() - started
        nothing = await client.call_tool("work", {"steps": ROWS[:3], "pause_s": 0})
        late: Heard = []

        async def hear(done: float, total: float | None, words: str | None) -> None:
            late.append((done, total, words))

        with pytest.raises(MCPError, match="timed out"):
            arguments = {"steps": ROWS, "pause_s": 0.02, "number": 1}
            await client.call_tool("work", arguments, progress_callback=hear, read_timeout_seconds=0.3)
        before = len(late)
        await until((tmp_path / "done-1").exists)
        again = await client.call_tool("work", {"steps": ROWS[:1], "pause_s": 0})

    values = [value for value, _, _ in heard]
    assert values == sorted(set(values)) and {total for _, total, _ in heard} == {40.0}
    assert heard[0] == (0.0, 40.0, "0 of 40 rows") and 3 <= len(heard) <= took * 5 + 1
    assert not nothing.is_error and not again.is_error
    assert before <= 3 and len(late) == before


async def test_what_does_not_grow_is_moved_on_by_a_hair_and_never_past_the_total(tmp_path: Path):
    """MCP: the value increases with each notification. Ours: words of others are cleaned and cut."""
    steps = [
        (5.0, 10.0, "five"),
        (3.0, 10.0, "begun again\u202e\n" + "x" * 500),
        (3.0, 10.0, "begun again"),
        (9.0, None, "nobody knows of how much"),
        (10.0, 10.0, "all"),
        (10.0, 10.0, "still at it"),
    ]

    async with Client(telling_room(tmp_path).server, mode="legacy") as client:
        heard = await listened(client, "work", steps=steps, pause_s=0.21)

    values = [value for value, _, _ in heard]
    assert values == [5.0, 5.001, 5.002, 9.0, 10.0] == sorted(set(values))
    assert [total for _, total, _ in heard] == [10.0, 10.0, 10.0, None, 10.0]
    assert heard[1][2] and len(heard[1][2]) == 200 and heard[1][2].startswith("begun again xxx")


async def test_a_client_that_is_gone_is_no_error(tmp_path: Path):
    """Ours: the connection ends in the middle of a call; the work is finished, and the next client is served."""
    server = telling_room(tmp_path).server

    async def call_it(client: Client) -> None:
        await listened(client, "work", steps=ROWS, pause_s=0.01)

    async with Client(server, mode="legacy") as client, anyio.create_task_group() as calls:
        calls.start_soon(call_it, client)
        await anyio.sleep(0.1)
        calls.cancel_scope.cancel()
    async with Client(server, mode="legacy") as client:
        await until((tmp_path / "done-0").exists)
        assert await listened(client, "work", steps=ROWS[:1], pause_s=0) == [(0.0, 40.0, "0 of 40 rows")]


def test_telling_costs_nothing_where_nobody_listens():
    """Ours: a core that is used without a server tells nobody, and a listener hears only what is done inside."""
    heard: Heard = []

    def listener(done: float, total: float | None, words: str) -> None:
        heard.append((done, total, words))

    tell(1, 2, "to nobody")
    with telling(listener):
        tell(1, 2, "to somebody")
    tell(2, 2, "to nobody")

    assert heard == [(1, 2, "to somebody")]


async def test_tools_that_take_a_while_say_what_they_are_at(folder: Path):
    """Ours: measuring, diagnosing and judging tell their steps; of the sealed rows only how many there are."""
    async with Client(all_servers(folder)["eval"], mode="legacy") as judge:
        diagnosed = await listened(judge, "diagnose_dataset", cycle="begin_mine")
        measured = await listened(judge, "evaluate_model", cycle="begin_mine", model="rule")
        judged = await listened(judge, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    assert diagnosed == []  # it was diagnosed before, and nothing is done again
    assert measured[0][2] and re.fullmatch(r"\d+ of 24 rows answered", measured[0][2])
    assert judged[0] == (0.0, 4.0, "looking at the candidate and what it was trained on")
    numbers = {number for _, _, words in judged for number in re.findall(r"\d[\d.]*", words or "")}
    assert numbers <= {"36"}


async def test_waiting_for_a_job_tells_its_steps_in_its_own_words(tmp_path: Path):
    """Ours: get_job with wait_s is a call that waits, so it says how far the training is."""
    world = World(tmp_path)
    job = sample_job(world.workspace.job_dir("sample-1"), endpoint("http://127.0.0.1:9"))
    lock = try_lock(job)
    assert lock is not None
    queued = begin_attempt(job)

    async def train() -> None:
        for step in (1, 2, 3):
            await anyio.sleep(0.25)
            update = {"state": "running", "step": step, "of": 3, "message": f"epoch {step}"}
            write_wire(job / "status.json", queued.model_copy(update=update))

    room = build_retrain(world.workspace, world.task)
    async with Client(room.server, mode="legacy") as client, anyio.create_task_group() as working:
        working.start_soon(train)
        heard = await listened(client, "get_job", job_id="sample-1", wait_s=1.2)
    os.close(lock)

    assert heard[0] == (0.0, None, "starting") and heard[-1] == (3.0, 3.0, "epoch 3")


@pytest.mark.services
async def test_a_model_that_answers_in_a_job_tells_how_many_rows_it_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ours: sample_model waits a quarter of a minute a call, and a client sees the rows go by."""
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)  # for the job, which inherits the server's environment
    world, answers = World(tmp_path), Answers()
    answers.faults = [("silence", 0.15)] * 25  # warm-up and rows, so that half of them are seen to be done
    with serve_answers(answers, api_key=KEY) as double:
        settings = Settings(prompt=PromptSettings(model="ministral-3b-2512", concurrency=1))
        services = Services(settings, {"MISTRAL_SERVER_URL": double.url, "MISTRAL_API_KEY": KEY})
        async with world.playbook() as playbook:
            cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        room = build_eval(Workspace(world.workspace.root), KOTONE, services)
        async with Client(room.server, mode="legacy") as client:
            heard = await listened(client, "sample_model", cycle=cycle, model="prompt", split="diagnose")

    assert {total for _, total, _ in heard} <= {None, 20.0} and len(heard) >= 3
    assert heard[-1][0] > 1, heard
