"""A trial: start the command, strike, run it again until it succeeds, and look at what it left."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.blows import Blow, Struck, strike
from tests.chaos.faults import drafts_in, faults_in
from tests.chaos.remains import Remains, differences, document, remains_of, timeless
from tests.chaos.victims import Process, children, job_folders, job_in

MAX_RERUNS = 3
LIMIT_S = 240.0  # of one run of the command; alone it takes fifteen seconds
ORPHAN_S = 15.0  # for a server to notice that its agent is gone
SHOWN = 6
DIFFERS_BY_FOLDER = ("artifacts", "report")


class Stop(Exception):
    """The program is being interrupted."""


@dataclass
class Trial:
    """What the blows came to."""

    number: int
    blows: list[Blow]
    hits: list[str] = field(default_factory=list)
    """Who was hit; nobody where the command was over before the first blow."""
    reruns: int = 0
    orphan_s: float = 0.0
    """How long the last server outlived its agent."""
    drafts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    remains: Remains = field(default_factory=dict)
    seconds: float = 0.0
    """Of all its runs together."""


class Commands:
    """The commands that run now, so that an interrupt can end them."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._running: dict[int, tuple[subprocess.Popen[bytes], Path]] = {}
        self._stopped = False
        self._guard = threading.Lock()

    def start(self, artifacts: Path, log: Path) -> "subprocess.Popen[bytes]":
        """Start the command; its stdout and stderr go to files beside `log`."""
        with self._guard:
            if self._stopped:
                raise Stop
            with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
                command = [sys.executable, "-m", "agent.cli", *self._words, "--artifacts", str(artifacts)]
                agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            self._running[agent.pid] = (agent, artifacts)
            return agent

    def ended(self, agent: "subprocess.Popen[bytes]", limit_s: float = LIMIT_S) -> int | None:
        """Wait for its end; the exit code, or None where it had to be ended."""
        try:
            return agent.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._end(agent, self._running[agent.pid][1])
            return None
        finally:
            self._running.pop(agent.pid, None)

    def stop(self) -> None:
        """End every command with its servers and jobs; no other is started."""
        with self._guard:
            self._stopped = True
            for agent, artifacts in list(self._running.values()):
                self._end(agent, artifacts)

    def _end(self, agent: "subprocess.Popen[bytes]", artifacts: Path) -> None:
        servers = children(agent.pid)
        agent.kill()
        for process in [*servers, *filter(None, map(job_in, job_folders(artifacts)))]:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            agent.wait(5)


def run_trial(
    commands: Commands, number: int, blows: Sequence[Blow], folder: Path, expected: Remains | None = None
) -> Trial:
    """Make one trial in an empty folder.

    Args:
        commands: How the command is started.
        number: Of the trial, for the table.
        blows: Whom to kill, one after the other; none for an undisturbed run. After a job's end the command goes on by
            itself, after another's it is run again, and the next blow is dealt to that run.
        folder: Gets `artifacts` and what the commands said.
        expected: What an undisturbed run left; None where this is one.
    """
    artifacts, due = folder / "artifacts", list(blows)
    trial, watches = Trial(number, due.copy()), []
    began = time.monotonic()
    while True:
        started = time.monotonic()
        agent = commands.start(artifacts, folder / f"run-{trial.reruns}")
        while due and (struck := strike(due[0], agent, artifacts, started)) is not None:
            due.pop(0)
            trial.hits.append(struck.name)
            if struck.name != "job":
                watches.append(_watch(trial, struck))
                break
            started = time.monotonic()
        code = commands.ended(agent)
        if code in (0, None) or _is_over(artifacts) or trial.reruns == MAX_RERUNS + len(blows) - 1:
            break
        trial.reruns += 1
    trial.seconds = time.monotonic() - began
    for watch in watches:
        watch.join()
    if blows and not trial.hits:
        return trial
    if code != 0 and not _is_over(artifacts):
        last = (folder / f"run-{trial.reruns}.err").read_text(errors="replace").strip().splitlines()[-1:]
        what = f"no end within {LIMIT_S:g} s" if code is None else f"exit code {code}: {' '.join(last)}"
        trial.faults.append(f"after {trial.reruns} re-runs: {what}")
        return trial
    _examine(trial, folder, expected)
    return trial


def _is_over(artifacts: Path) -> bool:
    """Whether the outcome was told: killed after that, on its way out, the command has nothing to go on with."""
    note = document(artifacts / "run.json")
    return note is not None and bool(note["finished"])


def _examine(trial: Trial, folder: Path, expected: Remains | None) -> None:
    artifacts = folder / "artifacts"
    printed: dict[str, Any] = json.loads((folder / f"run-{trial.reruns}.out").read_text(encoding="utf-8"))
    shown = {key: value for key, value in timeless(printed).items() if key not in DIFFERS_BY_FOLDER}
    trial.drafts = drafts_in(artifacts)
    trial.faults += faults_in(artifacts, printed, job_was_killed="job" in trial.hits)
    trial.remains = {"printed": shown, **remains_of(artifacts)}
    if expected is not None:
        found = list(differences(expected, trial.remains))
        trial.faults += found[:SHOWN] + ([f"and {len(found) - SHOWN} more differences"] if len(found) > SHOWN else [])


def _watch(trial: Trial, struck: Struck) -> threading.Thread:
    """See beside the re-run that all servers end by themselves: their agent is gone, or gives up."""

    def look() -> None:
        began = time.monotonic()
        left = [server for server in struck.servers if not server.ends_within(began + ORPHAN_S - time.monotonic())]
        trial.orphan_s = max(trial.orphan_s, time.monotonic() - began)
        trial.faults += [f"server {server.pid} outlived its agent by {ORPHAN_S:g} s" for server in left]
        _end(left)

    thread = threading.Thread(target=look, name=f"servers beside {struck.victim.pid}")
    thread.start()
    return thread


def _end(processes: list[Process]) -> None:
    for process in processes:
        process.kill()
