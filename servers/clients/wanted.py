"""Which servers a client is to reach, before it is said in any client's words.

A key is named here, never read: whether a variable is set is all that is looked at.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from servers.core.services import HF_KEY, MISTRAL_KEY, MISTRAL_URL, WANDB_KEY
from servers.core.settings import CONFIG, Settings
from servers.core.task import TASKS

ROOMS = {
    "eval": "measures and judges",
    "augment": "makes training rows",
    "retrain": "trains, promotes, rolls back",
    "playbook": "says what comes next, writes down what was learned",
}
TOKEN = "ETUDE_TOKEN"  # what opens `etude serve all --http`
LOOPBACK = ("localhost", "127.0.0.1", "::1")
KEYS = (MISTRAL_KEY, WANDB_KEY, HF_KEY)
SETTINGS = (
    MISTRAL_URL, "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip

# The official W&B MCP server: as in agent/wandb_server.py, which a test holds together with this.
CLOUD, HOSTED = "https://api.wandb.ai", "https://mcp.withwandb.com/mcp"
COMMAND = [
    "uvx", "--from", "git+https://github.com/wandb/wandb-mcp-server@v0.3.3",
    "--with", "mcp<2", "--with", "wandb<0.27", "--with", "weave<0.54", "wandb_mcp_server",
]  # fmt: skip
QUIET = {
    "MCP_ANALYTICS_DISABLED": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MCP_PROXY_DOCS": "false",
    "WANDB_SILENT": "true",
    "WEAVE_DISABLED": "true",
}

STAND_IN = "EMBEDDED: our stand-in over the local tracker, not W&B's own server"

Wandb = Literal["hosted", "local", "stand-in", "none"]


@dataclass(frozen=True)
class Local:
    """A server that the client starts as a child process."""

    name: str
    about: str
    command: list[str]
    keys: tuple[str, ...] = ()
    """Variables with secrets that it is to get."""
    settings: tuple[str, ...] = ()
    """Other variables that it is to get, where the client hands none on by itself."""
    plain: Mapping[str, str] = field(default_factory=dict)
    """Variables without a secret, with their values."""


@dataclass(frozen=True)
class Remote:
    """A server that runs already and is reached by streamable HTTP, with a Bearer token where it asks for one."""

    name: str
    about: str
    url: str
    token: str | None
    """The variable that holds the token; null where none is asked for."""


Server = Local | Remote


def keys_set(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that Étude's servers know and that are set, by name."""
    return tuple(name for name in KEYS if environment.get(name))


def own(each: bool, where: list[str], keys: tuple[str, ...], environment: Mapping[str, str]) -> list[Server]:
    """Étude's servers as child processes: all in one, or one entry each.

    Args:
        each: One entry each.
        where: Options that lead a server to its work.
        keys: The variables with a key that they are to get.
        environment: Which other variables are set.
    """
    # Without either there is no service that they could lead to.
    settings = _set(SETTINGS, environment) if keys or environment.get(MISTRAL_URL) else ()
    together = "Étude: all its tools in one server"
    if WANDB_KEY not in keys:
        together += f"; those of W&B are {STAND_IN}"  # `serve all` has it where nothing goes to W&B
    names = ROOMS if each else {"all": together}
    return [
        Local(f"etude-{name}" if each else "etude", about, [*etude(), "serve", name, *where], keys, settings)
        for name, about in names.items()
    ]


def own_elsewhere(url: str, each: bool, environment: Mapping[str, str]) -> list[Server]:
    """Étude's servers behind `etude serve all --http`: all in one, or one entry each; or the one that is named.

    On this machine it is open as long as it was given no token; a client would not start with a reference to a variable
    that is not set.

    Raises:
        ValueError: the address cannot be used; one line that says why.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"--url {url!r} is no address; give one such as https://etude.example.org")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("--url holds more than an address; a token goes into the environment, as " + TOKEN)
    is_here = parts.hostname in LOOPBACK
    if parts.scheme == "http" and not is_here:
        raise ValueError(f"--url {url!r} would send the token in the clear; use https, or a loopback address")
    base, token = url.rstrip("/"), None if is_here and not environment.get(TOKEN) else TOKEN
    if not each or base.endswith("/mcp"):
        return [Remote("etude", "Étude", base if base.endswith("/mcp") else f"{base}/mcp", token)]
    return [Remote(f"etude-{name}", about, f"{base}/{name}/mcp", token) for name, about in ROOMS.items()]


def wandb(kind: Wandb, settings: Settings, where: list[str], environment: Mapping[str, str]) -> list[Server]:
    """The W&B MCP server, in the form that is asked for.

    Args:
        kind: Which form.
        settings: The table [agent.wandb] may name another address or command.
        where: Options that lead the stand-in to the artifacts.
        environment: Where an instance of one's own is named; no key is read.
    """
    table = settings.agent.get("wandb")
    told: dict[str, Any] = table if isinstance(table, dict) else {}
    base = (environment.get("WANDB_BASE_URL") or CLOUD).rstrip("/")
    if kind == "hosted":
        url = told.get("url") or (HOSTED if base == CLOUD else f"{base}/mcp")
        return [Remote("wandb", "the official W&B MCP server, hosted by W&B", url, WANDB_KEY)]
    if kind == "local":
        command = [str(word) for word in told.get("command") or COMMAND]
        traces = {} if base == CLOUD else {name: f"{base}/traces" for name in _TRACES}
        about = "the official W&B MCP server, as a process of this machine"
        settings_set = _set(("WANDB_BASE_URL", "WANDB_ENTITY", *SETTINGS[4:]), environment)
        return [Local("wandb", about, found(command), (WANDB_KEY,), settings_set, QUIET | traces)]
    if kind == "stand-in":
        return [Local("wandb-stand-in", STAND_IN, [*etude(), "serve", "wandb", *where])]
    return []


def place(settings: Settings, config: Path | None, task: str | None) -> list[str]:
    """The options that lead a server to its work from wherever a client starts it: every path in full.

    Raises:
        ValueError: the configuration names a path that means something else elsewhere.
    """
    if config is None and CONFIG.exists():
        config = CONFIG
    if settings.sealed is not None and not settings.sealed.is_absolute():
        raise ValueError(
            f"{config}: sealed = {str(settings.sealed)!r} would mean another folder where a client starts the server; "
            f"write {str(settings.sealed.resolve())!r}"
        )
    words = [f"--artifacts={settings.artifacts.resolve()}"]
    named = settings.task
    is_built_in = "/" not in named and (TASKS / f"{named}.toml").is_file()
    if not is_built_in:
        words.append(f"--task={Path(named).resolve()}")
    elif task is not None:
        words.append(f"--task={named}")
    return [*words, *([f"--config={config.resolve()}"] if config is not None else [])]


def etude() -> list[str]:
    """What starts the command `etude` from anywhere."""
    script = Path(sys.executable).with_name("etude")
    # -P: a client starts it in a folder of the person's, which may hold packages of the same names.
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "agent.cli"]


def found(command: list[str]) -> list[str]:
    """A command with its program in full where it is found: clients with a window do not know the shell's PATH."""
    return [shutil.which(command[0]) or command[0], *command[1:]]


_TRACES = ("WF_TRACE_SERVER_URL", "WEAVE_TRACE_SERVER_URL")


def _set(names: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in names if environment.get(name))
