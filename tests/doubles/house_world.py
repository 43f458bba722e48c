"""What the scripted house knows: one small world in a file, the script that a test gives it, and its figures."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError

DIMENSIONS = ("alpha", "beta", "gamma", "delta")
CONSTANT = {"alpha": 20.0, "beta": 20.0, "gamma": 10.0, "delta": 30.0}
FIRST = {"alpha": 10.0, "beta": 16.0, "gamma": 9.0, "delta": 30.0}
BEGUN = {
    "outcome": "promote",
    "reason": "better on every count",
    "n": 60,
    "level": 0.025,
    "difference": -1.0,
    "ci": [-1.5, -0.5],
    "checks": [{"name": "json_valid_rate", "passed": True, "detail": "1.0, at least 0.98"}],
}
SETTINGS: dict[str, Any] = {
    "verdicts": ["promote", "promote"],  # of the gate, in the order of asking; the last one goes on
    "diagnosis": "train",
    "signals": {"alpha": "learnable", "beta": "learnable", "gamma": "weak", "delta": "none"},
    "added": 60,
    "refuse": {},  # tool -> words it refuses with
    "crash_in": None,  # tool that has a bug
    "die_in": None,  # tool that ends its server's process
    "sorts_by_error": True,  # whether the tracker can sort traces by output.mae_raw
    "busy": 0,  # how many trace counts are answered with server_busy
    "failures": 6,
    "job_polls": 1,  # get_job calls until the job has ended
    "job_end": "succeeded",
    "stands_still": None,  # a step after which get_cycle names the same next step for ever
}


class World:
    """Everything the tools know, kept in one file so that five processes share it.

    Args:
        folder: Where the file is; a world that is there already goes on.
        begun_already: Whether there is a champion, `student-begin_demo`.
        settings: What differs from SETTINGS.
    """

    def __init__(self, folder: Path, begun_already: bool = False, **settings: Any) -> None:
        self.file = folder / "world.json"
        if not self.file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            begun = {"kind": "begin", "champion": "constant", "closed": True, "done": ["released"], "gate": BEGUN}
            begun |= {"candidate": "student-begin_demo", "after": "student-begin_demo", "seconds": 1.0}
            empty = {
                "settings": SETTINGS | settings,
                "calls": [],
                "cycles": {"begin_demo": begun} if begun_already else {},
                "champion": "student-begin_demo" if begun_already else None,
                "models": {"student-begin_demo": FIRST},
                "version": 0,
                "asked": 0,
                "polls": 0,
            }
            self._write(empty)
        elif settings:
            state = self.read()
            state["settings"] |= settings
            self._write(state)

    def read(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.file.read_text())
        return state

    def _write(self, state: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(state))

    @property
    def calls(self) -> list[str]:
        """The tools that were called, in order."""
        return [tool for tool, _ in self.read()["calls"]]

    def arguments(self, tool: str) -> list[dict[str, Any]]:
        """What a tool was called with, call by call."""
        return [given for called, given in self.read()["calls"] if called == tool]

    def called(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Note a call, and do what the script says about this tool."""
        state = self.read()
        state["calls"].append([tool, arguments])
        self._write(state)
        if state["settings"]["die_in"] == tool:
            print(f"{tool} hit the wall", file=sys.stderr, flush=True)
            os._exit(3)
        if state["settings"]["crash_in"] == tool:
            raise ZeroDivisionError("a bug")
        if words := state["settings"]["refuse"].get(tool):
            raise ToolError(words)
        return state

    def save(self, state: dict[str, Any]) -> None:
        self._write(state)

    def done(self, state: dict[str, Any], cycle: str, step: str) -> None:
        """Note that a cycle has a step behind it."""
        if step not in (done := state["cycles"][cycle]["done"]):
            done.append(step)
        self._write(state)


def errors_of(state: dict[str, Any], model: str) -> dict[str, float]:
    """Mean absolute error by dimension."""
    return CONSTANT if model in ("constant", "rule") else state["models"][model]


def metrics_of(state: dict[str, Any], model: str) -> dict[str, float | None]:
    errors = errors_of(state, model)
    mean = sum(errors.values()) / len(errors)
    return {"vector_mae": mean, **{f"mae_raw_{name}": error for name, error in errors.items()}, "json_valid_rate": 1.0}
