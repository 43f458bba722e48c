"""`etude serve`: its words, what it refuses to start with, and how its processes end."""

import signal
import socket
import sys
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from servers.core.workspace import Workspace
from servers.network.__main__ import run
from servers.network.arguments import parse, token_sources
from servers.network.tokens import Tokens, read_tokens
from tests.doubles.reverse_proxy import ReverseProxy
from tests.network_process import LIMIT_S, ROOT, SERVE, started
from tests.network_world import ACCEPT, BOTH, HELLO, READER, SECRET, bearer, open_house
from tests.test_network import names
from tests.workshop import call


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which a command that cannot begin ends."""
    try:
        code = run(words)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else -1
    line = capsys.readouterr().err
    assert code == 2 and line.count("\n") == 1, line
    return line


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["kitchen"], "'kitchen' (choose from 'all', 'eval'"),
        ([], "required: NAME"),
        (["eval", "--artefacts", "x"], "unknown argument '--artefacts'"),
        (["all", "--public-url", "https://x.example"], "--public-url needs --http HOST:PORT"),
        (["all", "--token-env", "X"], "--token-env needs --http HOST:PORT"),
        (["all", "--http", "8321"], "'8321' is not HOST:PORT, such as 127.0.0.1:8321"),
        (["all", "--http", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["all", "--http", "127.0.0.1:0", "--public-url", "x.example"], "'x.example' is no plain URL"),
        (["all", "--http", "127.0.0.1:0", "--public-url", "https://a:b@x.example"], "is no plain URL"),
        (["all", "--http", "127.0.0.1:0", "--allow-origin", "*"], "'*' is no origin"),
        (["all", "--http", "127.0.0.1:0", "--allow-origin", "https://x.example/a"], "has a path"),
        (["all", "--http", "127.0.0.1:0", "--trust-proxy", "nginx"], "'nginx' is no address or network"),
        (["all", "--http", "127.0.0.1:0", "--token-env", "X", "--token-file", "y"], "not allowed with"),
        (["all", "--http", "no.such.host.invalid:8321"], "cannot listen on no.such.host.invalid:8321"),
        (["all", "--http", "0.0.0.0:0"], "others reach 0.0.0.0, so a token is needed"),
        (["all", "--http", "[::]:0"], "others reach ::, so a token is needed"),
        (
            ["all", "--http", "127.0.0.1:0", "--public-url", "https://x.example"],
            "others reach https://x.example, so a token is needed",
        ),
    ],
)
def test_what_cannot_be_served_is_one_line_that_says_what_to_do(
    words: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: exit code 2 before anything is served."""
    where = ["--artifacts", str(tmp_path)] if words else []
    assert what in complaint(capsys, *words, *where)


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: which address, and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = complaint(capsys, "all", "--http", address, "--artifacts", str(tmp_path))

    assert line == f"etude: cannot listen on {address}: address already in use\n"


@pytest.mark.parametrize(
    ("environment", "words", "what"),
    [
        ({"ETUDE_TOKEN": "short"}, [], "the token in ETUDE_TOKEN can be guessed"),
        ({"ETUDE_TOKEN": "a" * 64}, [], "the token in ETUDE_TOKEN can be guessed"),
        ({"ETUDE_TOKEN": SECRET + "\n"}, [], "the token in ETUDE_TOKEN holds what no Bearer token can"),
        ({"ETUDE_TOKEN": SECRET, "ETUDE_READ_TOKEN": SECRET}, [], "the read-only token equals the read-write one"),
        ({"MINE": "short"}, ["--read-token-env", "MINE"], "the token in MINE can be guessed"),
        ({}, ["--token-env", "MINE"], "the variable 'MINE' is not set"),
        ({}, ["--token-file", "FILE"], "cannot read the token file"),
    ],
)
def test_a_token_that_is_no_good_is_refused_without_being_said(
    environment: dict[str, str], words: list[str], what: str
):
    """Ours: short, simple, twice the same, or not there."""
    asked = parse(["all", "--http", "127.0.0.1:0", *words])

    with pytest.raises(ValueError, match=what) as refused:
        read_tokens(token_sources(asked), environment)

    assert not any(value.strip() in str(refused.value) for value in environment.values() if len(value) > 5)
    assert "0123456789abcdef" not in str(refused.value)


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path):
    """Ours: and one that they cannot is read without the line break at its end."""
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    asked = parse(["all", "--http", "127.0.0.1:0", "--token-file", str(file)])

    file.chmod(0o640)
    with pytest.raises(ValueError, match=r"others can read the token file .* chmod 600"):
        read_tokens(token_sources(asked), {})
    file.chmod(0o600)
    tokens = read_tokens(token_sources(asked), {})

    assert tokens.role_of(f"Bearer {SECRET}") == "read-write" and tokens.role_of("Bearer x") is None


