"""What a web page's script needs to ask the server, for the origins that may: the headers of CORS."""

from starlette.datastructures import Headers
from starlette.responses import Response

METHODS = "GET, POST, DELETE"
ASKED = "Accept, Authorization, Content-Type, Last-Event-ID, Mcp-Method, Mcp-Name, MCP-Protocol-Version, Mcp-Session-Id"
SHOWN = "Mcp-Session-Id, Retry-After, WWW-Authenticate"
KEPT_S = 600


def headers_for(origin: str) -> list[tuple[bytes, bytes]]:
    """What every answer to an allowed origin has, so that its script may read it."""
    named = {"access-control-allow-origin": origin, "access-control-expose-headers": SHOWN, "vary": "Origin"}
    return [(name.encode(), value.encode("latin-1")) for name, value in named.items()]


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if its page may ask."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight() -> Response:
    """That it may; `headers_for` says who."""
    allowed = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": ASKED,
        "Access-Control-Max-Age": str(KEPT_S),
    }
    return Response(status_code=204, headers=allowed)
