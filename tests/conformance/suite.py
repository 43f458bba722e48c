"""The MCP conformance suite: which versions, how it is called, and what it found.

It is an npm package and wants Node 22, which comes from npm as well; nothing is installed into the repository.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "@modelcontextprotocol/conformance"
NODE = "node@22"
NO_NPX = "npx is missing, which runs the MCP conformance suite: apt-get install nodejs npm, and call again"
LIMIT_S = 600
_WHEN = re.compile(r"-\d{4}-\d\d-\d\dT[-\dZ]+$")


@dataclass(frozen=True)
class Round:
    """The suite against one protocol version."""

    version: str
    """Of the suite."""
    protocol: str
    """The newest version of the protocol that is spoken; scenarios of older ones are run with it."""


# 0.1.16 is the newest release. What it does not know yet, the newest protocol, is in a preview of the next.
ROUNDS = (Round("0.1.16", "2025-06-18"), Round("0.1.16", "2025-11-25"), Round("0.2.0-alpha.12", "2026-07-28"))


@dataclass(frozen=True)
class Check:
    """What was found of one thing that the suite looks at."""

    scenario: str
    check: str
    status: str
    words: str

    @property
    def name(self) -> str:
        return f"{self.scenario}/{self.check}"

    @property
    def failed(self) -> bool:
        return self.status == "FAILURE"


def results(url: str, asked: Round, folder: Path) -> list[Check]:
    """Run all of its scenarios against a server.

    Args:
        url: Of the server.
        asked: Which version of the suite, for which of the protocol.
        folder: For what it writes.

    Raises:
        RuntimeError: it could not be run.
    """
    if shutil.which("npx") is None:
        raise RuntimeError(NO_NPX)
    done = subprocess.run(
        [
            "npx", "--yes", "--package", NODE, "--package", f"{PACKAGE}@{asked.version}", "--",
            "conformance", "server", "--url", url, "--suite", "all", "--spec-version", asked.protocol,
            "--output-dir", str(folder),
        ],
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    found = [check for file in sorted(folder.glob("server-*/checks.json")) for check in _checks(file)]
    if not found:  # its exit code is 1 where a check failed
        raise RuntimeError(f"the suite did not run: {(done.stderr or done.stdout).strip()[-1000:]}")
    return found


def _checks(file: Path) -> list[Check]:
    # server-<scenario>-<when>; a scenario's own name may begin with server-, too.
    scenario = _WHEN.sub("", file.parent.name.removeprefix("server-"))
    rows: list[Mapping[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return [Check(scenario, row["id"], row["status"], row.get("errorMessage") or "") for row in rows]
