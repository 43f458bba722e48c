"""The ledger: one line for every tool call of a run, in `loop/<cycle>/ledger.jsonl`.

Calls before a cycle is known, or between two, are held back and written once the next one is. Results are kept as
digest and length: what they say lies with the server that gave them. `call` tells one call from every other.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.lines import append
from agent.sessions import Reply


class Ledger:
    """Args:
    artifacts: The artifacts folder of the run.
    """

    def __init__(self, artifacts: Path) -> None:
        self._artifacts = artifacts
        self._file: Path | None = None
        self._holding = True
        self._held_back: list[str] = []
        self._run, self._calls = secrets.token_hex(4), 0

    def open(self, cycle: str) -> None:
        """Write to a cycle's file from now on, first what was held back."""
        self._file = self._artifacts / "loop" / cycle / "ledger.jsonl"
        self._release()

    def close(self) -> None:
        """The cycle is over: hold back what comes until the next is known."""
        self._holding = True

    def finish(self, last: str | None) -> None:
        """No cycle will follow: what is held back belongs to the last one, whoever worked on it."""
        if self._file is None and last is not None:
            self.open(last)
        elif self._file is not None:
            self._release()

    def add(self, step: str, server: str, tool: str, arguments: Mapping[str, Any], reply: Reply) -> None:
        """Note one call and what it brought."""
        self._calls += 1
        entry = {
            "call": f"{self._run}-{self._calls}",
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "step": step,
            "server": server,
            "tool": tool,
            "arguments": arguments,
            "is_error": reply.is_error,
            "result_digest": hashlib.sha256(reply.text.encode()).hexdigest(),
            "result_chars": len(reply.text),
            "seconds": round(reply.seconds, 4),
        }
        line = json.dumps(entry, ensure_ascii=False)
        self._held_back.append(line)
        if not self._holding:
            self._release()

    def _release(self) -> None:
        self._holding = False
        assert self._file is not None
        while self._held_back:
            append(self._file, self._held_back.pop(0))
