"""Under which names the server answers, and which web pages may ask it.

A page that a browser shows may send requests to any server that the browser reaches. Two headers tell such a request
from an honest one: `Host`, which a page can only set to a name of its own (DNS rebinding), and `Origin`, which a
browser sets to where the page came from. A client that is no browser sends no Origin.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
EXAMPLE = "127.0.0.1:8321"


def parse_bind(text: str) -> tuple[str, int]:
    """Where to listen, from `HOST:PORT`; an IPv6 address stands in brackets, port 0 lets the system choose.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or ("[" in host) or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, such as {EXAMPLE}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, which nobody else can reach."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_public_url(text: str) -> SplitResult:
    """The URL under which a reverse proxy shows the server.

    Raises:
        ValueError: it is none, or says more than a scheme, a host, a port and a path.
    """
    parts = urlsplit(text)
    try:
        whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number
        whole = False
    if not whole or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{text!r} is no plain URL, such as https://example.org/etude")
    return parts._replace(path=parts.path.rstrip("/"))


def parse_origin(text: str) -> str:
    """An origin as browsers write it: scheme, host, port, nothing else.

    Raises:
        ValueError: it is none; `*` and `null` are none, because they stand for everybody.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "*" in text or "@" in text:
        raise ValueError(f"{text!r} is no origin, such as https://app.example.org")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r} has a path; an origin is scheme and host, such as https://app.example.org")
    return f"{parts.scheme}://{parts.netloc}".lower()


@dataclass(frozen=True)
class Hosts:
    """The names that the server answers to, and the origins that may ask it.

    Args:
        bound: The address that it listens on.
        public: How a reverse proxy shows it, if one does.
        origins: Allowed beside its own.
    """

    bound: str
    public: SplitResult | None = None
    origins: Collection[str] = ()

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.bound) and (self.public is None or is_loopback(self.public.hostname or ""))

    def knows(self, header: str | None) -> bool:
        """Whether a Host header names this server. Its port says nothing: a tunnel or a proxy may have another."""
        if (host := _host_of(header)) is None:
            return False
        if host in LOOPBACK_NAMES or (self.public is not None and host == self.public.hostname):
            return True
        # An address is no name that a page could have rebound.
        return not is_loopback(self.bound) and (is_address(host) or host in _names_of_this_machine())

    def lets_ask(self, origin: str, host_header: str | None) -> bool:
        """Whether a page from this origin may ask: one that is named, or one of this very server."""
        own = {f"http://{host_header}", f"https://{host_header}"} if host_header else set()
        if self.public is not None:
            own.add(f"{self.public.scheme}://{self.public.netloc}")
        return origin.lower() in {*self.origins, *(one.lower() for one in own)}


def _host_of(header: str | None) -> str | None:
    """The name or address in a Host header, in small letters; None where it is none."""
    if not header or any(char in header for char in " /@\\,"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    return (parts.hostname or "").removesuffix(".") or None


def _names_of_this_machine() -> tuple[str, ...]:
    name = socket.gethostname().lower()
    return (name, f"{name}.local")
