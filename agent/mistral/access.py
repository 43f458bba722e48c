"""Where the language model is: read from the environment, and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

KEY, URL = "MISTRAL_API_KEY", "MISTRAL_SERVER_URL"
LA_PLATEFORME = "https://api.mistral.ai"


@dataclass(frozen=True)
class Access:
    """A server and what opens it."""

    server_url: str
    api_key: str | None = field(repr=False)
    """None for a server that asks for none."""

    @property
    def is_own(self) -> bool:
        """Whether it is on this network, or takes no key: one's own vLLM or llama.cpp, say, which sends no bill."""
        host = urlsplit(self.server_url).hostname or ""
        if f".{host}".endswith(".mistral.ai"):
            return False
        if self.api_key is None:
            return True
        try:
            return ip_address(host).is_private
        except ValueError:  # a name
            return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan"))


def access_from(environment: Mapping[str, str]) -> Access | None:
    """What the environment names; None where it names neither key nor server.

    Raises:
        ValueError: MISTRAL_SERVER_URL is no URL.
    """
    key, url = environment.get(KEY) or None, environment.get(URL) or None
    if key is None and url is None:
        return None
    if url is None:
        return Access(LA_PLATEFORME, key)
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise ValueError(f"{URL} holds a secret or a query, and is shown on the screen; put the key into {KEY}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{URL} is {url!r}, which is no address of a server; give one like http://localhost:8000")
    # The SDK adds /v1 itself; most servers print their address with it.
    return Access(url.rstrip("/").removesuffix("/v1"), key)
