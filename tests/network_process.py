"""`etude serve` as a process of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVE = [sys.executable, "-m", "agent.cli", "serve"]
LIMIT_S = 30


class Process:
    """A server that runs."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        """What it said on stderr."""
        return self._log.read_text()

    def wait_for(self, words: str) -> str:
        """The log, once it holds what a pattern looks for."""
        deadline = time.monotonic() + LIMIT_S
        while not re.search(words, self.log):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log
            time.sleep(0.02)
        return self.log

    def wait_at(self, lock: Path) -> None:
        """Wait until one of its tools waits for a lock, which the test holds."""
        handles = Path(f"/proc/{self.process.pid}/fd")
        deadline = time.monotonic() + LIMIT_S
        while str(lock) not in {os.path.realpath(handle) for handle in handles.iterdir()}:
            assert time.monotonic() < deadline and self.process.poll() is None, self.log
            time.sleep(0.02)

    @property
    def url(self) -> str:
        """Where it is, once it listens."""
        found = re.search(r"serving (http://\S+)/mcp", self.wait_for("next:"))
        assert found
        return found[1]

    def end(self, number: int) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)


@contextmanager
def started(folder: Path, *words: str, command: list[str] | None = None, **environment: str) -> Iterator[Process]:
    """`etude serve WORDS` over the artifacts in a folder, or another command."""
    log = folder / "serve.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command or [*SERVE, *words, "--artifacts", str(folder / "artifacts")],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        try:
            yield Process(process, log)
        finally:
            process.kill()
