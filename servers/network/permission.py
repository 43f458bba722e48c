"""What a token that may only read is shown and let do: the tools that say of themselves that they change nothing.

The others are left out of `tools/list`, so that a model does not plan with them, and a call of one is answered with
403, as the protocol wants it where a token is good and not good enough. Resources, prompts and completions only read.
"""

from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from starlette.types import Scope

from servers.network.bodies import Body
from servers.network.refused import Refused
from servers.network.tokens import Role

REALM = 'Bearer realm="etude"'
NO_TOKEN = {"WWW-Authenticate": REALM}
WRONG_TOKEN = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
TOO_LITTLE = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="read-write"'}


async def readable_tools(server: MCPServer[Any]) -> frozenset[str]:
    """The tools of a server that change nothing."""
    return frozenset(
        tool.name for tool in await server.list_tools() if tool.annotations and tool.annotations.read_only_hint
    )


def bearer(role: Role) -> AuthenticatedUser:
    """Who a request comes from, as the SDK keeps it: a session can be used only by who opened it."""
    return AuthenticatedUser(AccessToken(token=role, client_id=role, scopes=[role]))


def refuse_change(role: Role | None, body: Body, readable: frozenset[str]) -> None:
    """Refuse a call that a token is not good for.

    Raises:
        Refused: the token may only read, and the tool may change something.
    """
    if role == "read-only" and body.method == "tools/call" and body.tool not in readable:
        raise Refused(
            403,
            f"this token may only read, and {body.tool!r} is none of the tools that change nothing; "
            "use the read-write token",
            TOO_LITTLE,
            body.request_id,
        )


async def show_readable(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Leave out of `tools/list` what the bearer may not call."""
    result = await call_next(ctx)
    if ctx.method != "tools/list" or not isinstance(result, dict) or not _only_reads(getattr(ctx.request, "scope", {})):
        return result
    shown = [tool for tool in result["tools"] if (tool.get("annotations") or {}).get("readOnlyHint")]
    return {**result, "tools": shown}


def _only_reads(scope: Scope) -> bool:
    user = scope.get("user")
    return isinstance(user, AuthenticatedUser) and "read-write" not in user.scopes
