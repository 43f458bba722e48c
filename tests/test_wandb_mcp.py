"""Reading an evaluation back through the official W&B MCP server: its forms, its limits, and the ways it goes wrong."""

import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.desk import StepFailed
from agent.sessions import ServerProblem
from agent.settings import WandbSettings
from servers.core.workspace import Workspace
from tests.doubles.wandb_mcp import OfficialServer, Ways
from tests.doubles.wandb_mcp_wire import Hosted
from tests.wandb_world import ENTITY, KEY, PROJECT, Measured, Naps, endpoint, measured

pytestmark = [pytest.mark.anyio, pytest.mark.services]

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A measured beginning whose context is not recorded yet."""
    return measured(tmp_path_factory.mktemp("measured"))


@pytest.fixture
def world(made: Measured, tmp_path: Path) -> Measured:
    """A copy of it for one test."""
    copy = shutil.copytree(made.world.workspace.root, tmp_path / "artifacts")
    there = object.__new__(type(made.world))
    there.__dict__ |= made.world.__dict__ | {"workspace": Workspace(copy)}
    return replace(made, world=there, naps=Naps())


@contextmanager
def hosted(world: Measured, **ways: Any) -> Iterator[Hosted]:
    """The official server at a URL, in front of a W&B that holds what was tracked."""
    with Hosted(OfficialServer(world.store(), Ways(**ways)), KEY) as server:
        yield server


async def read(world: Measured, server: Hosted, folder: Path) -> dict[str, Any]:
    return await world.read(endpoint(WandbSettings(url=server.url)), folder)


# --- what it gives, in every form


@pytest.mark.parametrize(
    "ways",
    [
        {"form": "graphql"},
        {"form": "structured"},
        {"form": "both"},
        {"spelling": "words around"},
        {"spelling": "json in json"},
        {"spelling": "python"},
        {"spelling": "only structured"},
        {"spelling": "no structured"},
        {"spelling": "two blocks"},
        {"says_more": True},
        {"says_more": False},
        {"tools_per_page": 1},
        {"digits": 3},
        {"empties": True},
        {"form": "structured", "empties": True, "digits": 2},
    ],
    ids=str,
)
async def test_every_form_of_an_honest_reply_becomes_the_same_snapshot(world: Measured, tmp_path: Path, ways: Any):
    """MCP: the schema says which form is taken; Ours: what is said counts, not how it is spelt."""
    with hosted(world, **ways) as server:
        handed = await read(world, server, tmp_path)

    snapshot = await world.recorded(handed)
    assert snapshot["server"] == {"name": "weave-mcp-server", "version": "1.14.0", "kind": "official"}
    assert [row["mae_raw"] for row in snapshot["failures_top_k"]] == pytest.approx(world.worst()[:20], abs=0.01)
    assert set(snapshot["eval_summary"]) == {"constant", "rule"}
    assert snapshot["trace_project_selected"] == f"{ENTITY}/{PROJECT}" and snapshot["truncated"] is False
    assert [call["tool"] for call in snapshot["calls"]][-2:] == [COUNTS, TRACES]
    assert world.naps.seconds == []


async def test_the_snapshot_names_the_calls_that_it_came_from_and_no_others(world: Measured, tmp_path: Path):
    """Ours: what failed on the way, and what nobody needed, is in the ledger, not in the evidence."""
    with hosted(world) as server:
        server.official.go_wrong("busy", on=COUNTS, times=2)
        server.official.go_wrong("not json", on=TRACES)
        handed = await read(world, server, tmp_path)
        asked = list(server.official.calls)

    assert (await world.recorded(handed))["failures_len"] >= 20
    kept = [(call["tool"], call["arguments"]) for call in handed["calls"]]
    assert all(call in asked for call in kept) and len(asked) == len(kept) + 3
    assert not any(call["is_error"] for call in handed["calls"])


# --- limits


@pytest.mark.parametrize(
    "ways",
    [
        {"sorts": False},
        {"refuses_sorting": True},
        {"full_limit": 7},
        {"full_limit": 7, "clamps": True},
        {"budget_tokens": 4000},
        {"budget_tokens": 2500},
        {"sorts": False, "budget_tokens": 6000},
        {"sorts": False, "form": "structured", "full_limit": 3},
    ],
    ids=str,
)
async def test_the_worst_rows_are_found_whatever_a_server_cannot_do(world: Measured, tmp_path: Path, ways: Any):
    """Ours: where it cannot sort, or shows little at once, all rows are listed and read by their ids."""
    with hosted(world, **ways) as server:
        handed = await read(world, server, tmp_path)

    snapshot = await world.recorded(handed)
    assert world.n == 50
    assert [row["mae_raw"] for row in snapshot["failures_top_k"]] == world.worst()[:20]
    assert len(handed["calls"]) <= 32


async def test_a_server_that_can_neither_sort_nor_give_single_rows_is_told_of(world: Measured, tmp_path: Path):
    """Ours: rather no evidence than some rows that happened to come."""
    with (
        hosted(world, sorts=False, knows_ids=False) as server,
        pytest.raises(StepFailed, match="the worst stay unknown"),
    ):
        await read(world, server, tmp_path)


# --- what is there only later


@pytest.mark.parametrize("late", [{RUNS: 6}, {COUNTS: 3}, {TRACES: 4}, {RUNS: 4, COUNTS: 2, TRACES: 2}], ids=str)
async def test_what_wandb_has_not_taken_in_yet_is_waited_for(world: Measured, tmp_path: Path, late: dict[str, int]):
    """MCP: Weave shows what was written some time later."""
    with hosted(world, shown_after=late) as server:
        handed = await read(world, server, tmp_path)

    assert [row["mae_raw"] for row in (await world.recorded(handed))["failures_top_k"]] == world.worst()[:20]
    assert 0 < sum(world.naps.seconds) <= 120


@pytest.mark.parametrize("never", [RUNS, COUNTS, TRACES])
async def test_what_never_comes_is_waited_for_within_bounds(world: Measured, tmp_path: Path, never: str):
    """Ours: the run ends with what is missing and what to do."""
    with (
        hosted(world, shown_after={never: 10**6}) as server,
        pytest.raises(StepFailed, match=r"after 120 s of waiting; .* etude sync .* nothing was spent .* goes on from"),
    ):
        await read(world, server, tmp_path)


async def test_more_traces_than_rows_are_no_evidence(world: Measured, tmp_path: Path):
    """Ours: waiting makes them no fewer."""
    store = world.store()
    project = store.project(ENTITY, PROJECT)
    for call in list(project.calls.values()):
        project.add_call("twice" + call["id"], **{k: v for k, v in call.items() if k != "id"})
    with (
        Hosted(OfficialServer(store), KEY) as server,
        pytest.raises(StepFailed, match=r"counts 100 root traces of eval-\w+, which has 50 rows"),
    ):
        await read(world, server, tmp_path)

    assert world.naps.seconds == []


# --- failures that pass


@pytest.mark.parametrize("tool", [RUNS, COUNTS, TRACES])
@pytest.mark.parametrize("wrong", ["not json", "half", "empty", "hang up", "500"])
async def test_a_failure_that_passes_is_asked_again(world: Measured, tmp_path: Path, tool: str, wrong: Any):
    """Ours: once is no reason to stop; a lost connection is made once more."""
    with hosted(world) as server:
        server.official.go_wrong(wrong, on=tool)
        handed = await read(world, server, tmp_path)

    assert [row["mae_raw"] for row in (await world.recorded(handed))["failures_top_k"]] == world.worst()[:20]


async def test_a_slow_reply_is_given_up_and_asked_for_once_more(world: Measured, tmp_path: Path):
    """Ours: every call has a limit of its own."""
    with hosted(world) as server:
        server.official.go_wrong("slow", on=TRACES, value=2.0)
        handed = await world.read(endpoint(WandbSettings(url=server.url)), tmp_path, call_s=0.4)
        assert handed["calls"][-1]["tool"] == TRACES

        server.official.go_wrong("slow", on=TRACES, times=9, value=2.0)
        with pytest.raises(ServerProblem, match=f"did not answer {TRACES} within 0.4 s"):
            await world.read(endpoint(WandbSettings(url=server.url)), tmp_path, call_s=0.4)


@pytest.mark.parametrize(("times", "ends"), [(3, "well"), (9, r"HTTP 429: too many at once; wait a minute")])
async def test_a_server_that_sends_everybody_away_is_come_back_to(
    world: Measured, tmp_path: Path, times: int, ends: str
):
    """MCP: the hosted server limits sessions and calls for each key."""
    with hosted(world) as server:
        server.official.go_wrong("429", on=COUNTS, times=times)
        if ends == "well":
            assert (await read(world, server, tmp_path))["calls"][-1]["tool"] == TRACES
        else:
            with pytest.raises(ServerProblem, match=ends):
                await read(world, server, tmp_path)
        assert server.requests.count(("tools/call", 429)) == min(times, 4)


async def test_what_somebody_asked_for_already_is_not_asked_again(world: Measured, tmp_path: Path):
    """Ours: a language model's own reads count."""
    with hosted(world) as server:
        given = (await read(world, server, tmp_path))["calls"]
        before = len(server.official.calls)
        again = await world.read(endpoint(WandbSettings(url=server.url)), tmp_path, given)

    assert again["calls"] == given and len(server.official.calls) == before


