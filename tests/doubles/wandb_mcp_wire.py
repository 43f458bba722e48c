"""What carries the double of the official W&B MCP server: streamable HTTP with a Bearer key, or stdin and stdout.

Written out in JSON-RPC rather than with the SDK, which keeps the protocol and so cannot break it. Over stdio it prints
what the official server prints beside the protocol. `python -m tests.doubles.wandb_mcp_wire FILE` reads what a test
pickled: the server, with its store.
"""

import json
import os
import pickle
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.doubles.loopback import LoopbackServer
from tests.doubles.wandb_mcp import OfficialServer

NAME, VERSION = "weave-mcp-server", "1.14.0"
PROTOCOL = "2025-06-18"
SESSION = "session-of-the-double"


class Hosted:
    """The server at a URL; `with` starts and stops it.

    Args:
        official: What answers.
        key: The only key that is taken.
    """

    def __init__(self, official: OfficialServer, key: str) -> None:
        self.official, self._key = official, key
        self.requests: list[tuple[str, int]] = []
        """JSON-RPC method and HTTP status of every request."""

    def __enter__(self) -> Self:
        app = Starlette(routes=[Route("/mcp", self._handle, methods=["POST", "GET", "DELETE"])])
        self._server = LoopbackServer(app)
        self.url = self._server.start() + "/mcp"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    async def _handle(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._key}":
            self.requests.append((request.method, 401))
            return JSONResponse({"error": "Authorization required - please provide a W&B API key"}, 401)
        if request.method != "POST":
            return Response(status_code=405 if request.method == "GET" else 200)
        message = await request.json()
        method = message.get("method", "")
        if self.official.ways.mute:
            await anyio.sleep(60)
        fault = self.official.fault_for(message["params"]["name"]) if method == "tools/call" else None
        if fault is not None and fault.name in ("401", "403", "429", "500"):
            self.requests.append((method, int(fault.name)))
            return JSONResponse({"error": fault.value or "no"}, int(fault.name), headers={"Retry-After": "0"})
        if fault is not None and fault.name in ("hang up", "lost"):
            if fault.name == "lost":
                answered(self.official, message, None)
            self._server.hang_up(request)
            return Response(status_code=500)
        if fault is not None and fault.name == "slow":
            await anyio.sleep(fault.value)
        self.requests.append((method, 200))
        if "id" not in message:
            return Response(status_code=202)
        return JSONResponse(answered(self.official, message, fault), headers={"Mcp-Session-Id": SESSION})


def answered(official: OfficialServer, message: dict[str, Any], fault: Any) -> dict[str, Any]:
    """The answer to one JSON-RPC request."""
    method, params = message["method"], message.get("params") or {}
    head = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        about = {"protocolVersion": PROTOCOL, "capabilities": {"tools": {"listChanged": False}}}
        return head | {"result": about | {"serverInfo": {"name": NAME, "version": VERSION}}}
    if method == "tools/list":
        tools, size = official.tools(), official.ways.tools_per_page
        start = int(params.get("cursor") or 0)
        more = {"nextCursor": str(start + size)} if start + size < len(tools) else {}
        return head | {"result": {"tools": tools[start : start + size]} | more}
    if method == "tools/call":
        return head | {"result": official.answer(params["name"], params.get("arguments") or {}, fault)}
    if method == "ping":
        return head | {"result": {}}
    return head | {"error": {"code": -32601, "message": f"Method not found: {method}"}}


def main(file: Path) -> None:
    """Serve over stdin and stdout."""
    official: OfficialServer = pickle.loads(file.read_bytes())
    file.with_suffix(".pid").write_text(str(os.getpid()))
    print("wandb: analytics are off", flush=True)  # on stdout, as the official server does
    if not os.environ.get("WANDB_API_KEY"):
        sys.exit("ValueError: WANDB_API_KEY is not set")
    print(f"the key is {os.environ['WANDB_API_KEY']}", file=sys.stderr, flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if official.ways.mute or "id" not in message:
            continue
        fault = None
        if message["method"] == "tools/call":
            fault = official.fault_for(message["params"]["name"])
            file.write_bytes(pickle.dumps(official))  # so that a fault is used up for the next process as well
        if fault is not None and fault.name == "hang up":
            sys.exit("the backend is gone")
        if fault is not None and fault.name == "slow":
            time.sleep(fault.value)
        print(json.dumps(answered(official, message, fault)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
