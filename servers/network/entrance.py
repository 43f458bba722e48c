"""The way of a request from the socket to a server: each step lets it pass or refuses it, and nothing is skipped."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from servers.network import browsers
from servers.network.bodies import Body, ClientLeft, read_body
from servers.network.forwarding import Proxies, was_forwarded
from servers.network.hosts import Hosts
from servers.network.permission import NO_TOKEN, WRONG_TOKEN, bearer, refuse_change
from servers.network.probes import Probes
from servers.network.rates import Rates
from servers.network.refused import Refused
from servers.network.request_log import Line
from servers.network.sessions import Sessions
from servers.network.tokens import Role, Tokens
from servers.network.traffic import STOPPING, Traffic

logger = logging.getLogger(__name__)

ALLOWED = "DELETE, GET, POST"
SESSION = "mcp-session-id"
OPEN = "initialize"  # the request of the older protocols that opens a session
LISTEN = "subscriptions/listen"  # the request of the newest protocol whose answer is a stream without end
BODY_LIMIT_S = 30.0
BURST, PER_S = 240, 40.0  # of one token at one address: a cycle is 70 calls, an agent makes some 20 a second
BURST_REFUSED, PER_S_REFUSED = 60, 1.0  # of one address that is refused
TOO_OFTEN = "too many requests; wait {} s"


@dataclass(frozen=True)
class Mounted:
    """A server at its path."""

    manager: StreamableHTTPSessionManager
    readable: frozenset[str]
    """Its tools that change nothing."""
    sessions: Sessions


@dataclass
class Entrance:
    """The ASGI application.

    Args:
        mounted: Servers by path.
        hosts: Names and origins.
        proxies: Which are believed.
        tokens: What opens the door.
        probes: What is answered to anybody.
        traffic: What is under way.
    """

    mounted: Mapping[str, Mounted]
    hosts: Hosts
    proxies: Proxies
    tokens: Tokens
    probes: Probes
    traffic: Traffic
    rates: Rates = field(default_factory=lambda: Rates(BURST, PER_S))
    refusals: Rates = field(default_factory=lambda: Rates(BURST_REFUSED, PER_S_REFUSED))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        client = self.proxies.client_of((scope.get("client") or (None,))[0], headers)
        answer = _Answer(send, Line(scope["method"], scope["path"], client))
        try:
            await self._pass(scope, headers, receive, answer)
        except Refused as refused:
            await answer.send_whole(self._refusal(refused, answer.line), scope, receive)
        except ClientLeft:
            return
        except Exception:
            logger.exception("a request failed")
            if not answer.is_begun:
                await answer.send_whole(Refused(500, "the server failed; its log says why").response(), scope, receive)
        finally:
            answer.line.tell()

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, answer: "_Answer") -> None:
        path, line = _path_of(scope["path"], self.hosts.public), answer.line
        # Before all checks: who supervises asks by address, and gets nothing that is private.
        if (found := await self.probes.answer(path)) is not None:
            line.is_told = found.status_code != 200
            return await answer.send_whole(found, scope, receive)
        self._check_where_from(headers, answer)
        if browsers.is_preflight(scope["method"], headers):
            return await answer.send_whole(browsers.preflight(), scope, receive)
        mounted = self._mounted_at(path, scope["method"])
        role = self._role(headers)
        line.role = role or "-"
        if wait_s := self.rates.wait_s(f"{line.role} {line.client}"):
            raise Refused(429, TOO_OFTEN.format(wait_s), {"Retry-After": str(wait_s)})
        is_stream = scope["method"] == "GET"
        self.traffic.refuse_more(role, is_stream)
        body = Body(b"", None)
        if not is_stream:
            with self.traffic.request(role, is_stream=False):
                body = await read_body(headers, receive, BODY_LIMIT_S)
            line.message = " ".join(word for word in (body.method, body.tool) if word)
            refuse_change(role, body, mounted.readable)
            is_stream = body.method == LISTEN
            self.traffic.refuse_more(role, is_stream, body.method)
        if role is not None:
            scope = {**scope, "user": bearer(role)}
        session_id = headers.get(SESSION)
        if session_id is None and body.method == OPEN:
            await mounted.sessions.make_room(role)
        with self.traffic.request(role, is_stream) as waiting, mounted.sessions.used(session_id, role):
            await mounted.manager.handle_request(scope, body.replayed(receive), answer.send)
        if answer.session_id is not None and session_id is None:
            mounted.sessions.note(answer.session_id, role)
        if waiting.cancelled_caught and not answer.is_begun:
            raise Refused(503, STOPPING, {"Connection": "close"})
        if waiting.cancelled_caught:
            await answer.finish()

    def _check_where_from(self, headers: Headers, answer: "_Answer") -> None:
        host, origin = headers.get("host"), headers.get("origin")
        if not self.hosts.knows(host):
            raise Refused(
                421, f"this server does not answer for {host!r}; it is told its public name with --public-url"
            )
        if not self.tokens and was_forwarded(headers):
            raise Refused(403, "this came through a proxy, and the server asks for no token; start it with a token")
        if origin is not None:
            if not self.hosts.lets_ask(origin, host):
                raise Refused(403, f"pages of {origin!r} may not ask; the server is told who may with --allow-origin")
            answer.added += browsers.headers_for(origin)

    def _mounted_at(self, path: str, method: str) -> Mounted:
        if (mounted := self.mounted.get(path)) is None:
            raise Refused(404, f"nothing is here; the servers are at {', '.join(self.mounted)}")
        if method not in ALLOWED.split(", "):
            raise Refused(405, f"{method} is not taken here; MCP speaks with POST", {"Allow": ALLOWED})
        return mounted

    def _role(self, headers: Headers) -> Role | None:
        if not self.tokens:
            return None
        given = headers.getlist("authorization")
        if not given:
            raise Refused(401, "this server asks for a token; send the header Authorization: Bearer TOKEN", NO_TOKEN)
        if len(given) > 1 or (role := self.tokens.role_of(given[0])) is None:
            raise Refused(401, "this token does not open the server; ask who runs it for another", WRONG_TOKEN)
        return role

    def _refusal(self, refused: Refused, line: Line) -> Response:
        """The answer to a refused request; who is refused too often is told so, and is not written down any more."""
        line.why = refused.words
        if refused.status in (401, 403, 404, 405, 421) and (wait_s := self.refusals.wait_s(line.client)):
            line.is_told = False
            return Refused(429, TOO_OFTEN.format(wait_s), {"Retry-After": str(wait_s)}).response()
        return refused.response()


class _Answer:
    """What a client gets: it is watched for the log, and has the headers that every answer has."""

    def __init__(self, send: Send, line: Line) -> None:
        self._send, self.line = send, line
        self.added: list[tuple[bytes, bytes]] = [(b"x-content-type-options", b"nosniff")]
        self.is_begun = self._is_whole = False
        self.session_id: str | None = None
        """Of the session that the answer is in, where it went well."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun, self.line.status = True, message["status"]
            self.session_id = Headers(raw=message.get("headers", [])).get(SESSION) if message["status"] < 400 else None
            message = {**message, "headers": [*message.get("headers", []), *self.added]}
        elif message["type"] == "http.response.body":
            self._is_whole = not message.get("more_body", False)
        await self._send(message)

    async def send_whole(self, response: Response, scope: Scope, receive: Receive) -> None:
        await response(scope, receive, self.send)

    async def finish(self) -> None:
        """End a stream as if there were nothing more to say."""
        if not self._is_whole:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def _path_of(path: str, public: SplitResult | None) -> str:
    """The path of a server: a proxy may pass its own prefix on, and a person may end the path in a slash."""
    if public is not None and public.path and path.startswith(public.path + "/"):
        path = path.removeprefix(public.path)
    return path.rstrip("/") or "/"
