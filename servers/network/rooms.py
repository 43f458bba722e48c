"""The rooms that can be served, by the names that `etude serve` takes."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.room import Room

MODULES = {
    "eval": "servers.eval.server",
    "augment": "servers.augment.server",
    "retrain": "servers.retrain.server",
    "playbook": "servers.playbook.server",
    "wandb": "servers.wandb_local.server",
}
ALL = "all"
STAND_IN = "wandb"


def names(asked: str, services: Services) -> Sequence[str]:
    """The rooms behind a name; the W&B stand-in, which reads the local tracker, is among `all` where that is in use."""
    if asked != ALL:
        return [asked]
    return [name for name in MODULES if name != STAND_IN or services.tracking == "local"]


def build(name: str, workspace: Workspace, task: Task, services: Services) -> Room:
    """One room. Its module is imported here, so that a server that has one room loads no other."""
    module: Any = import_module(MODULES[name])
    room: Room = module.build_room(workspace) if name == STAND_IN else module.build_room(workspace, task, services)
    return room
