"""The pages of what can be written down: `etude.toml` and a task file."""

from pydantic import BaseModel

from agent.settings import AgentSettings, MistralSettings, WandbSettings
from docs.generate.page import inner_model, keys_of, page, table
from servers.core.settings import Settings
from servers.core.task import Choice, Derived, Dimension, GateRules, KeywordRule, Layout, Recipe, Scale, Task

HEAD = ("key", "value", "default", "meaning")
CONFIGURATION = """\
Settings stand in `etude.toml` in the folder where a command is typed, or in the file that `--config` names. All of
them are optional, a flag wins over the file, and an unknown key is an error that names the known ones. Secrets are
never settings: keys come from the environment ([going online](../online.md))."""
ENVIRONMENT = """\
| variable | what it switches on |
|---|---|
| `MISTRAL_API_KEY` | Mistral as brain, teacher and untrained base model |
| `MISTRAL_SERVER_URL` | a server of your own in its place |
| `WANDB_API_KEY` | W&B and Weave, and the official W&B MCP server |
| `WANDB_ENTITY`, `WANDB_PROJECT`, `WANDB_BASE_URL` | where at W&B, unless the file says it |
| `HF_TOKEN` | Hugging Face Jobs and the Hub |
| `NO_COLOR` | no colours on a terminal |"""
TASK = """\
A task says which numbers are read from a text, on which scale, and what counts as good enough. It is one TOML file,
named with `--task FILE`. The [tutorial](../tutorials/own-task.md) writes one in twenty lines; the built-in one is
[kotone.toml](../../servers/core/tasks/kotone.toml), and [trails](../../examples/trails/task.toml) is another. A key
without a default has to be there; an unknown key is an error."""


def configuration_page() -> str:
    tables: list[tuple[str, type[BaseModel]]] = [
        (f"[{name}]", inner) for name, field in Settings.model_fields.items() if (inner := inner_model(field))
    ]
    tables += [("[agent]", AgentSettings), ("[agent.mistral]", MistralSettings), ("[agent.wandb]", WandbSettings)]
    top = [row for row in keys_of(Settings) if row[0] != "`agent`"]
    parts = [CONFIGURATION, "## At the top", table(HEAD, top)]
    for title, model in tables:
        parts += [f"## {title}", _words(model), table(HEAD, keys_of(model))]
    return page("Configuration: etude.toml", *parts, "## The environment", ENVIRONMENT)


def task_page() -> str:
    tables: list[tuple[str, type[BaseModel]]] = [
        ("[scale]", Scale), ("[[dimensions]]", Dimension), ("[[keywords]]", KeywordRule), ("[gate]", GateRules),
        ("[augment]", Recipe), ("[layout]", Layout), ("[derived]", Derived),
        ("An entry of a list in [derived]", Choice),
    ]  # fmt: skip
    inner = {"`dimensions`", "`keywords`"}
    parts = [TASK, "## At the top", table(HEAD, [row for row in keys_of(Task) if row[0] not in inner])]
    for title, model in tables:
        parts += [f"## {title}", _words(model), table(HEAD, keys_of(model))]
    return page("Task file", *parts)


def _words(model: type[BaseModel]) -> str:
    return "\n".join(line.strip() for line in (model.__doc__ or "").splitlines())
