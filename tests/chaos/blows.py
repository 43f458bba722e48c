"""Blows: who is killed, and when. A blow is drawn from a seed, so the same numbers give the same blows."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from tests.chaos.victims import Process, children, job_folders, job_in

Target = Literal["agent", "server", "job"]
TARGETS: tuple[Target, ...] = ("agent", "server", "job")
LOOK_S = 0.002
MAX_SHARE = 0.95  # of a job's life; a later blow would mostly find it gone


@dataclass(frozen=True)
class Pace:
    """How long things take where nothing is killed."""

    run_s: float
    jobs: int
    job_s: float
    """The mean job, from its start to its result."""


@dataclass(frozen=True)
class Blow:
    """One kill to be made."""

    target: Target
    which: int
    """Position of the server among the agent's children, or of the job among all jobs; 0 for the agent."""
    after_s: float
    """From the start of the command; for a job, from its own start."""

    def __str__(self) -> str:
        who = {"agent": "the agent", "server": f"server {self.which}", "job": f"job {self.which}"}[self.target]
        return f"{who} after {self.after_s:.2f} s" + (" of its life" if self.target == "job" else "")


@dataclass(frozen=True)
class Struck:
    """What a blow hit."""

    victim: Process
    name: str
    """`agent`, `job`, or a server's room."""
    servers: list[Process]
    """The agent's servers at that moment."""


def draw(target: Target, pace: Pace, random: Random) -> Blow:
    """A blow at a random moment: of the whole run, or of the short life of one of its jobs."""
    if target == "job":
        return Blow(target, random.randrange(pace.jobs), random.uniform(0, MAX_SHARE) * pace.job_s)
    return Blow(target, random.randrange(5) if target == "server" else 0, random.uniform(0, pace.run_s))


def strike(blow: Blow, agent: "subprocess.Popen[bytes]", artifacts: Path, started: float) -> Struck | None:
    """Wait for the moment, and kill; None where the command ended before.

    Args:
        blow: Whom, and when.
        agent: The command.
        artifacts: Where it works.
        started: `time.monotonic()` when the command was started.
    """
    due = None if blow.target == "job" else started + blow.after_s
    while agent.poll() is None:
        if due is None:
            due = _begun(blow, artifacts)
        elif time.monotonic() >= due and (victim := _victim(blow, agent, artifacts)) is not None:
            name = _room(victim) if blow.target == "server" else blow.target
            servers = children(agent.pid)
            return Struck(victim, name, servers) if victim.kill() else None
        time.sleep(LOOK_S)
    return None


def _begun(blow: Blow, artifacts: Path) -> float | None:
    """When the job's moment comes; None while it has not begun."""
    folders = job_folders(artifacts)
    return time.monotonic() + blow.after_s if len(folders) > blow.which else None


def _victim(blow: Blow, agent: "subprocess.Popen[bytes]", artifacts: Path) -> Process | None:
    if blow.target == "agent":
        return Process.at(agent.pid)
    if blow.target == "server":
        servers = [child for child in children(agent.pid) if _room(child)]
        return servers[blow.which % len(servers)] if servers else None
    # Any job from the one that was meant on: a blow that came too late for it waits for the next.
    living = (job_in(folder) for folder in job_folders(artifacts)[blow.which :])
    return next((job for job in living if job is not None), None)


def _room(process: Process) -> str:
    """The room that a server's command line names; empty before it has become a server."""
    module = next((word for word in process.words if word.startswith("servers.")), "")
    return module.removeprefix("servers.")
