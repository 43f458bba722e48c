"""The first question that each service is asked, on one address: who are you, and what do you have."""

import asyncio
import json
from types import TracebackType
from typing import Any, Literal, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.doubles.loopback import LoopbackServer

Behaviour = Literal["well", "401", "403", "404", "429", "500", "garbage", "empty", "hangs up", "silent"]
KEYS = {"MISTRAL_API_KEY": "mistral-0123456789", "WANDB_API_KEY": "w" * 40, "HF_TOKEN": "hf_0123456789abcdef"}


class FrontDoors:
    """Mistral, W&B, Weave, the W&B MCP server and Hugging Face at one address; `with` starts and stops it.

    Args:
        behaviour: How every question is answered.
        streams: Whether the MCP server answers with a stream of events that stays open.
        said: What replaces a document, by path.
    """

    def __init__(self, behaviour: Behaviour = "well", streams: bool = True, **said: Any) -> None:
        self.behaviour, self.streams, self.said = behaviour, streams, said
        self.asked: list[str] = []
        """Method and path of each question whose key was right."""

    def __enter__(self) -> Self:
        self._server = LoopbackServer(Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])]))
        self.url = self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What points every service here."""
        names = ("MISTRAL_SERVER_URL", "WANDB_BASE_URL", "WF_TRACE_SERVER_URL", "HF_ENDPOINT")
        return KEYS | dict.fromkeys(names, self.url)

    async def _answer(self, request: Request) -> Response:
        path, given = request.path_params["path"], request.headers.get("authorization", "")
        match self.behaviour:
            case "well":
                pass
            case "garbage":
                return PlainTextResponse(f"<html>you sent {given}</html>")
            case "empty":
                return Response()
            case "hangs up":
                self._server.hang_up(request)
                return Response()
            case "silent":
                await asyncio.sleep(60)
            case status:
                return JSONResponse({"message": f"no: {given} {' '.join(KEYS.values())}"}, int(status))
        self.asked.append(f"{request.method} /{path}")
        document = self.said.get(path.rpartition("/")[2].replace("-", "_"), DOCUMENTS.get(path.removeprefix("traces/")))
        if path == "mcp" and self.streams:
            asked = await request.json()
            return Response(
                f"event: message\ndata: {json.dumps(document | {'id': asked['id']})}\n\n",
                headers={"content-type": "text/event-stream"},
            )
        return JSONResponse(document)


DOCUMENTS: dict[str, Any] = {
    "v1/models": {"object": "list", "data": [{"id": "other"}, {"id": "mistral-large-latest", "aliases": ["large"]}]},
    "graphql": {"data": {"viewer": {"username": "ada", "entity": "ada-team"}}},
    "server_info": {"min_required_weave_python_version": "0.0.1"},
    "mcp": {"jsonrpc": "2.0", "id": 1, "result": {"serverInfo": {"name": "wandb-mcp-server", "version": "0.3.3"}}},
    "api/whoami-v2": {
        "name": "ada",
        "orgs": [{"name": "atelier"}],
        "auth": {"accessToken": {"role": "write"}},
    },
    "api/jobs/hardware": [
        {"name": "a10g-small", "unitCostUSD": 0.0167, "unitLabel": "minute"},
        {"name": "cpu-basic", "unitCostUSD": 0.0002, "unitLabel": "minute"},
    ],
}
