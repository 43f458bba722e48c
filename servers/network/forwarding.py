"""Who asks, where reverse proxies stand between.

A header that says for whom a proxy asks is believed only of the proxies that were named; anybody can write one.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MARKS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
UNKNOWN = "unknown"


def parse_proxy(text: str) -> Network:
    """A proxy's address, or a network of them.

    Raises:
        ValueError: it is none.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address or network, such as 127.0.0.1 or 10.0.0.0/8") from error


@dataclass(frozen=True)
class Proxies:
    """The proxies that are believed."""

    networks: Sequence[Network] = ()

    def client_of(self, peer: str | None, headers: Headers) -> str:
        """The address that a request comes from, as far as it can be believed.

        Args:
            peer: The other end of the connection.
            headers: Of the request.
        """
        client = peer or UNKNOWN
        if not self._believes(client):
            return client
        hops = [hop.strip() for line in headers.getlist("x-forwarded-for") for hop in line.split(",")]
        for hop in reversed(hops):  # each proxy adds at the end whom it saw
            if not _is_address(hop):
                return client
            client = hop
            if not self._believes(hop):
                return client
        return client

    def _believes(self, address: str) -> bool:
        if not _is_address(address):
            return False
        return any(ipaddress.ip_address(address) in network for network in self.networks)


def was_forwarded(headers: Headers) -> bool:
    """Whether a request says of itself that it came through a proxy."""
    return any(mark in headers for mark in MARKS)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
