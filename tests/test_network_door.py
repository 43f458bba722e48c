"""What the HTTP server refuses, and how; with requests as they are."""

import json
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from mcp.server import MCPServer
from starlette.datastructures import Headers

from servers.core.settings import Settings
from servers.network import bodies, entrance, traffic
from servers.network.forwarding import Proxies, parse_proxy
from servers.network.hosts import Hosts
from servers.network.patience import PatientProtocol
from servers.network.probes import Probes
from servers.network.rates import Rates
from servers.network.traffic import Traffic
from tests.network_world import BOTH, HELLO, READER, SECRET, Served, bearer, open_house, open_shed, said

pytestmark = pytest.mark.anyio
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "touch", "arguments": {}}}


def shed_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("shed", log_level="CRITICAL")

    @server.tool()
    async def touch() -> str:
        """Change something."""
        return "touched"

    @server.resource("shed://shelf")
    def shelf() -> str:
        """What lies there."""
        return "a hammer"

    @server.prompt()
    def tidy() -> str:
        """Ask for order."""
        return "tidy up"

    return server


@pytest.mark.parametrize(
    ("words", "host", "status"),
    [
        ([], None, 200),
        ([], "localhost:9000", 200),
        ([], "[::1]", 200),
        ([], "evil.example", 421),
        ([], "127.0.0.1.evil.example", 421),
        ([], "127.0.0.1@evil.example", 421),
        ([], "10.0.0.7:8321", 421),
        ([], "", 421),
        (["--public-url", "https://etude.example/x"], "etude.example", 200),
        (["--public-url", "https://etude.example/x"], "ETUDE.example:443", 200),
        (["--public-url", "https://etude.example/x"], "127.0.0.1", 200),
        (["--public-url", "https://etude.example/x"], "evil.example", 421),
    ],
)
async def test_only_requests_for_the_servers_own_names_are_answered(
    tmp_path: Path, words: list[str], host: str | None, status: int
):
    """MCP: a page whose name was rebound to this machine gets nothing."""
    async with open_shed(tmp_path, shed_server(), *words, environment=BOTH) as shed:
        answer = await shed.ask(token=SECRET, headers={} if host is None else {"host": host})

    assert answer.status_code == status
    assert status == 200 or "--public-url" in said(answer)


