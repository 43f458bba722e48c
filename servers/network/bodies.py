"""A request's body: whole, in bounds and in time, read once and then handed on as it came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from servers.network.refused import Refused

MAX_BYTES = 4 * 1024 * 1024  # record_context takes the W&B replies of a whole cycle
ONLY_JSON = "the body is no JSON-RPC message"


class ClientLeft(Exception):
    """The client hung up before its request was whole."""


@dataclass(frozen=True)
class Body:
    """What a request holds.

    A message whose keys stand twice is refused, so that everybody who reads it reads the same.
    """

    content: bytes
    message: Mapping[str, Any] | None
    """The JSON-RPC message; None for a request without a body."""

    @property
    def method(self) -> str | None:
        found = (self.message or {}).get("method")
        return found if isinstance(found, str) else None

    @property
    def tool(self) -> str | None:
        """The tool that it calls."""
        params = (self.message or {}).get("params")
        found = params.get("name") if self.method == "tools/call" and isinstance(params, dict) else None
        return found if isinstance(found, str) else None

    @property
    def request_id(self) -> str | int | None:
        found = (self.message or {}).get("id")
        return found if isinstance(found, (str, int)) else None

    def replayed(self, receive: Receive) -> Receive:
        """A `receive` that gives the body first, and then what comes after it."""
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": self.content, "more_body": False}

        return again


async def read_body(headers: Headers, receive: Receive, limit_s: float) -> Body:
    """Read all of a request's body.

    Args:
        headers: Of the request.
        receive: Gives the body, piece by piece.
        limit_s: How long all of it may take.

    Raises:
        Refused: it is too large, too slow, or no JSON.
        ClientLeft: it does not come any more.
    """
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BYTES:
        raise _too_large()
    content = bytearray()
    try:
        with anyio.fail_after(limit_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientLeft
                content += message.get("body", b"")
                if len(content) > MAX_BYTES:
                    raise _too_large()
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {limit_s:g} s", {"Connection": "close"}) from None
    return Body(bytes(content), _parsed(bytes(content)) if content else None)


def _too_large() -> Refused:
    return Refused(413, f"the body is larger than {MAX_BYTES} bytes; send less at once")


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):  # oversized numbers, half characters, keys that stand twice, deep nesting
        raise Refused(400, ONLY_JSON) from None
    if not isinstance(found, dict):
        raise Refused(400, f"{ONLY_JSON}; batches are not taken")
    return found


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found
