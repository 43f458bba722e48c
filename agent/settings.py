"""What a run is told: defaults here, then `etude.toml`, then flags. The servers read the same file for their part."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

CONFIG = Path("etude.toml")

BrainName = Literal["auto", "offline", "mistral"]

# Assumed of Mistral's own server where no price is set: dearer than its general models, because a cap has to hold.
ASSUMED_USD_PER_MILLION = (3.0, 9.0)


class MistralSettings(BaseModel):
    """The table `[agent.mistral]`: the language model, and what it may take for one cycle."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str = "mistral-medium-latest"
    """As the server calls it."""
    context_tokens: int = Field(default=16_000, ge=8_000)
    """What fits into the model's window beside the schemas of the tools (some 7,000 tokens): messages and answer."""
    answer_tokens: int = Field(default=3_000, ge=1_000)
    """The longest answer."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """How long the server may be silent; an answer as a whole may take five times that."""
    tools: dict[str, list[str]] = {}
    """By server, which of its tools the model is offered; without an entry those that a cycle needs."""
    max_answers: int = Field(default=150, ge=1)
    """Over all runs that work on the cycle, as the two that follow."""
    max_tokens: int = Field(default=2_000_000, ge=1)
    """Read and written, for one cycle."""
    max_usd: float = Field(default=5.0, gt=0)
    """For one cycle; what is left of `[budget] usd` bounds it as well."""
    max_seconds: float = Field(default=6 * 3600.0, gt=0)
    """For one run of the cycle, trainings included."""
    usd_per_million_input: float | None = Field(default=None, ge=0)
    """What a million tokens cost; 3 is assumed for Mistral's own server, nothing for one's own."""
    usd_per_million_output: float | None = Field(default=None, ge=0)
    """The same of what the model writes; 9 is assumed."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.answer_tokens > self.context_tokens // 2:
            raise ValueError("answer_tokens takes more than half of context_tokens")
        return self

    def prices(self, is_own: bool) -> tuple[float, float]:
        """USD for a million tokens read and written; nothing on a server of one's own unless set."""
        assumed = (0.0, 0.0) if is_own else ASSUMED_USD_PER_MILLION
        given = (self.usd_per_million_input, self.usd_per_million_output)
        read, written = (price if value is None else value for value, price in zip(given, assumed, strict=True))
        return read, written


class WandbSettings(BaseModel):
    """The table `[agent.wandb]`: which W&B MCP server reads runs and traces back."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mcp: Literal["auto", "stand-in", "hosted", "local"] = "auto"
    """`auto` is the official server where WANDB_API_KEY is set and [tracking] is not local: `local` where `command` is
    given, else `hosted`. Without a key it is the stand-in, which reads the local tracker."""
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Of the hosted server; else that of W&B, or of the instance at WANDB_BASE_URL."""
    command: list[str] | None = Field(default=None, min_length=1)
    """What starts the local server, word by word; else uvx with the versions that work together."""
    start_limit_s: float = Field(default=120.0, gt=0, le=3600)
    """How long it may take until it has listed its tools; the local one fetches its libraries at the first start."""
    report: bool = True
    """Whether a closed cycle's report is written at W&B, where its runs are."""


class AgentSettings(BaseModel):
    """The table `[agent]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cycles: int = Field(default=2, ge=1, le=1000)
    """Turns of the loop, after the beginning."""
    campaign: bool = False
    """Whether each turn tries several ways before one candidate is judged."""
    brain: BrainName = "auto"
    """Who decides; `auto` is `mistral` where MISTRAL_API_KEY or MISTRAL_SERVER_URL is set, else `offline`."""
    mistral: MistralSettings = MistralSettings()
    wandb: WandbSettings = WandbSettings()
    mcp: Path | None = None
    """An `mcpServers` file; without one, the five servers of this house are started."""


class Settings(BaseModel):
    """The whole of `etude.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    artifacts: Path = Path("artifacts")
    sealed: Path | None = None
    """The eval server's; here so that the key is known."""
    task: str | None = None
    """Name or file of the task; the servers have a default."""
    dataset: str = "demo"
    tracking: dict[str, Any] = {}
    teacher: dict[str, Any] = {}
    prompt: dict[str, Any] = {}
    model: dict[str, Any] = {}
    jobs: dict[str, Any] = {}
    budget: dict[str, Any] = {}
    """These six are the servers', as `sealed` is the eval server's; they check them when they start."""
    agent: AgentSettings = AgentSettings()


def load_settings(
    config: Path | None, flags: dict[str, Any], agent_flags: dict[str, Any], model: str | None = None
) -> Settings:
    """Read `config` (or `./etude.toml` where there is one); a flag that is not None wins over the file.

    Raises:
        ValueError: the file is missing, no TOML, or holds an unknown key or a wrong value; one line that says which.
    """
    values = _read(config)
    if isinstance(table := values.get("agent", {}), dict):
        values["agent"] = table | _given(agent_flags)
        if model is not None and isinstance(inner := table.get("mistral", {}), dict):
            values["agent"]["mistral"] = inner | {"model": model}
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
        tables: dict[tuple[Any, ...], type[BaseModel]] = {
            ("agent",): AgentSettings,
            ("agent", "mistral"): MistralSettings,
            ("agent", "wandb"): WandbSettings,
        }
        table = tables.get(tuple(first["loc"][:-1]), Settings)
        return f"unknown key {where!r}; known: {', '.join(table.model_fields)}"
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}"