def test_tokens_are_taken_out_of_the_environment_and_kept_as_digests():
    """Ours: no job inherits them, and no dump of the server shows them."""
    environment = {**BOTH, "HOME": "/"}

    tokens = read_tokens(token_sources(parse(["all", "--http", "127.0.0.1:0"])), environment)

    assert environment == {"HOME": "/"}
    assert (tokens.role_of(f"Bearer {SECRET}"), tokens.role_of(f"Bearer {READER}")) == ("read-write", "read-only")
    assert SECRET not in repr(tokens) + repr(vars(tokens)) and not Tokens()


def test_help_shows_working_examples(capsys: pytest.CaptureFixture[str]):
    """Ours: every word's help has one."""
    with pytest.raises(SystemExit) as left:
        run(["--help"])

    assert left.value.code == 0
    assert "Example: etude serve all --http 127.0.0.1:8321" in " ".join(capsys.readouterr().out.split())


@pytest.mark.anyio
@pytest.mark.parametrize("keeps_prefix", [False, True])
async def test_it_works_behind_a_reverse_proxy_that_shows_it_under_a_prefix(
    tmp_path: Path, keeps_prefix: bool, capsys: pytest.CaptureFixture[str]
):
    """Ours: under its public name, with the client's address in the log, whether or not the prefix is passed on."""
    words = ["--public-url", "https://etude.example/models", "--trust-proxy", "127.0.0.0/8"]
    async with open_house(tmp_path, *words, environment=BOTH) as house:
        with ReverseProxy(house.url, "/models", "etude.example", keeps_prefix) as proxy:
            outside = {"x-forwarded-for": "203.0.113.9"}
            async with httpx2.AsyncClient(headers=bearer(SECRET) | outside, timeout=LIMIT_S) as http:
                transport = streamable_http_client(f"{proxy.url}/eval/mcp", http_client=http)
                async with Client(transport, mode="legacy") as client:
                    assert (await call(client, "describe_task"))["task"] == "kotone"
                async with Client(streamable_http_client(f"{proxy.url}/mcp", http_client=http)) as client:
                    assert "open_cycle" in await names(client)
                ready = await http.get(f"{proxy.url}/ready")
                stranger = await http.post(f"{proxy.url}/mcp", json=HELLO, headers={"authorization": "Bearer x"})

    assert ready.json() == {"status": "ready"}
    assert stranger.status_code == 401 and "www-authenticate" in stranger.headers
    assert "203.0.113.9 read-write POST" in capsys.readouterr().err


def test_a_server_says_where_it_is_who_may_in_and_what_to_type_next(tmp_path: Path):
    """Ours: and after SIGTERM it leaves with 0, and the folder's lock is free."""
    with started(tmp_path, "all", "--http", "127.0.0.1:0", **BOTH) as server:
        url = server.url
        answer = httpx2.post(f"{url}/eval/mcp", json=HELLO, headers=ACCEPT | bearer(SECRET))
        greeting = server.log
        code = server.end(signal.SIGTERM)

    assert answer.status_code == 200 and code == 0
    assert all(f"{url}/{room}/mcp" in greeting for room in ("eval", "augment", "retrain", "playbook", "wandb"))
    assert "with a token (one may everything, one may read): Authorization: Bearer …" in greeting
    assert f"next: etude client-config claude-code --url {url}/mcp" in greeting
    assert server.log.rstrip().endswith("etude: stopped")
    assert SECRET not in server.log and READER not in server.log
    with Workspace(tmp_path / "artifacts").writing("a test", wait_s=0.0):
        pass


@pytest.mark.anyio
async def test_a_client_that_starts_it_has_all_servers_as_one(tmp_path: Path):
    """MCP: over stdio."""
    words = [*SERVE[1:], "all", "--artifacts", str(tmp_path)]
    async with Client(StdioServerParameters(command=sys.executable, args=words, cwd=str(ROOT))) as client:
        shown = await names(client)
        assert (await call(client, "prepare_dataset", dataset="demo"))["dataset"] == "demo"

    assert {"gate_candidate", "augment_dataset", "promote_model", "open_cycle", "query_wandb_tool"} <= shown
