"""Connections to real server processes: how they start, what they may see, and what is said when one fails."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.endpoints import Endpoint, Http, Stdio, read_endpoints
from agent.sessions import ServerProblem, connect
from tests.doubles.house_world import World

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[1]
WEAVE_TOOLS = {"query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"}


def room(name: str, folder: Path) -> Stdio:
    """One room of the scripted house, as a process."""
    return Stdio(command=sys.executable, args=["-m", "tests.doubles.house", name, str(folder)], cwd=str(ROOT))


def script(folder: Path, source: str, name: str = "server.py") -> Stdio:
    """A server that is one script."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(textwrap.dedent(source))
    return Stdio(command=sys.executable, args=[str(folder / name)])


# A server of the 2025 kind in a few lines, which starts in no time. STRICT ones cannot bear any other greeting.
PLAIN = """
    import json, os, sys
    print("a word to stderr", file=sys.stderr, flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        method, answer = message["method"], None
        if method == "initialize":
            answer = {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                 "serverInfo": {"name": "weave-mcp-server", "version": "1.14.0"}}}
        elif method == "tools/list":
            page = message.get("params", {}).get("cursor")
            schema = {"type": "object", "properties": {}}
            answer = {"result": {"tools": [{"name": "second" if page else "show", "inputSchema": schema}]}}
            answer["result"] |= {} if page else {"nextCursor": "2"}
        elif method == "tools/call":
            print("not a message at all", flush=True)
            seen = " ".join(sorted(os.environ)) + " " + os.environ.get("GIVEN", "")
            answer = {"result": {"content": [{"type": "text", "text": seen}], "isError": False}}
        elif "id" in message:
            if STRICT:
                sys.exit("what is " + method)
            answer = {"error": {"code": -32601, "message": "what is " + method}}
        if answer is not None:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"]} | answer), flush=True)
"""
EASY, STRICT = PLAIN.replace("STRICT", "False"), PLAIN.replace("STRICT", "True")


async def test_servers_start_together_and_tell_their_names_tools_and_words(tmp_path):
    """MCP: handshake, tools/list, tools/call over stdio; stderr of a child lands in its log, not on the terminal."""
    World(tmp_path)
    endpoints: dict[str, Endpoint] = {
        "wandb": room("wandb", tmp_path),
        "says": script(tmp_path, EASY),
    }

    async with connect(endpoints, tmp_path / "log") as sessions:
        named = {server.name: (server.says_it_is, server.version) for server in sessions.servers}
        reply = await sessions.call("query_wandb_tool", {"query": "{ viewer { username } }"})
        refused = await sessions.call("query_wandb_tool", {})
        takes = set(sessions.input_schema("query_wandb_tool")["properties"])

    assert named == {"wandb": ("etude-wandb-local", "1.0"), "says": ("weave-mcp-server", "1.14.0")}
    assert {tool.name for tool in sessions.servers[0].tools} == WEAVE_TOOLS
    assert takes == {"query", "variables", "max_items", "items_per_page"}
    assert (reply.is_error, reply.text) == (False, '{"viewer": {"username": "double", "entity": "local"}}')
    assert reply.structured == {"result": reply.text} and 0 < reply.seconds < 30
    assert refused.is_error and "query" in refused.text
    assert (tmp_path / "log" / "says.log").read_text() == "a word to stderr\n"


async def test_a_child_sees_what_it_was_given_and_no_other_secret(tmp_path, monkeypatch):
    """Ours: children get the few variables that stdio passes on, and what their entry names."""
    monkeypatch.setenv("ETUDE_TEST_SECRET", "do not pass on")
    monkeypatch.setenv("ETUDE_TEST_KEY", "k3y")
    entry = script(tmp_path, EASY).model_dump(exclude={"cwd", "type"})
    listed = {"mcpServers": {"says": entry | {"env": {"GIVEN": "is ${ETUDE_TEST_KEY}"}}}}
    (tmp_path / "mcp.json").write_text(json.dumps(listed))

    async with connect(read_endpoints(tmp_path / "mcp.json"), tmp_path / "log") as sessions:
        seen = (await sessions.call("show", {})).text

    assert seen.endswith("is k3y") and "PATH" in seen
    assert "ETUDE_TEST_SECRET" not in seen and "ETUDE_TEST_KEY" not in seen


