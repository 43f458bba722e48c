"""The site over HTTP: GET and HEAD, this machine only, nothing that a page could run or load.

The policy that a page carries is sent as a header as well. A request for another host's name is refused, or a page
elsewhere could read ours by pointing its own name here (DNS rebinding).
"""

import re
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from servers.playbook.site.addresses import NoSuchPage, served
from servers.playbook.site.rendering import error_html
from servers.playbook.site.site import Site

NAMES = ["127.0.0.1", "localhost"]
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)"')
_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SiteServer(uvicorn.Server):
    """What answers on this machine.

    Args:
        site: The pages.
        on_start: Called once requests are taken, and Ctrl-C is listened to: who reads an address may press it at once.
    """

    def __init__(self, site: Site, on_start: Callable[[], None]) -> None:
        self._on_start = on_start
        app = application(site)
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()


def application(site: Site) -> Starlette:
    """The server's application."""

    def answer(request: Request) -> Response:
        key = request.path_params["key"].strip("/")
        if key == "favicon.ico":
            return Response(status_code=204, headers=_HEADERS)
        try:
            query = request.query_params.get("q", "")
            return _page(site.page(key, served, query), 200)
        except NoSuchPage as error:
            return _page(error_html("No such page", str(error), served), 404)
        except (ValueError, OSError) as error:
            return _page(error_html("This page cannot be made", str(error), served), 500)

    return Starlette(
        routes=[Route("/{key:path}", answer, methods=["GET"])],  # Starlette adds HEAD
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False)],
    )


def _page(html: str, status: int) -> Response:
    policy = _POLICY.search(html)
    carried = policy[1] if policy else "default-src 'none'"
    headers = {**_HEADERS, "Content-Security-Policy": f"{carried.replace('&#39;', chr(39))}; frame-ancestors 'none'"}
    return HTMLResponse(html, status_code=status, headers=headers)
