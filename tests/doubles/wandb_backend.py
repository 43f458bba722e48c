"""A double of the W&B service on the loopback: GraphQL, the file stream and storage that wandb uploads through, and the
trace server that weave uploads to.

What arrives is kept in a `WandbStore`; what goes wrong is switched on request by request. By hand:

    python -m tests.doubles.wandb_backend
    WANDB_BASE_URL=<the URL it prints> WF_TRACE_SERVER_URL=<the same>/traces WANDB_API_KEY=<40 times k> etude sync
"""

import base64
import gzip
import json
import re
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.loopback import LoopbackServer
from tests.doubles.wandb_faults import Fault, Faults, Name
from tests.doubles.wandb_graphql import GraphqlWriting, NotFound, UnknownOperation
from tests.doubles.wandb_store import WandbStore
from tests.doubles.weave_traces import TraceServer

METHODS = ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH"]
_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
_FILE_STREAM = re.compile(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream")

Answer = tuple[int, Any]


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    label: str
    """A GraphQL operation's name, or else the path."""
    body: bytes
    """Unpacked."""
    status: int
    """Of the answer; 0 where the connection was broken instead."""


class WandbBackend:
    """The service; `with` starts it on a port of its own and stops it.

    Args:
        store: What it keeps.
        port: Where to listen; 0 lets the system choose.
    """

    def __init__(self, store: WandbStore | None = None, port: int = 0) -> None:
        self.store = store or WandbStore()
        self.requests: list[Received] = []
        self.unknown: list[str] = []
        """What was asked and is not known here: a test that ends with any of these has met a gap of the double."""
        self.url = ""
        self._port = port
        self._faults = Faults()
        self._graphql = GraphqlWriting(self.store)
        self._traces = TraceServer(self.store)
        self._lock = threading.Lock()
        self._server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faults.clear()
        self.stop()

    def start(self) -> None:
        """Listen; after a `stop`, on the same port as before."""
        app = Starlette(routes=[Route("/{path:path}", self._handle, methods=METHODS)])
        self._server = LoopbackServer(app, self._port)
        self.url = self._graphql.url = self._server.start()
        self._port = int(self.url.rsplit(":", 1)[1])

    def stop(self) -> None:
        """Be gone: connections are refused."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def go_wrong(self, name: Name, on: str = "", times: int = 1, value: str | float | None = None) -> Fault:
        """Let the next `times` requests whose label contains `on` go wrong."""
        return self._faults.add(Fault(name, on, times, value))

    def mend(self) -> None:
        """Take back what was to go wrong, and let go of what is held."""
        self._faults.clear()

    def environment(self) -> dict[str, str]:
        """What the SDKs are to be told, to find this service."""
        return {
            "WANDB_BASE_URL": self.url,
            "WF_TRACE_SERVER_URL": f"{self.url}/traces",
            "WANDB_API_KEY": self.store.api_key,
            "WANDB_ERROR_REPORTING": "false",
        }

    def labels(self) -> list[str]:
        return [request.label for request in self.requests]

    async def _handle(self, request: Request) -> Response:
        raw = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        path = request.url.path
        document = _document(raw) if path == "/graphql" else None
        label = path
        if document is not None:
            found = _OPERATION.search(document["query"])
            label = found[1] if found else _first_field(document["query"])
        with self._lock:
            fault = self._faults.next_for(label)
        if fault is not None:
            await fault.wait()
            if (refused := fault.refused(path == "/graphql")) is not None:
                self._note(request, label, raw, refused.status_code)
                return refused
            if fault.name == "reset":
                self._note(request, label, raw, 0)
                return self._hang_up(request, b"")
        with self._lock:
            try:
                status, answer = self._answer(request, label, raw, document)
            except Exception as error:
                self.unknown.append(f"{label}: {error!r}")
                status, answer = 500, {"detail": repr(error)}
        whole = b"" if answer is None else json.dumps(answer).encode()
        if isinstance(answer, list):  # lines
            whole = b"".join(json.dumps(line).encode() + b"\n" for line in answer)
        if fault is not None and fault.name in ("lost", "half"):
            self._note(request, label, raw, 0)
            return self._hang_up(request, whole[: len(whole) // 2] if fault.name == "half" else b"")
        self._note(request, label, raw, status)
        return Response(whole, status, media_type="application/json")

    def _note(self, request: Request, label: str, raw: bytes, status: int) -> None:
        with self._lock:
            self.requests.append(Received(request.method, label, raw, status))

    def _hang_up(self, request: Request, before: bytes) -> Response:
        server = self._server
        assert server is not None
        if not before:
            server.hang_up(request)
            return Response()

        async def cut() -> AsyncIterator[bytes]:
            yield before
            server.hang_up(request)

        return StreamingResponse(cut(), media_type="application/json")

    def _answer(self, request: Request, label: str, raw: bytes, document: dict[str, Any] | None) -> Answer:
        path = request.url.path
        if path.startswith("/storage/"):  # signed: these URLs need no key
            return (200, {}) if self._graphql.put(path.removeprefix("/storage/"), raw) else self._unknown(label)
        if path == "/traces/server_info":
            return self._traces.answer("GET", "/server_info", {}) or self._unknown(label)
        if not self._is_allowed(request):
            return 401, {"errors": [{"message": "user is not logged in"}], "detail": "Invalid API key"}
        if path == "/graphql":
            if document is None:
                return 400, {"errors": [{"message": "no query"}]}
            try:
                return 200, {"data": self._graphql.answer(label, document.get("variables") or {})}
            except UnknownOperation as error:
                self.unknown.append(f"{error}: {document['query'][:2000]}")
                return 400, {"errors": [{"message": str(error)}]}
            except NotFound as error:
                return 200, {"data": None, "errors": [{"message": str(error)}]}
        if found := _FILE_STREAM.fullmatch(path):
            return self._streamed(*found.groups(), body=json.loads(raw))
        if path.startswith("/traces/"):
            body = _document(raw) or {}
            return self._traces.answer(request.method, path.removeprefix("/traces"), body) or self._unknown(label)
        return self._unknown(label)

    def _unknown(self, label: str) -> Answer:
        self.unknown.append(label)
        return 404, {"detail": f"the double knows no {label}"}

    def _is_allowed(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            token = base64.b64decode(token).decode(errors="replace").partition(":")[2]
        return token == self.store.api_key

    def _streamed(self, entity: str, project: str, run_id: str, *, body: dict[str, Any]) -> Answer:
        found = self.store.found(entity, project)
        if found is None or run_id not in found.runs:
            return 404, {"error": f"no run {run_id}"}
        run = found.runs[run_id]
        for name, chunk in (body.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"]] if name.endswith((".json", ".jsonl")) else []
            if name == "wandb-history.jsonl":
                # The offset says where the lines belong: sent again, they replace what they were.
                run["history"][chunk["offset"] :] = lines
            elif name == "wandb-summary.json" and lines:
                run["summaryMetrics"] = lines[-1]
        if body.get("complete"):
            run["state"] = "finished" if body.get("exitcode") == 0 else "failed"
        return 200, {"limits": {}}


def _document(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _first_field(query: str) -> str:
    found = re.search(r"\{\s*(\w+)", query)
    return found[1] if found else "nothing"


def main() -> None:
    """Serve until the input ends."""
    with WandbBackend() as backend:
        print(backend.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
