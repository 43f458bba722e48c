"""The agent's two commands, from settings to exit code: `cycle` and `tools`."""

import json
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from agent.brain import Brain
from agent.catalogue import as_json, as_lines, show
from agent.closing import Closing
from agent.desk import Desk, StepFailed
from agent.endpoints import Endpoint
from agent.interrupt import Interrupted, Interruptible
from agent.journal import Journal
from agent.ledger import Ledger
from agent.lock import FolderBusy, only_run_in
from agent.loop import Run
from agent.mistral.access import KEY, URL, access_from
from agent.offline import OfflineBrain
from agent.progress import Progress, console_on
from agent.screen import ending
from agent.sessions import ServerProblem, connect
from agent.settings import Settings
from agent.typed import Typed
from agent.wandb_reads import check_tools

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130  # 143 for SIGTERM, 129 for a closed terminal


def cycle(settings: Settings, endpoints: dict[str, Endpoint], as_document: bool, typed: Typed) -> int:
    """Run the loop. A candidate that is not promoted, or a cycle that stops, is a success of the loop."""
    progress, journal = Progress(), Journal(settings.artifacts)
    try:
        brain = _brain(settings)
    except ValueError as error:
        return _complain(str(error), UNUSABLE)

    async def work() -> None:
        with progress.live():
            closing = await turned()
        if as_document:
            # Escaped to ASCII, so that it is JSON whatever stdout's encoding can hold.
            print(json.dumps(closing.outcome.model_dump(mode="json", by_alias=True), indent=2), flush=True)
        elif sys.stdout.isatty():
            closing.show(console_on(sys.stdout), typed)
        else:
            print(ending(closing.outcome), flush=True)
        if as_document and progress.console.is_terminal:
            closing.show(progress.console, typed)
        journal.finish()

    async def turned() -> Closing:
        async with AsyncExitStack() as stack:
            with progress.step("connect") as step:
                step.saying(f"starting {', '.join(endpoints)}")
                sessions = await stack.enter_async_context(connect(endpoints, _log_folder(settings)))
                check_tools(sessions)
                step.outcome = ", ".join(f"{server.name} {len(server.tools)} tools" for server in sessions.servers)
            desk = Desk(sessions, Ledger(settings.artifacts), progress)
            run = Run(desk, brain, settings.artifacts, journal, settings.agent.wandb.report)
            outcome = await run.go(settings.dataset, settings.agent.cycles, settings.agent.campaign)
            return run.closing(outcome)

    return _exit_code(settings, work, only_run_in(settings.artifacts), progress, typed)


def tools(settings: Settings, endpoints: dict[str, Endpoint], as_document: bool, typed: Typed) -> int:
    """List the servers' tools."""

    async def work() -> None:
        async with connect(endpoints, _log_folder(settings)) as sessions:
            servers = sessions.servers
        if as_document:
            print(as_json(servers), flush=True)
        elif sys.stdout.isatty():
            show(servers, console_on(sys.stdout))
        else:
            print(as_lines(servers), flush=True)

    return _exit_code(settings, work, nullcontext(), Progress(), typed)


def _complain(words: str, code: int, to_do: str | None = None) -> int:
    """Say in one line why there is no result, in another what to type next, and give the exit code."""
    progress = Progress()
    progress.say(f"etude: {words}", "bold red")
    if to_do is not None:
        progress.say(f"next: {to_do}")
    return code


def _exit_code(
    settings: Settings,
    work: Callable[[], Coroutine[Any, Any, None]],
    lock: AbstractContextManager[None],
    progress: Progress,
    typed: Typed,
) -> int:
    """Do the work, and give the exit code."""
    is_run = typed.words[:1] == ("cycle",)

    def ending_now(_: int) -> None:
        progress.say("Ending: the servers are closed. Ctrl-C once more ends at once.")

    try:
        with lock, _log_to(_log_folder(settings)):
            Interruptible(ending_now).run(work)
        return DONE
    except Interrupted as ended:
        where = f" {progress.board.place}" if is_run and progress.board.place else ""
        how = "Interrupted" if ended.exit_code == INTERRUPTED else f"Ended by {ended}"
        kept = f" Nothing is lost{progress.board.lives_on}; this goes on from there:" if is_run else ""
        progress.say(f"{how}{where}.{kept}", "bold yellow")
        if is_run:
            progress.say(f"  {typed.again}")
        return ended.exit_code
    except FolderBusy as error:
        return _complain(str(error), UNUSABLE, f"{typed.again}   (or another folder: --artifacts DIR)")
    except StepFailed as error:
        return _complain(str(error), FAILED, _after_refusal(settings, progress, typed) if is_run else None)
    except ServerProblem as error:
        return _complain(
            str(error), FAILED, f"{typed.again}   (what works here: {typed.other('doctor')})" if is_run else None
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it closes stdout
        return _complain("nobody reads stdout any more", FAILED)
    except (FileExistsError, NotADirectoryError) as error:
        return _complain(f"{error.filename} is no folder; give one with --artifacts", FAILED)
    except OSError as error:
        return _complain(f"{error.filename or 'stdout'}: {error.strerror or error}", FAILED)


def _after_refusal(settings: Settings, progress: Progress, typed: Typed) -> str:
    """What to type once a tool has refused."""
    if not progress.board.cycle and settings.dataset != "demo":
        return typed.other("import", "FILE", "--name", settings.dataset)
    return f"{typed.again}   (goes on from here)"


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
