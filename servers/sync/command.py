"""`etude sync`, from words to exit code: 0 W&B has everything, 1 it does not yet, 2 words that make no sense.

One process at a time sends from one artifacts folder. Whatever goes wrong is one line; what was not sent stays in the
local tracker, and the next `etude sync` goes on from there.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from servers.core.disk import now, open_or_create, write_text
from servers.core.services import WANDB_KEY, Services
from servers.core.settings import load_settings
from servers.core.tracking import LocalTracker
from servers.core.tracking.addresses import app_url, note_entity, noted_entity, server_url
from servers.core.tracking.decisions import save_decisions
from servers.core.tracking.outbox import LOCAL, Notes, Place
from servers.core.workspace import Workspace
from servers.sync.sdk import Sdk, in_words
from servers.sync.sending import Sender, Sent
from servers.words_parser import WordsParser

LIMIT_S = 1800.0  # of the whole command, 50,000 traces with room to spare
PATIENCE_S = 20.0  # with one step of the service, retries included


def run(words: Sequence[str]) -> int:
    """Send what W&B does not have, and say what that was."""
    asked = _parser().parse_args(words)
    try:
        settings = load_settings(asked.config, asked.artifacts)
    except ValueError as error:
        return _complain(str(error))
    services = Services.here(settings)
    workspace = Workspace(settings.artifacts, asked.sealed or settings.sealed)
    if services.key(WANDB_KEY) is None:
        return _complain(f"{WANDB_KEY} is not set; make a key at {app_url(services.environment)}/authorize and set it")
    server = server_url(services.environment)
    try:
        with _within(asked.limit), Sdk(services.environment, asked.patience) as sdk:
            try:
                if asked.who:
                    document: dict[str, Any] = {"entity": _own_entity(workspace, sdk, server)}
                    said = str(document["entity"])
                else:
                    with _one_at_a_time(workspace):
                        sent = _bring_up_to_date(asked.place, workspace, services, sdk)
                    document, said = {"sent": [one.document() for one in sent]}, _in_words(sent)
            except Exception as error:
                # One broad catch: three SDKs raise whatever they like, and all of it means "not this time".
                _keep_trace(workspace, services.key(WANDB_KEY) or "")
                return _complain(in_words(error, server, services.key(WANDB_KEY) or ""), sdk)
    except TimeoutError:
        return _complain(f"W&B took longer than {asked.limit:g} s; what is left goes with the next etude sync")
    print(json.dumps(document) if asked.json else said, flush=True)
    return 0


def _bring_up_to_date(asked: str | None, workspace: Workspace, services: Services, sdk: Sdk) -> list[Sent]:
    tracker, notes = LocalTracker(workspace.tracking_file), Notes(workspace.uploads_file)
    server = server_url(services.environment)
    sent: list[Sent] = []
    for here in reversed(tracker.projects()):  # oldest first
        if asked not in (None, "/".join(here)):
            continue
        entity, project = here
        if entity == LOCAL:
            entity = _configured(services) or _own_entity(workspace, sdk, server)
        there = Place(server, entity, project)
        save_decisions(workspace, tracker, *here)
        sent.append(Sender(workspace, tracker, notes, here, there, services.environment, sdk).send())
    return sent


def _configured(services: Services) -> str | None:
    return services.settings.tracking.entity or services.key("WANDB_ENTITY")


def _own_entity(workspace: Workspace, sdk: Sdk, server: str) -> str:
    entity = noted_entity(workspace.account_file, server)
    if entity is None:
        entity = sdk.default_entity()
        note_entity(workspace.account_file, server, entity)
    return entity


def _in_words(sent: Sequence[Sent]) -> str:
    if not sent:
        return "nothing to send: the local tracker is empty"
    return "\n".join(one.in_words() for one in sent)


@contextmanager
def _one_at_a_time(workspace: Workspace) -> Iterator[None]:
    lock = workspace.uploads_file.with_name(".sync.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = open_or_create(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # the command's time limit ends this wait, too
        yield
    finally:
        os.close(handle)


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    def late(*_: object) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _keep_trace(workspace: Workspace, key: str) -> None:
    """Leave what went wrong for whoever wants more than the line."""
    log = workspace.uploads_file.with_name("sync.log")
    write_text(log, f"{now()}\n{traceback.format_exc()}".replace(key or "\0", "…"))


def _complain(words: str, sdk: Sdk | None = None) -> int:
    print(f"etude sync: {words}", file=sys.stderr if sdk is None else sdk.stderr, flush=True)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = WordsParser(
        prog="etude sync",
        description="Bring W&B up to date with the local tracker: runs, traces, failure tables, dataset and model\n"
        f"artifacts. What is there already is not sent again. Needs {WANDB_KEY}.",
        example="etude sync",
    )
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--place", metavar="ENTITY/PROJECT", help="only what is kept under this one")
    parser.add_argument("--who", action="store_true", help="send nothing; say which entity the key stands for")
    parser.add_argument(
        "--limit", type=float, default=LIMIT_S, metavar="S", help=f"give up after (default: {LIMIT_S:g})"
    )
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_S, metavar="S", help=f"with one step (default: {PATIENCE_S:g})"
    )
    parser.add_argument("--sealed", type=Path, metavar="DIR", help=argparse.SUPPRESS)  # what rooms know already
    return parser
