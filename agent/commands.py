"""The agent's two commands, from settings to exit code: `cycle` and `tools`."""

import json
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio

from agent.brain import Brain
from agent.catalogue import as_json, as_lines
from agent.desk import Desk, StepFailed
from agent.endpoints import Endpoint
from agent.journal import Journal
from agent.ledger import Ledger
from agent.lock import FolderBusy, only_run_in
from agent.loop import Run
from agent.mistral.access import KEY, URL, access_from
from agent.offline import OfflineBrain
from agent.progress import Progress
from agent.screen import ending
from agent.sessions import ServerProblem, connect
from agent.settings import Settings
from agent.wandb_reads import check_tools

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def cycle(settings: Settings, endpoints: dict[str, Endpoint], as_document: bool) -> int:
    """Run the loop. A candidate that is not promoted, or a cycle that stops, is a success of the loop."""
    progress, journal = Progress(), Journal(settings.artifacts)
    try:
        brain = _brain(settings)
    except ValueError as error:
        return _complain(str(error), UNUSABLE)

    async def work() -> str:
        async with AsyncExitStack() as stack:
            stack.enter_context(progress.live())
            with progress.step("connect") as step:
                step.saying(f"starting {', '.join(endpoints)}")
                sessions = await stack.enter_async_context(connect(endpoints, _log_folder(settings)))
                check_tools(sessions)
                step.outcome = ", ".join(f"{server.name} {len(server.tools)} tools" for server in sessions.servers)
            desk = Desk(sessions, Ledger(settings.artifacts), progress)
            run = Run(desk, brain, settings.artifacts, journal, settings.agent.wandb.report)
            outcome = await run.go(settings.dataset, settings.agent.cycles, settings.agent.campaign)
        # Escaped to ASCII, so that it is JSON whatever stdout's encoding can hold.
        return json.dumps(outcome.model_dump(mode="json", by_alias=True), indent=2) if as_document else ending(outcome)

    return _exit_code(settings, work, only_run_in(settings.artifacts), told=journal.finish)


def tools(settings: Settings, endpoints: dict[str, Endpoint], as_document: bool) -> int:
    """List the servers' tools."""

    async def work() -> str:
        async with connect(endpoints, _log_folder(settings)) as sessions:
            return as_json(sessions.servers) if as_document else as_lines(sessions.servers)

    return _exit_code(settings, work, nullcontext(), told=lambda: None)


def _complain(words: str, code: int) -> int:
    """Say in one line why there is no result, and give the exit code."""
    Progress().say(f"etude: {words}")
    return code


def _exit_code(
    settings: Settings,
    work: Callable[[], Coroutine[Any, Any, str]],
    lock: AbstractContextManager[None],
    told: Callable[[], None],
) -> int:
    """Do the work, print what it gives, and call `told` once that is out."""
    try:
        with lock, _log_to(_log_folder(settings)):
            print(anyio.run(work), flush=True)
            told()
        return DONE
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on from here", INTERRUPTED)
    except FolderBusy as error:
        return _complain(str(error), UNUSABLE)
    except (StepFailed, ServerProblem) as error:
        return _complain(str(error), FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it closes stdout
        return _complain("nobody reads stdout any more", FAILED)
    except (FileExistsError, NotADirectoryError) as error:
        return _complain(f"{error.filename} is no folder; give one with --artifacts", FAILED)
    except OSError as error:
        return _complain(f"{error.filename or 'stdout'}: {error.strerror or error}", FAILED)


def _brain(settings: Settings, environment: Mapping[str, str] = os.environ) -> Brain:
    """The brain that the settings name; `auto` takes the language model where the environment says how to reach one.

    Raises:
        ValueError: there is no way to reach the one that is named.
    """
    if settings.agent.brain == "offline":
        return OfflineBrain()
    access = access_from(environment)
    if access is None and settings.agent.brain == "auto":
        return OfflineBrain()
    if access is None:
        raise ValueError(
            f"brain mistral needs {KEY}, or {URL} for a server of your own; set one, or use --brain offline"
        )
    # Here, not above: it brings in the SDK, most of a second that nobody else needs.
    from agent.mistral.brain import MistralBrain

    return MistralBrain(access, settings.agent.mistral, settings.artifacts)


def _log_folder(settings: Settings) -> Path:
    return settings.artifacts / "log"


@contextmanager
def _log_to(folder: Path) -> Iterator[None]:
    """Send what the libraries log to a file: the terminal is the run's."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "agent.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