def test_a_server_for_others_answers_to_addresses_and_its_machines_name():
    """Ours: no page can have an address, or this machine's name, rebound."""
    hosts = Hosts("0.0.0.0")

    assert all(map(hosts.knows, ("192.168.1.5:8321", "[fd00::1]:8321", "localhost", socket.gethostname())))
    assert not any(map(hosts.knows, ("evil.example", "192.168.1.5.evil.example", "192.168.1.5, evil.example", None)))
    assert not hosts.is_private and not Hosts("127.0.0.1", urlsplit("https://x.example")).is_private
    assert Hosts("::ffff:127.0.0.1").is_private and Hosts("127.0.0.1", urlsplit("http://localhost:80")).is_private


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example", 200),
        ("https://APP.example", 200),
        ("http://app.example", 403),
        ("https://app.example:444", 403),
        ("https://evil.app.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_only_pages_of_named_origins_may_ask(tmp_path: Path, origin: str, status: int):
    """MCP: a browser says where a page came from; only who is named gets the headers that let its script read."""
    async with open_shed(tmp_path, shed_server(), "--allow-origin", "https://app.example") as shed:
        answer = await shed.ask(headers={"origin": origin})
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await shed.ask(headers=asked, method="OPTIONS")

    assert (answer.status_code, preflight.status_code) == (status, 204 if status == 200 else 403)
    allowed = [one.headers.get("access-control-allow-origin") for one in (answer, preflight)]
    assert allowed == ([origin, origin] if status == 200 else [None, None])
    if status == 200:
        assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
        assert {"Authorization", "MCP-Protocol-Version"} <= set(
            preflight.headers["access-control-allow-headers"].split(", ")
        )


async def test_a_page_of_the_server_itself_may_ask(tmp_path: Path):
    """MCP: what has the same origin is no stranger."""
    async with open_shed(tmp_path, shed_server()) as shed:
        assert (await shed.ask(headers={"origin": shed.url})).status_code == 200
        assert (await shed.ask(headers={"origin": "http://localhost:1"})).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({}, 401, 'Bearer realm="etude"'),
        ({"authorization": "Bearer " + "x" * 64}, 401, 'Bearer realm="etude", error="invalid_token"'),
        ({"authorization": f"Bearer {SECRET[:-1]}"}, 401, 'Bearer realm="etude", error="invalid_token"'),
        ({"authorization": f"Basic {SECRET}"}, 401, 'Bearer realm="etude", error="invalid_token"'),
        ({"authorization": "Bearer"}, 401, 'Bearer realm="etude", error="invalid_token"'),
        ({"authorization": "Bearer é"}, 401, 'Bearer realm="etude", error="invalid_token"'),
        ({"authorization": f"Bearer {SECRET}"}, 200, None),
        ({"authorization": f"bearer {SECRET}"}, 200, None),
        ({"authorization": f"Bearer {READER}"}, 200, None),
    ],
)
async def test_a_request_without_a_good_token_is_told_what_is_missing(
    tmp_path: Path, headers: dict[str, str], status: int, error: str | None, capsys: pytest.CaptureFixture[str]
):
    """MCP: 401 with WWW-Authenticate; Ours: no word of the token in the answer or in the log."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with open_shed(tmp_path, shed_server(), environment=BOTH) as shed, httpx2.AsyncClient() as http:
        given = [(b"accept", b"application/json, text/event-stream"), *raw]
        answer = await http.post(shed.url + "/mcp", json=HELLO, headers=given)
        in_query = await shed.ask(path=f"/mcp?access_token={SECRET}")

    assert (answer.status_code, answer.headers.get("www-authenticate")) == (status, error)
    assert in_query.status_code == 401
    told = answer.text + in_query.text + capsys.readouterr().err
    assert not re.search(f"{SECRET[:20]}|{READER[:20]}|xxxx", told)


async def test_two_tokens_in_one_request_open_nothing(tmp_path: Path):
    """Ours: what a proxy checks and what the server reads must be the same."""
    async with open_shed(tmp_path, shed_server(), environment=BOTH) as shed, httpx2.AsyncClient() as http:
        headers = [("accept", "application/json, text/event-stream"), *(2 * list(bearer(SECRET).items()))]
        assert (await http.post(shed.url + "/mcp", json=HELLO, headers=headers)).status_code == 401


async def test_a_read_only_token_reads_everything_and_changes_nothing(tmp_path: Path):
    """MCP: 403 insufficient_scope, with the id of the request, so that a client can say why."""
    async with open_shed(tmp_path, shed_server(), environment=BOTH) as shed:
        async with shed.client(token=READER) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == []
            assert (await client.read_resource("shed://shelf")).contents[0].text == "a hammer"
            assert (await client.get_prompt("tidy")).messages[0].content.text == "tidy up"
        opened = await shed.ask(token=READER)
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        answer = await shed.ask(CALL, token=READER, headers=session)
        unknown = await shed.ask({**CALL, "params": {"name": 5}}, token=READER, headers=session)

    assert (answer.status_code, unknown.status_code) == (403, 403)
    assert answer.json()["id"] == 7 and "use the read-write token" in said(answer)
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call","params":{"name":"touch"}}',
        '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","name":"touch"}}',
        json.dumps([CALL]),
        json.dumps(CALL)[:-1],
        "\ufeff",
        "[" * 100_000,
        "",
        "7",
    ],
)
async def test_what_two_readers_could_read_differently_is_no_message(tmp_path: Path, body: str):
    """Ours: what was looked at is what is carried out, so a call cannot hide behind a second key."""
    async with open_shed(tmp_path, shed_server(), environment=BOTH) as shed:
        answer = await shed.ask(token=READER, content=body.encode(), headers={"content-type": "application/json"})

    assert answer.status_code == 400 and "Traceback" not in answer.text


async def test_a_server_without_a_token_takes_nothing_that_came_through_a_proxy(tmp_path: Path):
    """Ours: who forgot that a proxy shows the server to the world has not opened it."""
    for header in ("x-forwarded-for", "forwarded", "via"):
        async with open_shed(tmp_path, shed_server()) as shed:
            answer = await shed.ask(headers={header: "1.2.3.4"})
        assert answer.status_code == 403 and "start it with a token" in said(answer)


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path):
    """Ours: declared or in pieces; and the client, which is still sending, hears why."""

    async def pieces() -> Any:
        for _ in range(8):
            yield b" " * 1024 * 1024

    async with open_shed(tmp_path, shed_server()) as shed:
        large = b" " * (bodies.MAX_BYTES + 1)
        declared = await shed.ask(content=large, headers={"content-type": "application/json"})
        streamed = await shed.ask(content=pieces(), headers={"content-type": "application/json"})
        fits = await shed.ask(
            content=json.dumps(HELLO).ljust(bodies.MAX_BYTES), headers={"content-type": "application/json"}
        )

    assert (declared.status_code, streamed.status_code, fits.status_code) == (413, 413, 200)
    assert "send less at once" in said(declared)


async def raw(shed: Served, sent: bytes) -> bytes:
    """What comes back for some bytes, until the server closes the connection."""
    stream = await anyio.connect_tcp("127.0.0.1", int(shed.url.rpartition(":")[2]))
    async with stream:
        await stream.send(sent)
        got = b""
        with anyio.fail_after(10):
            try:
                while True:
                    got += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return got


async def test_a_client_that_dawdles_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: connections cannot be held by sending nothing, half of the headers, or half of a body."""
    monkeypatch.setattr(PatientProtocol, "limit_s", 0.2)
    monkeypatch.setattr(entrance, "BODY_LIMIT_S", 0.2)
    async with open_shed(tmp_path, shed_server()) as shed:
        assert await raw(shed, b"") == b""
        assert await raw(shed, b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n") == b""
        half = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"
        assert (await raw(shed, half)).startswith(b"HTTP/1.1 408 ")
        second = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea"
        assert (await raw(shed, second)).count(b"HTTP/1.1 200") == 1
        rest = b"POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"
        assert (await raw(shed, rest)).startswith(b"HTTP/1.1 404 ")


async def test_headers_without_end_are_refused(tmp_path: Path):
    """Ours: memory is bounded, whoever asks."""
    async with open_shed(tmp_path, shed_server()) as shed:
        answer = await raw(shed, b"GET /mcp HTTP/1.1\r\n" + b"X-Filler: " + b"x" * 100_000)

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path):
    """Ours: by token and address; a stranger who is refused does not use up what others have."""
    now = 0.0
    async with open_shed(tmp_path, shed_server(), environment=BOTH) as shed:
        shed.entrance.rates = Rates(3, 0.5, lambda: now)
        shed.entrance.refusals = Rates(2, 1.0, lambda: now)
        first = [(await shed.ask(token=SECRET)).status_code for _ in range(4)]
        other = (await shed.ask(token=READER)).status_code
        strangers = [(await shed.ask()).status_code for _ in range(3)]
        late = await shed.ask(token=SECRET)
        now = 2.0
        again = (await shed.ask(token=SECRET)).status_code

    assert (first, other, strangers) == ([200, 200, 200, 429], 200, [401, 401, 429])
    assert late.status_code == 429 and late.headers["retry-after"] == "2" and "wait 2 s" in said(late)
    assert again == 200