async def test_a_busy_server_is_left_alone_as_long_as_it_says_and_not_for_ever(world: Measured, tmp_path: Path):
    """MCP: server_busy carries its delay; a delay of hours is not obeyed."""
    with hosted(world) as server:
        server.official.go_wrong("busy", on=COUNTS, times=2, value=2500)
        server.official.go_wrong("busy", on=TRACES, times=1, value=10**9)
        await read(world, server, tmp_path)
        assert world.naps.seconds == [2.5, 2.5, 30.0]

        server.official.go_wrong("busy", on=RUNS, times=100)
        with pytest.raises(StepFailed, match="server_busy"):
            await read(world, server, tmp_path)


# --- failures that stay


@pytest.mark.parametrize(
    ("wrong", "on", "value", "words"),
    [
        ("errors", RUNS, None, "400 Client Error"),
        ("error", COUNTS, "Error counting traces: 403 Client Error: Forbidden", "403 .*WANDB_API_KEY"),
        ("is_error", RUNS, "An error occurred while verifying the API key.", "check that WANDB_API_KEY"),
        ("is_error", TRACES, None, "validation error"),
        ("null project", RUNS, None, "the project does not exist, or the key may not see it"),
        ("not json", COUNTS, "Sorry, I cannot do that.", "not a JSON object: 'Sorry"),
        ("half", TRACES, None, "not a JSON object"),
        ("401", TRACES, None, r"HTTP 401: it does not take the key"),
        ("403", COUNTS, None, r"HTTP 403: the key is not allowed"),
        ("500", COUNTS, None, "connected once more"),
        ("hang up", RUNS, None, "connected once more"),
        ("error", COUNTS, f"the key {KEY} was refused", r"the key \[key\] was refused"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_failure_that_stays_is_one_clear_line(
    world: Measured, tmp_path: Path, wrong: Any, on: str, value: str | None, words: str
):
    """Ours: what failed, what it means, what to do; never the key, and nothing is recorded."""
    with hosted(world) as server, pytest.raises((StepFailed, ServerProblem), match=words) as failed:
        server.official.go_wrong(wrong, on=on, times=10**6, value=value)
        await read(world, server, tmp_path)

    said = str(failed.value)
    assert on in said and "\n" not in said and len(said) < 1500 and KEY not in said
    assert not (world.world.workspace.cycle_dir(world.cycle) / "mcp_eval_snapshot.json").exists()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in everything


async def test_a_wrong_key_is_told_at_the_start_with_what_to_do(world: Measured, tmp_path: Path):
    """MCP: the hosted server answers 401 before any handshake."""
    with Hosted(OfficialServer(world.store()), "another key") as server, pytest.raises(ServerProblem) as failed:
        await read(world, server, tmp_path)

    assert "(HTTP 401: it does not take the key; see that the key is set" in str(failed.value)
    assert KEY not in str(failed.value) and {*server.requests} == {("POST", 401)}


@pytest.mark.parametrize("lacks", [(TRACES,), (COUNTS, TRACES)])
async def test_missing_tools_are_named_before_anything_is_done(world: Measured, tmp_path: Path, lacks: tuple[str, ...]):
    """MCP: profiles of the official server leave tools out."""
    with hosted(world, lacks=lacks) as server, pytest.raises(ServerProblem, match=f"lacks {', '.join(lacks)}, which"):
        await read(world, server, tmp_path)

    assert server.official.calls == []


# --- the local server, over stdio


def local(world: Measured, folder: Path, **ways: Any) -> tuple[WandbSettings, Path]:
    """Settings that start the double as a child, and the file that it lives in."""
    file = folder / "official.pickle"
    file.write_bytes(pickle.dumps(OfficialServer(world.store(), Ways(**ways))))
    command = [sys.executable, "-m", "tests.doubles.wandb_mcp_wire", str(file)]
    return WandbSettings(command=command, start_limit_s=20), file


@pytest.mark.parametrize("form", ["graphql", "structured"])
async def test_the_local_server_is_read_over_stdio(world: Measured, tmp_path: Path, form: str):
    """MCP: words of its own on stdout are passed over; the key is in its environment."""
    settings, file = local(world, tmp_path, form=form)

    snapshot = await world.recorded(await world.read(endpoint(settings), tmp_path))

    assert [row["mae_raw"] for row in snapshot["failures_top_k"]] == world.worst()[:20]
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.with_suffix(".pid").read_text()), 0)


async def test_a_local_server_that_dies_is_started_once_more(world: Measured, tmp_path: Path):
    """Ours: one reconnection; dying again ends the run in one line, without the key that it wrote to its log."""
    settings, file = local(world, tmp_path)
    official = pickle.loads(file.read_bytes())
    official.go_wrong("hang up", on=COUNTS)
    file.write_bytes(pickle.dumps(official))
    handed = await world.read(endpoint(settings), tmp_path)
    assert [call["tool"] for call in handed["calls"]][-2:] == [COUNTS, TRACES]

    official.go_wrong("hang up", on=COUNTS, times=9)
    file.write_bytes(pickle.dumps(official))
    with pytest.raises(
        ServerProblem, match=r"died during count_weave.*connected once more.*the backend is gone"
    ) as failed:
        await world.read(endpoint(settings), tmp_path)
    assert KEY not in str(failed.value) and "[key]" in str(failed.value)
    assert KEY not in (tmp_path / "log" / "wandb.log").read_text()


async def test_a_server_that_never_answers_its_handshake_is_ended_within_its_limit(world: Measured, tmp_path: Path):
    """MCP: in front of a dead backend the official server never answers; it has a limit of its own."""
    settings, file = local(world, tmp_path, mute=True)

    with pytest.raises(ServerProblem, match=r"did not list its tools within 2 s"):
        await world.read(endpoint(settings.model_copy(update={"start_limit_s": 2.0})), tmp_path)

    with pytest.raises(ProcessLookupError):
        os.kill(int(file.with_suffix(".pid").read_text()), 0)
