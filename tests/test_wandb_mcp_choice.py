"""Which W&B MCP server a run asks, what it gives away of the key, and that a failing one costs nothing."""

from pathlib import Path
from typing import Any

import pytest

from agent.cli import run
from agent.endpoints import Http, Stdio
from agent.settings import WandbSettings, load_settings
from agent.wandb_server import COMMAND, HOSTED, official
from tests.doubles.brains import Said
from tests.doubles.careful import Careful
from tests.doubles.conversation import Conversation
from tests.doubles.house import rooms
from tests.doubles.house_world import World
from tests.doubles.mistral import MistralDouble
from tests.doubles.wandb_mcp import OfficialServer
from tests.doubles.wandb_mcp_wire import Hosted
from tests.doubles.wandb_store import WandbStore
from tests.mistral_world import brain_at
from tests.mistral_world import run as run_with
from tests.test_agent_cli import house
from tests.wandb_world import KEY

READS = ["query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"]
USED = [*READS, "create_wandb_report_tool"]
WITH_KEY = {"WANDB_API_KEY": KEY}


@pytest.mark.parametrize(
    ("settings", "tracking", "environment", "place"),
    [
        ({}, {}, {}, None),
        ({}, {"backend": "local"}, WITH_KEY, None),
        ({"mcp": "stand-in"}, {}, WITH_KEY, None),
        ({}, {}, WITH_KEY, HOSTED),
        ({}, {"backend": "wandb"}, WITH_KEY, HOSTED),
        ({}, {}, WITH_KEY | {"WANDB_BASE_URL": "https://w.example.org/"}, "https://w.example.org/mcp"),
        ({"url": "https://u:p@m.example.org/mcp?k=1"}, {}, WITH_KEY, "https://m.example.org/mcp"),
        ({"command": ["serve", "--it"]}, {}, WITH_KEY, "serve, a process of this machine"),
        ({"mcp": "local"}, {}, WITH_KEY, "uvx, a process of this machine"),
        ({"mcp": "hosted", "command": ["serve"]}, {}, WITH_KEY, HOSTED),
    ],
)
def test_the_official_server_is_asked_where_there_is_a_key(
    settings: Any, tracking: Any, environment: dict[str, str], place: str | None
):
    """Ours: a key is enough, and the settings may say otherwise."""
    chosen = official(WandbSettings(**settings), tracking, environment)

    assert (None if chosen is None else chosen.place) == place
    if isinstance(chosen, Http):
        assert chosen.headers == {"Authorization": f"Bearer {KEY}"}
    assert chosen is None or (chosen.only == USED and KEY in chosen.secrets)


def test_the_local_server_gets_the_key_the_addresses_and_nothing_else():
    """MCP: it finds the traces of an instance only when told; its own reports are off."""
    environment = WITH_KEY | {"WANDB_BASE_URL": "https://w.example.org", "HF_TOKEN": "not yours", "HOME": "/x"}
    environment |= {"TIKTOKEN_CACHE_DIR": "/words"}  # without a web it looks for them there anew for every trace

    chosen = official(WandbSettings(mcp="local"), {}, environment)

    assert isinstance(chosen, Stdio) and [chosen.command, *chosen.args] == COMMAND
    assert chosen.env["WANDB_API_KEY"] == KEY and chosen.env["WF_TRACE_SERVER_URL"] == "https://w.example.org/traces"
    assert chosen.env["TIKTOKEN_CACHE_DIR"] == "/words"
    assert chosen.env["WANDB_ERROR_REPORTING"] == "false" and not {"HF_TOKEN", "HOME"} & set(chosen.env)


@pytest.mark.parametrize(
    ("settings", "tracking", "environment", "words"),
    [
        ({"mcp": "hosted"}, {}, {}, "mcp is 'hosted', which needs WANDB_API_KEY"),
        ({"mcp": "local"}, {"backend": "local"}, WITH_KEY, "W&B has nothing to read"),
    ],
)
def test_a_server_that_cannot_be_asked_is_refused_by_what_is_missing(
    settings: Any, tracking: Any, environment: dict[str, str], words: str
):
    """Ours: never another one in its place."""
    with pytest.raises(ValueError, match=words):
        official(WandbSettings(**settings), tracking, environment)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mpc = 'hosted'", "unknown key 'agent.wandb.mpc'; known: mcp, url, command, start_limit_s"),
        ("mcp = 'official'", "agent.wandb.mcp"),
        ("url = 'ftp://x'", "agent.wandb.url"),
        ("command = []", "agent.wandb.command"),
    ],
)
def test_a_mistake_in_the_table_is_refused_by_name(tmp_path: Path, line: str, words: str):
    """Ours: which file, which key."""
    (tmp_path / "etude.toml").write_text(f"[agent.wandb]\n{line}\n")

    with pytest.raises(ValueError, match=words):
        load_settings(tmp_path / "etude.toml", {}, {})


def test_only_the_tools_that_a_cycle_needs_are_taken_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """MCP: it has twenty others, and may have one that is called like ours."""
    with Hosted(OfficialServer(WandbStore()), KEY) as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.url.removesuffix("/mcp"))
        code = run(["tools", "wandb", "--artifacts", str(tmp_path)])

    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert all(tool in shown.out for tool in USED) and "get_job" not in shown.out
    assert KEY not in shown.out + shown.err


def test_a_failing_server_stops_the_run_before_it_spends_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: no rows are made and nothing is trained on evidence that is not there."""
    world, where = house(
        tmp_path, begun_already=True, refuse={"count_weave_traces_tool": "403 Client Error: Forbidden"}
    )

    assert run(["cycle", "--cycles", "1", *where]) == 1
    said, then = capsys.readouterr().err.splitlines()[-2:]
    assert then.startswith("next: etude cycle --cycles 1")
    assert said.startswith(
        "etude: step 'read back', tool count_weave_traces_tool: W&B MCP: 403 Client Error: Forbidden"
    )
    assert "check that WANDB_API_KEY" in said and "the same command goes on from here" in said
    assert not {"record_context", "augment_dataset", "start_retrain"} & set(world.calls)

    World(tmp_path / "world", refuse={})
    assert run(["cycle", "--cycles", "1", *where]) == 0
    assert world.calls.count("open_cycle") == 2 and world.calls.count("start_retrain") == 1


class Straight(Careful):
    """A model that asks W&B nothing, and has everything recorded."""

    def answer(self, body: Any) -> Said:
        seen, said = Conversation(body), super().answer(body)
        recording = seen.function("record_context")
        if recording and any(name.rpartition("__")[2] in READS for name, _ in said.calls):
            return Said("Record it.", [(recording, {"cycle": seen.cycle})])
        return said


@pytest.mark.anyio
async def test_what_a_language_model_did_not_ask_for_is_read_by_the_program(tmp_path: Path):
    """Ours: forms, pages and delays of W&B are no matter for thought; evidence is read by one code, whoever decides."""
    world = World(tmp_path / "world", begun_already=True, busy=1)

    with MistralDouble(Straight()) as double:
        await run_with(rooms(world), brain_at(double, tmp_path), tmp_path, "demo")

    recorded = world.arguments("record_context")[0]["calls"]
    assert [call["tool"] for call in recorded] == ["query_wandb_tool"] * 3 + READS[1:]
    wandb = [tool["function"] for body in double.requests for tool in body["tools"] if "wandb__" in str(tool)]
    assert wandb and max(len(function["description"]) for function in wandb) < 1_600
