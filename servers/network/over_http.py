"""Put together what `etude serve … --http` serves: who may in, where each server is, what watches over it."""

import os
import socket
from argparse import Namespace
from collections.abc import Mapping, MutableMapping
from typing import Any

import anyio
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
from servers.network.request_log import say
from servers.network.rooms import ALL, build, names
from servers.network.serving import run
from servers.network.telling import greeting
from servers.network.together import Together
from servers.network.tokens import TOKEN, Tokens, read_tokens
from servers.network.traffic import Traffic
from servers.room import log_plainly

SESSION_IDLE_S = 30 * 60.0
MAX_SESSIONS = 100  # of one server, with clients of the older protocols; the newest has none
# `entrance` has looked at Host and Origin before.
LOOKED_AT = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def over_http(asked: Namespace, settings: Settings, environment: MutableMapping[str, str] = os.environ) -> int:
    """Serve until a signal says to stop; the exit code.

    Raises:
        ValueError: it cannot be served so; one line that says why.
        OSError: the address cannot be listened on.
    """
    tokens = read_tokens(token_sources(asked), environment)
    bound = _bound(*asked.http)
    hosts = Hosts(bound.getsockname()[0], asked.public_url, frozenset(asked.allow_origin))
    refuse_open_door(hosts, tokens)
    log_plainly()
    traffic = Traffic()
    entrance = Entrance(
        mounted={path: _mounted(server, traffic) for path, server in servers_by_path(asked.name, settings).items()},
        hosts=hosts,
        proxies=Proxies(asked.trust_proxy),
        tokens=tokens,
        probes=Probes(settings, traffic),
        traffic=traffic,
    )
    base = _base(bound, hosts)
    return run(entrance, bound, lambda: say(greeting(base, entrance.mounted, hosts, tokens)))


def servers_by_path(name: str, settings: Settings) -> Mapping[str, MCPServer[Any]]:
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


def refuse_open_door(hosts: Hosts, tokens: Tokens) -> None:
    """Refuse to serve whoever asks.

    Raises:
        ValueError: others than this machine reach the server, and it asks for no token.
    """
    if not tokens and not hosts.is_private:
        public = hosts.public.geturl() if hosts.public is not None else hosts.bound
        raise ValueError(
            f"others reach {public}, so a token is needed: {TOKEN}=$(openssl rand -hex 32), or --token-file FILE; "
            "without one, listen on 127.0.0.1"
        )


def _mounted(server: MCPServer[Any], traffic: Traffic) -> Mounted:
    server.middleware[:0] = [traffic.on_message, show_readable]
    # For the session manager that it makes; its own routes would redirect to a path that a proxy does not know.
    server.streamable_http_app(
        session_idle_timeout=SESSION_IDLE_S,
        max_sessions=MAX_SESSIONS,
        max_request_body_size=MAX_BYTES,
        transport_security=LOOKED_AT,
    )
    return Mounted(server.session_manager, anyio.run(readable_tools, server))


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        bound.bind(address)
    except OSError as error:
        raise ValueError(f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from error
    return bound


def _base(bound: socket.socket, hosts: Hosts) -> str:
    if hosts.public is not None:
        return hosts.public.geturl()
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
