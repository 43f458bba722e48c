"""`etude doctor`: set up or not, reachable or not, allowed or not, what to type, and never a key."""

import base64
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from servers.core.services import Services
from servers.core.settings import Settings
from servers.core.workspace import Workspace
from servers.doctor import checks
from servers.doctor.__main__ import examine
from servers.doctor.finding import Finding
from tests.doubles.front_doors import KEYS, Behaviour, FrontDoors

pytestmark = [pytest.mark.anyio, pytest.mark.services]
REMOTE = ["mistral brain", "mistral teacher", "mistral prompt", "w&b", "weave", "w&b mcp", "hugging face"]
MODELS = {"teacher": {"model": "large"}, "prompt": {"model": "other"}}
AGENT = {"mistral": {"model": "mistral-large-latest"}}


async def found_at(
    folder: Path, environment: dict[str, str], limit_s: float = 10.0, **settings: Any
) -> dict[str, Finding]:
    """The findings by service."""
    configured = Settings.model_validate(MODELS | {"agent": AGENT} | settings)
    findings = await examine(Workspace(folder), Services(configured, environment), limit_s)
    return {one.service: one for one in findings}


async def test_without_keys_nothing_is_broken_and_each_service_says_how_it_is_set_up(tmp_path: Path):
    """Ours: the embedded parts are no fault."""
    found = await found_at(tmp_path, {})

    assert {service for service, one in found.items() if one.state == "ok"} == {"training here", "budget"}
    assert all(one.state == "not set up" and one.mend for service, one in found.items() if service in REMOTE)
    assert "export MISTRAL_API_KEY=" in str(found["mistral teacher"].mend)
    assert "export WANDB_API_KEY=" in str(found["w&b"].mend) and "export HF_TOKEN=" in str(found["hugging face"].mend)


@pytest.mark.parametrize("streams", [True, False])
async def test_where_everything_is_well_each_is_asked_its_one_small_question(streams: bool, tmp_path: Path):
    """Ours: reads only, a handful of requests, and what was found is what will be used."""
    with FrontDoors(streams=streams) as doors:
        found = await found_at(tmp_path, doors.environment)

    assert [(s, one.detail) for s, one in found.items() if one.state not in ("ok", "not set up")] == []
    assert all((found[service].reachable, found[service].allowed) == (True, True) for service in REMOTE)
    assert "ada at" in found["w&b"].detail and "ada-team/etude-<task>" in found["w&b"].detail
    assert "wandb-mcp-server 0.3.3" in found["w&b mcp"].detail
    assert "ada runs on a10g-small at 0.0167 USD a minute" in found["hugging face jobs"].detail
    assert Counter(doors.asked) == {
        "GET /v1/models": 3, "POST /graphql": 2, "GET /server_info": 1, "POST /mcp": 1, "GET /api/whoami-v2": 2,
        "GET /api/jobs/hardware": 1,
    }  # fmt: skip
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize(
    ("behaviour", "state", "word"),
    [
        ("401", "not allowed", "answers 401"),
        ("403", "not allowed", "answers 403"),
        ("404", "not allowed", "answers 404"),
        ("429", "not reachable", "answers 429"),
        ("500", "not reachable", "answers 500"),
        ("garbage", "not allowed", "answers 200"),
        ("empty", "not allowed", "answers 200"),
        ("hangs up", "not reachable", "does not answer"),
        ("silent", "not reachable", "no answer in 0.5 s"),
    ],
)
async def test_each_failure_is_told_with_what_to_do_and_never_with_a_key(
    behaviour: Behaviour, state: str, word: str, tmp_path: Path
):
    """Ours: also where the server says back what it was sent."""
    with FrontDoors(behaviour) as doors:
        found = await found_at(tmp_path, doors.environment, limit_s=0.5 if behaviour == "silent" else 10.0)

    for service in [*REMOTE, "hugging face jobs"]:
        one = found[service]
        assert (one.state, one.is_broken) == (state, True), service
        assert word in one.detail and one.mend and "\n" not in one.detail, service
        assert_no_key(one.model_dump_json())
    assert not found["budget"].is_broken and found["training here"].state == "not set up"


def assert_no_key(words: str) -> None:
    for key in KEYS.values():
        assert key not in words and base64.b64encode(f"api:{key}".encode()).decode() not in words


