"""The address of a server of one's own or of somebody else: whether it is one, and whether it sends a bill."""

from ipaddress import ip_address
from urllib.parse import urlsplit

LOCAL_ENDINGS = (".local", ".localhost", ".internal", ".lan")


def refuse_url(url: str, name: str) -> None:
    """Refuse what is no address, and one that holds a secret: it is shown, and written into jobs.

    Args:
        url: The address.
        name: Of the variable that it stands in.

    Raises:
        ValueError: which of both; the secret is not repeated.
    """
    try:
        parts = urlsplit(url)
        is_secret, is_address = "@" in parts.netloc or bool(parts.query), bool(parts.hostname)
    except ValueError:
        raise ValueError(f"{name} is no address of a server; give one like http://localhost:8000") from None
    if is_secret:
        raise ValueError(f"{name} holds a secret or a query, and is written into jobs; put the key into its variable")
    if parts.scheme not in ("http", "https") or not is_address:
        raise ValueError(f"{name} is {url!r}, which is no address of a server; give one like http://localhost:8000")


def is_own(url: str, has_key: bool) -> bool:
    """Whether a server is on this network, or takes no key: one's own vLLM or llama.cpp, which sends no bill.

    The brain goes by the same rule (`agent/mistral/access.py`), so one budget means the same for both.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no address, and so nobody's own
        return False
    if f".{host}".endswith(".mistral.ai"):
        return False
    if not has_key:
        return True
    try:
        return ip_address(host).is_private
    except ValueError:  # a name
        return "." not in host or host.endswith(LOCAL_ENDINGS)
