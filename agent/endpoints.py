"""Which MCP servers a run talks to: the five that come with Étude, or those of a standard `mcpServers` file.

Such a file is what chat clients read: `{"mcpServers": {NAME: {"command": …, "args": …, "env": …, "cwd": …}}}`, or
`{"url": …, "headers": …}` for a server reached by streamable HTTP. `${NAME}` in env and headers is taken from the
environment, so that a key never stands in a file.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ROOMS = {
    "eval": "servers.eval",
    "augment": "servers.augment",
    "retrain": "servers.retrain",
    "playbook": "servers.playbook",
    "wandb": "servers.wandb_local",
}
# What the house's servers look at; a child inherits nothing else of ours.
PASSED_ON = re.compile(
    r"(WANDB|WEAVE|WF|MISTRAL|HF|HUGGINGFACE|ETUDE)_[A-Z0-9_]+|SSL_CERT_(FILE|DIR)|HTTPS?_PROXY|NO_PROXY"
)
MIN_SECRET_CHARS = 8
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Reached(BaseModel):
    """What may be said of any server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_limit_s: float | None = Field(default=None, gt=0, le=3600)
    """How long it may take until it has listed its tools; 30 where nothing is said."""
    only: list[str] = []
    """The tools of it that are used; all where the list is empty."""


class Stdio(_Reached):
    """A server that is started as a child process."""

    type: Literal["stdio"] = "stdio"
    command: str
    args: list[str] = []
    env: dict[str, str] = {}
    """Added to the few variables that every child gets (HOME, PATH, …); nothing else of ours is inherited."""
    cwd: str | None = None

    @property
    def secrets(self) -> list[str]:
        """The keys that it is given, which it may say back."""
        return [value for name, value in self.env.items() if _SECRET.search(name) and len(value) >= MIN_SECRET_CHARS]

    @property
    def place(self) -> str:
        """What starts it, as it may be shown."""
        return f"{self.command}, a process of this machine"


class Http(_Reached):
    """A server that is running already."""

    type: Literal["http", "streamable-http", "streamableHttp"] = "http"
    url: str
    headers: dict[str, str] = {}

    @property
    def secrets(self) -> list[str]:
        """The keys that it is given, which it may say back."""
        words = [word for value in self.headers.values() for word in value.split()]
        return [word for word in words if len(word) >= MIN_SECRET_CHARS]

    @property
    def place(self) -> str:
        """The URL as it may be shown: without what can hold a key."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


Endpoint = Stdio | Http


def place(artifacts: Path | None, task: str | None, config: Path | None) -> list[str]:
    """The options that tell a room of this house where to work; what is None is left to its defaults."""
    given = {"--artifacts": artifacts, "--task": task, "--config": config}
    # One word each, so that a value that begins with a dash stays a value.
    return [f"{option}={value}" for option, value in given.items() if value is not None]


def own_servers(
    artifacts: Path, task: str | None, config: Path | None, environment: Mapping[str, str] = os.environ
) -> dict[str, Endpoint]:
    """The five servers of this house, each as a child of this interpreter, with the keys that are set."""
    where = place(artifacts, task, config)
    keys = {name: value for name, value in environment.items() if PASSED_ON.fullmatch(name)}
    return {
        name: Stdio(command=sys.executable, args=["-m", module, *where], env=keys) for name, module in ROOMS.items()
    }


def is_ours(endpoint: Endpoint) -> bool:
    """Whether this starts one of our rooms, which speak the newest protocol."""
    return isinstance(endpoint, Stdio) and endpoint.args[:2] in (["-m", module] for module in ROOMS.values())


def read_endpoints(file: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Endpoint]:
    """The servers that an `mcpServers` file names.

    Raises:
        ValueError: the file cannot be used; one line that says where and why.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the server list {str(file)!r}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    entries = document.get("mcpServers") if isinstance(document, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"{file} names no servers; it needs {{'mcpServers': {{NAME: {{'command': …}}}}}}")
    return {name: _endpoint(file, name, entry, environment) for name, entry in entries.items()}


def _endpoint(file: Path, name: str, entry: Any, environment: Mapping[str, str]) -> Endpoint:
    where = f"{file}, server {name!r}"
    if not isinstance(entry, dict) or ("command" in entry) == ("url" in entry):
        raise ValueError(f"{where}: give either 'command' or 'url'")
    kind = Stdio if "command" in entry else Http
    try:
        endpoint = kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = ", ".join(kind.model_fields)
        raise ValueError(f"{where}: {key}: {first['msg'].lower()}; known keys: {known}") from error
    if isinstance(endpoint, Stdio):
        return endpoint.model_copy(update={"env": _expanded(where, endpoint.env, environment)})
    return endpoint.model_copy(update={"headers": _expanded(where, endpoint.headers, environment)})


def _expanded(where: str, values: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    def value_of(match: re.Match[str]) -> str:
        if (name := match.group(1)) not in environment:
            raise ValueError(f"{where}: the environment variable {name!r} is not set; export it and call again")
        return environment[name]

    return {key: _VARIABLE.sub(value_of, value) for key, value in values.items()}
