"""The tracker of a house with a W&B key: everything is saved here first, and a process of its own takes it there.

The SDKs never load in a server: they take seconds to import, start processes and threads that outlive a call, send
every MCP call of their process as a trace, and may ask the terminal for a key. The process is given a time limit, and
what it did not send stays in the outbox.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from servers.core.services import Services
from servers.core.tracking.addresses import noted_entity, run_page, server_url, trace_page
from servers.core.tracking.decisions import save_decisions
from servers.core.tracking.local import LocalTracker
from servers.core.tracking.outbox import Notes, Outbox, Place
from servers.core.tracking.records import Tracker
from servers.core.words import refusal
from servers.core.workspace import Workspace

LIMIT_S = 120.0  # half an agent's patience with one call; 400 rows take 8 s on two cores, most of it imports
ASK_LIMIT_S = 45.0
PATIENCE_S, STEPS = 20.0, 6  # with one step of the service, and how many may be slow before the limit ends it all
_log = logging.getLogger(__name__)


class UnknownPlace(ValueError):
    """Nobody configured whose project it is, and W&B did not say."""


class WandbTracker(LocalTracker):
    """A `Tracker` whose records can be seen at W&B after `publish`.

    Args:
        workspace: The artifacts folder.
        services: Who has the key.
        limit_s: How long one `publish` may take.
    """

    def __init__(self, workspace: Workspace, services: Services, limit_s: float = LIMIT_S) -> None:
        super().__init__(workspace.tracking_file)
        self._workspace, self._services, self._limit_s = workspace, services, limit_s

    def publish(self, entity: str, project: str) -> str | None:
        save_decisions(self._workspace, self, entity, project)
        there = Place(server_url(self._services.environment), entity, project)
        notes = Notes(self._workspace.uploads_file)
        if Outbox(self, notes, (entity, project), there).is_empty():
            return None
        try:
            sync_process(self._workspace, self._services, ["--place", str(there)], self._limit_s)
        except ValueError as error:
            note = f"W&B does not have it yet, the local tracker has: {error}; etude sync sends it"
            _log.warning("%s", note)
            return note
        return None

    def run_url(self, entity: str, project: str, run_id: str) -> str:
        return run_page(self._services.environment, entity, project, run_id)

    def trace_url(self, entity: str, project: str, trace_id: str) -> str:
        return trace_page(self._services.environment, entity, project, trace_id)


def tracker_for(workspace: Workspace, services: Services) -> Tracker:
    """Where a server records what it did."""
    if services.tracking == "wandb":
        return WandbTracker(workspace, services)
    return LocalTracker(workspace.tracking_file)


def coordinates(workspace: Workspace, services: Services, task_name: str) -> tuple[str, str]:
    """Entity and project under which runs and traces of a task are kept.

    A key's own entity is asked for once, by a process of its own, and noted.

    Raises:
        UnknownPlace: nobody configured the entity, and W&B did not say it; the message says what to do.
    """
    entity, project = services.coordinates(task_name)
    entity = entity or noted_entity(workspace.account_file, server_url(services.environment)) or ""
    if not entity:
        try:
            entity = str(sync_process(workspace, services, ["--who"], ASK_LIMIT_S)["entity"])
        except ValueError as error:
            raise UnknownPlace(
                f"whose W&B project this is cannot be learned: {error}; set [tracking] entity in etude.toml or "
                "WANDB_ENTITY, or try again"
            ) from None
    return entity, project


def sync_process(workspace: Workspace, services: Services, words: Sequence[str], limit_s: float) -> dict[str, Any]:
    """Run `python -m servers.sync` and return the document it prints.

    Raises:
        ValueError: it did not do it, or not in time: its own words on one line.
    """
    where = ["--artifacts", str(workspace.root), "--sealed", str(workspace.sealed_root), "--json"]
    patience_s = min(PATIENCE_S, limit_s / STEPS)
    command = [sys.executable, "-m", "servers.sync", *where, "--patience", f"{patience_s:g}", *words]
    # In a session of its own, so that the SDK's helpers end with it; without a terminal that it could ask for a key.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(services.environment),
        start_new_session=True,
    )
    try:
        printed, said = process.communicate(timeout=limit_s)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ValueError(f"it took longer than {limit_s:g} s") from None
        raise
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or [f"it ended with {process.returncode}"]
        raise ValueError(refusal(last[0]).removeprefix("etude sync: "))
    document: dict[str, Any] = json.loads(printed)
    return document