def test_buckets_fill_up_again_and_only_so_many_are_kept():
    """Ours: an attacker with many addresses takes no memory."""
    now, rates = 0.0, Rates(1, 1.0, lambda: now)

    assert [rates.wait_s("a"), rates.wait_s("a")] == [0, 1]
    for number in range(10_000):
        rates.wait_s(str(number))
    assert len(rates) <= 4096
    now = 1.0
    assert rates.wait_s("9999") == 0


async def test_more_than_it_can_do_at_once_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: a crowd waits outside, and is told so."""
    monkeypatch.setattr(traffic, "MAX_REQUESTS", 1)
    released = anyio.Event()
    server = shed_server()

    @server.tool()
    async def hold() -> str:
        """Wait for the test."""
        await released.wait()
        return "done"

    async with open_shed(tmp_path, server) as shed:
        answers: list[httpx2.Response] = []

        async def first() -> None:
            session = {"mcp-session-id": (await shed.ask()).headers["mcp-session-id"]}
            answers.append(await shed.ask({**CALL, "params": {"name": "hold"}}, headers=session))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            with anyio.fail_after(10):
                while not shed.entrance.traffic.calls:
                    await anyio.sleep(0.01)
            late = await shed.ask()
            probe = await shed.ask(path="/health", method="GET")
            released.set()

    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert probe.status_code == 200 and "done" in answers[0].text


@pytest.mark.parametrize(
    ("method", "path", "status", "what"),
    [
        ("GET", "/", 404, "the servers are at /mcp"),
        ("POST", "/eval", 404, "the servers are at /mcp"),
        ("GET", "/.well-known/oauth-protected-resource", 404, "the servers are at /mcp"),
        ("PUT", "/mcp", 405, "MCP speaks with POST"),
        ("OPTIONS", "/mcp", 405, "MCP speaks with POST"),
        ("DELETE", "/mcp", 400, ""),
    ],
)
async def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path, method: str, path: str, status: int, what: str):
    """Ours: who mistypes the address is told the right one."""
    async with open_shed(tmp_path, shed_server()) as shed:
        answer = await shed.ask(path=path, method=method, content=b"{}")

    assert answer.status_code == status and what in answer.text


async def test_a_path_may_end_in_a_slash(tmp_path: Path):
    """Ours: a redirect would lead to where a proxy knows nothing."""
    async with open_shed(tmp_path, shed_server()) as shed:
        assert (await shed.ask(path="/mcp/")).status_code == 200


async def test_what_goes_wrong_inside_is_in_the_log_and_not_in_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Ours: no traceback leaves the server."""
    async with open_shed(tmp_path, shed_server()) as shed:

        async def breaks(*_: Any) -> None:
            raise RuntimeError("in /secret/place")

        monkeypatch.setattr(shed.entrance.mounted["/mcp"].manager, "handle_request", breaks)
        answer = await shed.ask()

    assert answer.status_code == 500 and "secret" not in answer.text and "its log says why" in said(answer)
    assert "in /secret/place" in caplog.text


