"""What a server is told at its start: defaults, then `etude.toml`, then flags. Secrets come from the environment."""

import os
import tomllib
from collections.abc import Sequence
from errno import EACCES
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from servers.core.task import Task, load_task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

CONFIG = Path("etude.toml")

Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Given = Annotated[str, Field(min_length=1)]
"""A name that is left out where there is none, not left empty."""
PlaceName = Annotated[str, Field(pattern=r"^[^/\\#?%:]*$")]
"""As W&B takes them."""
Seconds = Annotated[float, Field(gt=0, le=3600)]


class TrackingSettings(Wire):
    """The table `[tracking]`: where runs and traces go besides the local tracker, which always has them."""

    backend: Literal["auto", "local", "wandb"] = "auto"
    """`auto` is `wandb` where WANDB_API_KEY is set."""
    entity: PlaceName | None = None
    """Whose project; else WANDB_ENTITY, else the key's own."""
    project: PlaceName | None = None
    """Else WANDB_PROJECT, else etude-<task>. Give near-production runs a project of their own."""


class EndpointSettings(Wire):
    """A language model behind Mistral's API: Mistral's own server, or the one at MISTRAL_SERVER_URL."""

    backend: Literal["auto", "off", "mistral"] = "auto"
    """`auto` is `mistral` where MISTRAL_API_KEY is set, and on a server of one's own only where `model` is."""
    model: str | None = None
    """As the server calls it."""
    timeout_s: Seconds = 60.0
    """Of one answer."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Requests under way at once."""
    usd_per_million_input: Usd | None = None
    """What a million tokens cost; assumed for Mistral's own server where not given, nothing for one's own."""
    usd_per_million_output: Usd | None = None
    """The same of what the model writes."""


class PromptSettings(EndpointSettings):
    """The table `[prompt]`: the base model, asked without training."""

    shots: int = Field(default=0, ge=0, le=32)
    """Train rows shown to it before the question."""


class ModelSettings(Wire):
    """The table `[model]`: what is trained."""

    family: Literal["auto", "student", "lora"] = "auto"
    """`auto` is `lora` where jobs run on Hugging Face, else the CPU student."""
    base: Given = "mistralai/Ministral-3-3B-Instruct-2512-BF16"
    """What a LoRA adapter is trained on: a repository of the Hub, or a folder. The BF16 sibling of
    mistralai/Ministral-3-3B-Instruct-2512, whose own weights are FP8."""
    base_revision: str | None = None
    """Commit, branch or tag of the base; null for the newest."""


class JobsSettings(Wire):
    """The table `[jobs]`: where trainings run."""

    backend: Literal["auto", "local", "huggingface"] = "auto"
    """`auto` is `huggingface` where HF_TOKEN is set."""
    namespace: str | None = None
    """User or organisation that runs and pays; else the token's own user."""
    flavor: Given = "a10g-small"
    """The hardware, as Hugging Face names it."""
    image: Given = "ghcr.io/astral-sh/uv:python3.11-bookworm"
    """The container that jobs run in; any that has uv."""


class BudgetSettings(Wire):
    """The table `[budget]`: what may be spent for one artifacts folder, on jobs, teacher and brain together."""

    usd: Usd = 10.0
    """What would pass this is refused, whoever asks."""
    approve_usd: Usd = 0.0
    """A job quoted at up to this much needs nobody's approval: the person's word in unattended runs."""


class Settings(Wire):
    """The whole of `etude.toml`; the agent reads the same file for its own part."""

    artifacts: Path = Path("artifacts")
    """Where everything that a run leaves behind lies."""
    sealed: Path | None = None
    """Where sealed splits lie, if not inside the artifacts folder."""
    task: str = "kotone"
    """Name of a built-in task, or path of a task file."""
    dataset: str = "demo"
    """The name given to `etude import`, or `demo`."""
    tracking: TrackingSettings = TrackingSettings()
    teacher: EndpointSettings = EndpointSettings()
    """Who writes new examples, and the `teacher` arm."""
    prompt: PromptSettings = PromptSettings()
    model: ModelSettings = ModelSettings()
    jobs: JobsSettings = JobsSettings()
    budget: BudgetSettings = BudgetSettings()
    agent: dict[str, object] = {}
    """The agent's part, checked by the agent."""

    def open(self) -> tuple[Workspace, Task]:
        """The artifacts folder and the task.

        Raises:
            ValueError: the task cannot be read, or the folder belongs to another user and is not shared with this one.
        """
        workspace = Workspace(self.artifacts, self.sealed)
        if workspace.root.is_dir() and not os.access(workspace.root, os.R_OK | os.W_OK | os.X_OK):
            raise ValueError(workspace.denied(PermissionError(EACCES, "", str(workspace.root))))
        return workspace, load_task(self.task)


def load_settings(config: Path | None = None, artifacts: Path | None = None, task: str | None = None) -> Settings:
    """Read `config` (or `./etude.toml` where there is one); an argument that is given wins over the file.

    Raises:
        ValueError: the file is missing, no TOML, or holds an unknown key or a wrong value; one line that says which.
    """
    path = config or CONFIG
    values: dict[str, object] = {}
    if config is not None or path.exists():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"cannot read the configuration {str(path)!r}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not TOML: {error}") from error
    given = {"artifacts": artifacts, "task": task}
    try:
        return Settings.model_validate(values | {key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        problem = "unknown key" if first["type"] == "extra_forbidden" else first["msg"][:1].lower() + first["msg"][1:]
        raise ValueError(f"{path}: {key}: {problem}; known keys: {', '.join(_keys_beside(first['loc']))}") from error


def _keys_beside(place: Sequence[int | str]) -> list[str]:
    """The keys of the table in which a wrong one stands."""
    inner = (
        Settings.model_fields[str(place[0])].annotation
        if len(place) > 1 and place[0] in Settings.model_fields
        else None
    )
    table = inner if isinstance(inner, type) and issubclass(inner, Wire) else Settings
    return list(table.model_fields)