async def test_a_server_that_cannot_start_is_named_with_its_last_words(tmp_path):
    """Ours: the error says which server, why, and where the log is."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "bad.log").write_text("of an earlier run\n")
    endpoints: dict[str, Endpoint] = {
        "good": script(tmp_path, EASY),
        "bad": script(tmp_path, "import sys; sys.exit('no such task: x')", "bad.py"),
        "none": Stdio(command="no-such-command-anywhere"),
    }

    with pytest.raises(ServerProblem) as failed:
        async with connect(endpoints, tmp_path / "log"):
            raise AssertionError("never connected")

    said = str(failed.value)
    assert "server 'bad' did not start: connection closed; its last words" in said and "no such task: x" in said
    assert said.endswith("; nor did 'none'")
    assert "'good'" not in said and "earlier run" not in said and "\n" not in said


async def test_a_command_that_does_not_exist_is_named(tmp_path):
    """Ours: a misspelt command is the commonest mistake in a list of servers."""
    with pytest.raises(ServerProblem, match=r"server 'none' did not start: .*no such file.*'no-such-command-anywhere'"):
        async with connect({"none": Stdio(command="no-such-command-anywhere")}, tmp_path / "log"):
            raise AssertionError("never connected")


async def test_a_server_that_stays_silent_is_given_up_after_its_start_limit(tmp_path):
    """Ours: each server has a limit of its own, and its process is gone afterwards."""
    mute = script(
        tmp_path,
        f"""
        import os, sys
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        sys.stdin.read()
    """,
    )

    with pytest.raises(ServerProblem, match="'mute' did not start: it did not list its tools within"):
        async with connect({"mute": mute}, tmp_path / "log", start_limit_s=0.5):
            raise AssertionError("never connected")

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_two_servers_with_a_tool_of_one_name_are_refused(tmp_path):
    """Ours: tool names are unique across servers; a collision would hide one of them."""
    one = script(tmp_path, EASY)

    with pytest.raises(ServerProblem, match="tool 'show' is offered by both 'a' and 'b'"):
        async with connect({"a": one, "b": one}, tmp_path / "log"):
            raise AssertionError("never connected")


async def test_a_server_that_dies_in_a_call_is_named_with_its_last_words_and_stays_dead(tmp_path):
    """Ours: one clear error for the call in flight, and the same for the next."""
    World(tmp_path, die_in="count_weave_traces_tool")
    place = {"entity_name": "local", "project_name": "etude-double"}

    async with connect({"wandb": room("wandb", tmp_path)}, tmp_path / "log") as sessions:
        with pytest.raises(ServerProblem, match=r"'wandb' died .*count_weave_traces_tool.*last words.*hit the wall"):
            await sessions.call("count_weave_traces_tool", place)
        with pytest.raises(ServerProblem, match="server 'wandb' died"):
            await sessions.call("query_wandb_tool", {"query": "{ viewer { username } }"})
        with pytest.raises(ServerProblem, match="no connected server offers the tool 'promote_model'"):
            await sessions.call("promote_model", {})


async def test_an_error_inside_leaves_as_it_is_and_closes_the_servers(tmp_path):
    """Bug: the SDK lets every exception out as nested exception groups."""
    with pytest.raises(KeyError, match="mine"):
        async with connect({"says": script(tmp_path, EASY)}, tmp_path / "log"):
            raise KeyError("mine")


async def test_a_server_of_the_old_kind_that_cannot_bear_the_new_greeting_is_greeted_again(tmp_path):
    """MCP: the official W&B server is of the 2025 kind; noise on its stdout is passed over, pages are followed."""
    async with connect({"old": script(tmp_path, STRICT)}, tmp_path / "log") as sessions:
        reply = await sessions.call("show", {})

    assert (sessions.servers[0].says_it_is, reply.is_error) == ("weave-mcp-server", False)
    assert [tool.name for tool in sessions.servers[0].tools] == ["show", "second"]
    assert "what is server/discover" in (tmp_path / "log" / "old.log").read_text()


OVER_HTTP = """
    import socket
    import uvicorn
    from mcp.server import MCPServer
    from starlette.responses import PlainTextResponse

    server = MCPServer("hosted", version="1", log_level="ERROR")

    @server.tool()
    def hello() -> str:
        return "over http"

    app = server.streamable_http_app(stateless_http=True)

    async def guarded(scope, receive, send):
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != b"Bearer k3y":
            return await PlainTextResponse("who?", 401)(scope, receive, send)
        await app(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(guarded, log_level="error")).run(sockets=[listener])
"""


async def test_a_server_over_http_gets_the_headers_and_a_refusal_names_its_status(tmp_path):
    """MCP: streamable HTTP with a bearer key; 401 is what the reader has to know."""
    server = script(tmp_path, OVER_HTTP)
    process = subprocess.Popen([server.command, *server.args], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        async with connect({"w": Http(url=url, headers={"Authorization": "Bearer k3y"})}, tmp_path / "log") as sessions:
            reply = await sessions.call("hello", {})
        with pytest.raises(
            ServerProblem, match=r"server 'w' at http://.* cannot be reached: .* \(HTTP 401: it does not take the key"
        ):
            async with connect({"w": Http(url=url)}, tmp_path / "log"):
                raise AssertionError("never connected")
    finally:
        process.terminate()
        process.communicate(timeout=10)

    assert (sessions.servers[0].says_it_is, reply.text) == ("hosted", "over http")


async def test_a_room_that_is_served_by_the_command_speaks_on_its_stdin_and_stdout(tmp_path):
    """Ours: `etude serve` is replaced by the server, so that a chat client talks to it directly."""
    words = ["-m", "agent.cli", "serve", "wandb", "--artifacts", str(tmp_path)]
    served = Stdio(command=sys.executable, args=words, cwd=str(ROOT))

    async with connect({"w": served}, tmp_path / "log") as sessions:
        assert sessions.servers[0].says_it_is == "etude-wandb-local"
        assert {tool.name for tool in sessions.servers[0].tools} >= WEAVE_TOOLS