async def test_probes_answer_anybody_and_name_nothing(tmp_path: Path):
    """Ours: a supervisor has no token and asks by address."""
    folder = tmp_path / "private-name"
    headers = {"host": "10.0.0.7", "x-forwarded-for": "1.2.3.4"}

    async with open_shed(folder, shed_server(), environment=BOTH) as shed:
        clock = 0.0
        shed.entrance.probes.clock = lambda: clock
        well = await shed.ask(path="/ready", method="GET", headers=headers)
        alive = await shed.ask(path="/health/", method="HEAD", headers=headers)
        folder.rmdir()
        folder.write_text("in the way")
        kept = await shed.ask(path="/ready", method="GET")
        clock = 10.0
        ill = await shed.ask(path="/ready", method="GET")
    task = tmp_path / "task.toml"
    lost = await Probes(Settings(artifacts=tmp_path, task=str(task)), Traffic()).answer("/ready")

    assert (well.status_code, well.json()) == (200, {"status": "ready"}) and alive.status_code == 200
    assert kept.status_code == 200, "what was found is said again for two seconds"
    assert ill.status_code == 503
    assert ill.json() == {"status": "not ready", "reasons": ["the artifacts folder cannot be written to"]}
    assert lost is not None and json.loads(bytes(lost.body))["reasons"] == ["the task cannot be read"]


async def test_the_log_has_a_line_for_each_request_without_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: who asked what, and how it went; what was said stays between the two."""
    async with open_house(tmp_path, environment=BOTH) as house:
        async with house.client("/eval/mcp", token=SECRET, mode="auto") as client:
            await client.call_tool("prepare_dataset", {"dataset": "very-private"})
        await house.ask(path="/eval/mcp\u202e%0aforged", token=READER)
        await house.ask(path="/health", method="GET")

    lines = capsys.readouterr().err.splitlines()
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 127\.0\.0\.1 "
    assert any(
        re.fullmatch(form + r"read-write POST /eval/mcp tools/call prepare_dataset 200 \d+\.\d{3} s", line)
        for line in lines
    )
    assert not any("very-private" in line or "/health" in line or line.startswith("forged") for line in lines)
    assert sum("404" in line for line in lines) == 1


def test_a_proxy_is_believed_only_where_it_is_named():
    """Ours: anybody can write a header."""

    def client(peer: str, forwarded: list[str], *trusted: str) -> str:
        headers = Headers(raw=[(b"x-forwarded-for", line.encode()) for line in forwarded])
        return Proxies([parse_proxy(one) for one in trusted]).client_of(peer, headers)

    assert client("127.0.0.1", ["6.6.6.6"]) == "127.0.0.1"
    assert client("127.0.0.1", ["6.6.6.6, 9.9.9.9"], "127.0.0.1") == "9.9.9.9"
    assert client("127.0.0.1", ["6.6.6.6", "9.9.9.9, 10.0.0.3"], "127.0.0.1", "10.0.0.0/8") == "9.9.9.9"
    assert client("127.0.0.1", ["9.9.9.9, nonsense"], "127.0.0.1") == "127.0.0.1"
    assert client("5.5.5.5", ["9.9.9.9"], "127.0.0.1") == "5.5.5.5"
    assert client("127.0.0.1", [], "127.0.0.1") == "127.0.0.1"
