"""Put together what `etude serve … --http` serves: who may in, where each server is, what watches over it."""

import os
import socket
from argparse import Namespace
from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack
from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from servers.core.services import Services
from servers.core.settings import Settings
from servers.network.arguments import token_sources
from servers.network.bodies import MAX_BYTES
from servers.network.entrance import Entrance, Mounted
from servers.network.forwarding import Proxies
from servers.network.hosts import Hosts
from servers.network.permission import readable_tools, show_readable
from servers.network.probes import Probes
from servers.network.rooms import ALL, build, names
from servers.network.serving import House, run
from servers.network.sessions import MAX_SESSIONS, Sessions
from servers.network.telling import greeting
from servers.network.together import Together
from servers.network.tokens import TOKEN, Tokens, read_tokens
from servers.network.traffic import MAX_REQUESTS, Traffic
from servers.room import log_plainly

SESSION_IDLE_S = 30 * 60.0
# `entrance` has looked at Host and Origin before.
LOOKED_AT = TransportSecuritySettings(enable_dns_rebinding_protection=False)

Servers = Mapping[str, MCPServer[Any]]


def over_http(asked: Namespace, settings: Settings) -> int:
    """Serve until a signal says to stop; the exit code.

    Raises:
        ValueError: it cannot be served so; one line that says why.
    """
    log_plainly()
    return run(lambda: prepared(asked, settings))


async def prepared(asked: Namespace, settings: Settings, environment: MutableMapping[str, str] = os.environ) -> House:
    """All that is needed to serve, before anybody is served.

    Args:
        asked: The words of `etude serve`.
        settings: Where the servers work.
        environment: Holds the tokens, and loses them.

    Raises:
        ValueError: it cannot be served so; one line that says why.
    """
    tokens = read_tokens(token_sources(asked), environment)
    with ExitStack() as until_it_serves:
        bound = until_it_serves.enter_context(_bound(*asked.http))
        hosts = Hosts(bound.getsockname()[0], asked.public_url, frozenset(asked.allow_origin))
        refuse_open_door(hosts, tokens)
        servers = servers_by_path(asked.name, settings)
        entrance = await entrance_to(servers, settings, hosts, tokens, Proxies(asked.trust_proxy))
        until_it_serves.pop_all()  # uvicorn closes the socket
    return House(entrance, bound, greeting(_base(bound, hosts), servers, hosts, tokens))


def servers_by_path(name: str, settings: Settings) -> Servers:
    """The servers behind a name; of all of them first the one that has what they all have.

    Raises:
        ValueError: the configuration or the task cannot be used.
    """
    workspace, task = settings.open()
    services = Services.here(settings)
    services.refuse_missing()
    rooms = {room: build(room, workspace, task, services) for room in names(name, services)}
    together: dict[str, MCPServer[Any]] = {"/mcp": Together(list(rooms.values()))} if name == ALL else {}
    return together | {f"/{room}/mcp": built.server for room, built in rooms.items()}


async def entrance_to(
    servers: Servers,
    settings: Settings,
    hosts: Hosts,
    tokens: Tokens,
    proxies: Proxies,
    session_idle_s: float = SESSION_IDLE_S,
) -> Entrance:
    """The way in to some servers.

    Args:
        servers: By path; each can be served once.
        settings: Where they work.
        hosts: Under which names.
        tokens: What opens the door.
        proxies: Which are believed.
        session_idle_s: How long a client of the older protocols may be silent.
    """
    traffic, mounted = Traffic(), {}
    for path, server in servers.items():
        server.middleware[:0] = [traffic.on_message, show_readable]
        # For the session manager that it makes; its own routes would redirect to a path that a proxy does not know.
        server.streamable_http_app(
            session_idle_timeout=session_idle_s,
            max_sessions=2 * (MAX_SESSIONS + MAX_REQUESTS),  # never reached: `sessions` makes room before
            max_request_body_size=MAX_BYTES,
            transport_security=LOOKED_AT,
        )
        manager = server.session_manager
        mounted[path] = Mounted(manager, await readable_tools(server), Sessions(manager))
    return Entrance(mounted, hosts, proxies, tokens, Probes(settings, traffic), traffic)


def refuse_open_door(hosts: Hosts, tokens: Tokens) -> None:
    """Refuse to serve whoever asks.

    Raises:
        ValueError: others than this machine reach the server, and it asks for no token.
    """
    if not tokens and not hosts.is_private:
        public = hosts.public.geturl() if hosts.public is not None else hosts.bound
        raise ValueError(
            f"others reach {public}, so a token is needed: export {TOKEN}=$(openssl rand -hex 32), or give "
            "--token-file FILE; without one, listen on 127.0.0.1"
        )


def _bound(host: str, port: int) -> socket.socket:
    """A socket with that address, which does not listen yet."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as until_bound:
            bound = until_bound.enter_context(socket.socket(family, kind))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
            bound.bind(address)
            until_bound.pop_all()
    except OSError as error:
        raise ValueError(f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from error
    return bound


def _base(bound: socket.socket, hosts: Hosts) -> str:
    """The URL without a path, as clients reach the server."""
    if hosts.public is not None:
        return hosts.public.geturl()
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
