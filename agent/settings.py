"""What a run is told: defaults here, then `etude.toml`, then flags. The servers read the same file for their part."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

CONFIG = Path("etude.toml")

BrainName = Literal["auto", "offline"]


class AgentSettings(BaseModel):
    """The table `[agent]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: int = Field(default=2, ge=1, le=1000)
    """Turns of the loop, after the beginning."""
    brain: BrainName = "auto"
    """Who decides; `auto` takes the best that is configured, which is `offline` as long as nothing else is."""
    mcp: Path | None = None
    """An `mcpServers` file; without one, the five servers of this house are started."""


class Settings(BaseModel):
    """The whole of `etude.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifacts: Path = Path("artifacts")
    sealed: Path | None = None
    """The eval server's; here so that the key is known."""
    task: str | None = None
    """Name or file of the task; the servers have a default."""
    dataset: str = "demo"
    agent: AgentSettings = AgentSettings()


def load_settings(config: Path | None, flags: dict[str, Any], agent_flags: dict[str, Any]) -> Settings:
    """Read `config` (or `./etude.toml` where there is one); a flag that is not None wins over the file.

    Raises:
        ValueError: the file is missing, no TOML, or holds an unknown key or a wrong value; one line that says which.
    """
    values = _read(config)
    if isinstance(table := values.get("agent", {}), dict):
        values["agent"] = table | _given(agent_flags)
    given = _given(flags)
    try:
        return Settings.model_validate(values | given)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][-1])
        where = f"--{key}" if key in given or key in _given(agent_flags) else str(config or CONFIG)
        problem = _problem(first).removeprefix(f"agent.{key}: ") if where.startswith("--") else _problem(first)
        raise ValueError(f"{where}: {problem}") from error


def _read(config: Path | None) -> dict[str, Any]:
    path = config or CONFIG
    if config is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the configuration {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flags.items() if value is not None}


def _problem(first: ErrorDetails) -> str:
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        table = AgentSettings if first["loc"][0] == "agent" else Settings
        return f"unknown key {where!r}; known: {', '.join(table.model_fields)}"
    return f"{where}: {first['msg'].lower()}, not {first['input']!r}"
