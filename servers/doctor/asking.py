"""One small question to a service over HTTP, bounded in time and size, and what its failures mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from servers.core.words import cleaned

TIMEOUT_S = 5.0  # of connecting, and of silence
MOST_BYTES = 4_000_000  # a list of models is some hundred kilobytes
SAID_CHARS = 160
SSE_DATA = "data:"


class NotReached(Exception):
    """Nothing answered; in words."""


class NotAllowed(Exception):
    """It answered, and refuses the key; in words."""


class Strange(Exception):
    """Something answered, but not as the service does; in words."""


class Unwell(Exception):
    """It answered that it is busy or has a fault of its own; in words."""


@dataclass(frozen=True)
class Answer:
    """What a service said."""

    body: Any
    headers: Mapping[str, str]


async def ask(
    url: str,
    key: str | None = None,
    *,
    basic: bool = False,
    sends: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask, and read the first JSON document of the answer, be it the body or the first event of a stream.

    Args:
        url: Where.
        key: Goes as a Bearer token; nothing is sent where there is none.
        basic: Whether it goes as the password of basic authentication instead.
        sends: What is posted; None asks with GET.
        headers: Beside the key.

    Raises:
        NotReached: nothing answered in time.
        NotAllowed: the key is refused.
        Unwell: the service is busy or broken.
        Strange: the answer is none of this service's.
    """
    sent = dict(headers or {})
    if key is not None and not basic:
        sent["Authorization"] = f"Bearer {key}"
    auth = ("api", key) if key is not None and basic else None
    method = "GET" if sends is None else "POST"
    try:
        async with (
            httpx2.AsyncClient(timeout=TIMEOUT_S) as client,
            client.stream(method, url, headers=sent, auth=auth, json=sends) as response,
        ):
            body = await _first_document(response)
            if response.status_code >= 400 or isinstance(body, _Garbage):
                raise _failure(url, response.status_code, body)
            return Answer(body, response.headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise NotReached(f"{shown(url)} does not answer: {cleaned(str(error)) or type(error).__name__}") from error


def shown(url: str) -> str:
    """An address without what can hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True)
class _Garbage:
    """An answer that is no JSON."""

    text: str


async def _first_document(response: httpx2.Response) -> Any:
    """The body as JSON; of a stream of events the first one, without waiting for more."""
    is_stream = "text/event-stream" in response.headers.get("content-type", "")
    text = ""
    async for piece in response.aiter_text():
        text += piece
        if is_stream and (found := _event(text)) is not None:
            return found
        if len(text) > MOST_BYTES:
            break
    try:
        return json.loads(text)
    except ValueError:
        return _Garbage(text)


def _event(text: str) -> Any:
    """The first whole event that is JSON; None before there is one."""
    for line in text.splitlines(keepends=True):
        if line.startswith(SSE_DATA) and line.endswith("\n"):
            try:
                return json.loads(line.removeprefix(SSE_DATA))
            except ValueError:
                continue
    return None


def _failure(url: str, status: int, body: Any) -> Exception:
    said = cleaned(_words(body), SAID_CHARS)
    words = f"{shown(url)} answers {status}" + (f": {said}" if said else "")
    if status in (401, 403):
        return NotAllowed(words)
    if status == 429 or status >= 500:
        return Unwell(words)
    return Strange(words)


def _words(body: Any) -> str:
    """What an error says, wherever it says it."""
    if isinstance(body, _Garbage):
        return body.text
    if isinstance(body, dict):
        for name in ("message", "detail", "error", "errors"):
            if body.get(name):
                found = body[name]
                return found if isinstance(found, str) else json.dumps(found)
    return json.dumps(body)
