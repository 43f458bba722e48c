"""What a server is told at its start: defaults, then `etude.toml`, then flags. Secrets come from the environment."""

import os
import tomllib
from errno import EACCES
from pathlib import Path

from pydantic import ValidationError

from servers.core.task import Task, load_task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

CONFIG = Path("etude.toml")


class Settings(Wire):
    """The whole of `etude.toml`; the agent reads the same file for its own part."""

    artifacts: Path = Path("artifacts")
    sealed: Path | None = None
    """Where sealed splits lie, if not inside the artifacts folder."""
    task: str = "kotone"
    """Name of a built-in task, or path of a task file."""
    dataset: str = "demo"
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
        problem = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].lower()
        raise ValueError(f"{path}: {key}: {problem}; known keys: {', '.join(Settings.model_fields)}") from error