async def test_a_server_that_is_not_there_is_not_reachable(tmp_path: Path):
    """Ours: offline is a finding like another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://user:{KEYS['HF_TOKEN']}@127.0.0.1:{taken.getsockname()[1]}"
    names = ("MISTRAL_SERVER_URL", "WANDB_BASE_URL", "WF_TRACE_SERVER_URL", "HF_ENDPOINT")
    found = await found_at(tmp_path, KEYS | dict.fromkeys(names, nobody))

    assert {found[service].state for service in REMOTE} == {"not reachable"}
    for service in REMOTE:
        assert "does not answer" in found[service].detail and "network" in str(found[service].mend)
        assert_no_key(found[service].model_dump_json())


@pytest.mark.parametrize(
    ("service", "settings", "said", "words", "mend"),
    [
        ("mistral brain", {}, {"models": {"data": 7}}, "lists no models", "MISTRAL_SERVER_URL"),
        ("w&b", {}, {"graphql": {"data": {"viewer": None}}}, "knows nobody of this key", "WANDB_API_KEY"),
        ("w&b", {}, {"graphql": {"errors": [{"message": "no"}]}}, "answers no GraphQL", "WANDB_BASE_URL"),
        ("w&b mcp", {}, {"mcp": {"error": {"code": 1}}}, "not answer as an MCP server", "url of [agent.wandb]"),
        ("hugging face", {}, {"whoami_v2": {"name": "ada", "auth": {"accessToken": {"role": "read"}}}}, "only read",
         "right to write"),
        ("hugging face", {}, {"whoami_v2": ["ada"]}, "does not say whose token", "HF_ENDPOINT"),
        ("hugging face jobs", {"jobs": {"namespace": "eve"}}, {}, "ada is not in 'eve'", "one of ada, atelier"),
        ("hugging face jobs", {"jobs": {"flavor": "h100"}}, {}, "'h100' is not listed with a price", "a10g-small"),
        ("hugging face jobs", {}, {"hardware": [{"name": "a10g-small"}]}, "not listed with a price", "set flavor"),
        ("budget", {"budget": {"usd": 0.0}}, {}, "0.00 of 0.00 USD left", "raise usd in [budget]"),
    ],
)  # fmt: skip
async def test_what_a_key_may_not_do_is_said_with_what_it_may(
    service: str, settings: dict[str, Any], said: dict[str, Any], words: str, mend: str, tmp_path: Path
):
    """Ours: the words name what is configured, and what there is."""
    with FrontDoors(streams=False, **said) as doors:
        one = (await found_at(tmp_path, doors.environment, **settings))[service]

    assert one.is_broken and words in one.detail and mend in str(one.mend)


async def test_a_configuration_that_insists_on_a_missing_key_is_wrong(tmp_path: Path):
    """Ours: the words of the configuration's own complaint."""
    found = await found_at(
        tmp_path,
        {},
        tracking={"backend": "wandb"},
        jobs={"backend": "huggingface"},
        teacher={"backend": "mistral"},
        agent={"brain": "mistral", "wandb": {"mcp": "hosted"}},
    )

    for service in ("mistral brain", "mistral teacher", "w&b", "weave", "w&b mcp", "hugging face jobs"):
        assert found[service].is_broken and found[service].mend, service
    assert "[tracking] backend needs WANDB_API_KEY" in found["w&b"].detail


async def test_an_adapter_is_trained_here_only_where_its_libraries_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bug: it was looked for here, where it need not be, and not where jobs look for it."""
    python = tmp_path / "python"
    monkeypatch.setattr(checks, "TRAIN_PYTHON", python)
    one = (await found_at(tmp_path, {}, model={"family": "lora"}))["training here"]
    assert one.state == ("ok" if "are installed" in one.detail else "wrong")
    assert one.state == "ok" or one.mend == "make setup-train"

    python.touch()
    one = (await found_at(tmp_path, {}, model={"family": "lora"}))["training here"]
    assert one.state == "ok" and str(python) in one.detail


async def test_weave_of_an_instance_of_ones_own_is_asked_there(tmp_path: Path):
    """Bug: the key of an own instance went to W&B's cloud."""
    with FrontDoors() as doors:
        environment = {name: value for name, value in doors.environment.items() if name != "WF_TRACE_SERVER_URL"}
        found = await found_at(tmp_path, environment)

    assert found["weave"].detail == f"traces go to {doors.url}/traces" and found["weave"].state == "ok"


async def test_weave_is_not_allowed_to_a_key_that_w_and_b_does_not_know(tmp_path: Path):
    """Bug: Weave says what it is to anybody, and so was well with any key."""
    with FrontDoors(graphql={"data": {"viewer": None}}) as doors:
        found = await found_at(tmp_path, doors.environment)

    assert found["weave"].state == "not allowed" and "WANDB_API_KEY" in str(found["weave"].mend)


async def test_a_damaged_budget_is_told(tmp_path: Path):
    """Ours: nothing can be spent before it is mended."""
    (tmp_path / "budget.jsonl").write_text("no\n")

    one = (await found_at(tmp_path, {}))["budget"]

    assert one.state == "wrong" and "budget.jsonl, line 1, is not JSON" in one.detail


def test_the_command_prints_plain_lines_and_its_exit_code_says_whether_something_is_broken(tmp_path: Path):
    """Ours: `etude doctor` in a pipe, as a person and as a program read it."""
    config = tmp_path / "etude.toml"
    config.write_text('[agent]\nbrain = "offline"\n[teacher]\nmodel = "large"\n[prompt]\nbackend = "off"\n')
    with FrontDoors() as doors:
        well = _etude_doctor(config, doors.environment)
        doors.behaviour = "401"
        ill = _etude_doctor(config, doors.environment, "--json")
    config.write_text("budgett = 1\n")
    wrong = _etude_doctor(config, {})
    config.write_text('[agent.wandb]\nmcp = "hosten"\n')
    agents = _etude_doctor(config, {})

    assert (well.returncode, ill.returncode, wrong.returncode) == (0, 1, 2), well.stdout + well.stderr
    assert (
        "\x1b" not in well.stdout and "mistral teacher    ok" in well.stdout and "[agent] brain is 'off" in well.stdout
    )
    document = json.loads(ill.stdout)
    assert not document["ok"] and {one["service"] for one in document["services"] if one["state"] == "not allowed"} == {
        "mistral teacher", "w&b", "weave", "w&b mcp", "hugging face", "hugging face jobs",
    }  # fmt: skip
    assert "unknown key" in wrong.stderr and not wrong.stdout
    assert agents.returncode == 2 and "agent.wandb.mcp: input should be" in agents.stderr and not agents.stdout
    for printed in (well, ill, wrong):
        assert_no_key(printed.stdout + printed.stderr)


def _etude_doctor(config: Path, keys: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", "doctor", "--config", str(config), *words],
        env=ours | keys,
        cwd=config.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
