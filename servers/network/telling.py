"""What a server over HTTP says when it starts: where it is, who may in, and what to type next."""

from collections.abc import Iterable

from servers.network.hosts import Hosts
from servers.network.tokens import Role, Tokens

CLEAR = (
    "plain HTTP: who can read the network can read the token; put a reverse proxy with TLS before it (docs/network.md)"
)


def greeting(base: str, paths: Iterable[str], hosts: Hosts, tokens: Tokens) -> str:
    """The lines.

    Args:
        base: The URL without a path, as clients reach it.
        paths: Of the servers; the one that has them all first.
        hosts: Who reaches it.
        tokens: Which there are.
    """
    first, *others = [f"{base}{path}" for path in paths]
    lines = [f"etude: serving {first}"]
    if others:
        lines += ["       and each server by itself:", *(f"         {url}" for url in others)]
    lines.append(f"       {_who(hosts, tokens)}")
    if tokens and not hosts.is_private and not base.startswith("https:"):
        lines.append(f"       {CLEAR}")
    lines.append(f"       next: etude client-config claude-code --url {first}")
    return "\n".join(lines)


def _who(hosts: Hosts, tokens: Tokens) -> str:
    if not tokens:
        return "open to every program of this machine; set ETUDE_TOKEN to ask for a token"
    may: dict[Role, str] = {"read-write": "everything", "read-only": "read"}
    held = ", ".join(f"one may {may[role]}" for role in tokens.digests)
    where = "this machine" if hosts.is_private else "whoever reaches it"
    return f"open to {where} with a token ({held}): Authorization: Bearer …"
