"""The jobs of the Hub's double. Each really runs: its command is a process here, its volumes are folders.

The image is this installation: `uv` on the job's PATH is a stand-in that leaves the installing out and starts the
command with this Python. A job sees none of this process's environment, only what it was submitted with.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SHIM = """#!/bin/sh
echo "Installed what it needs"
while [ -e "{hold}" ]; do sleep 0.02; done
while [ $# -gt 0 ] && [ "$1" != python ]; do shift; done
shift
exec "{python}" "$@"
"""
HOLD = "hold"
ENDED = ("COMPLETED", "ERROR", "CANCELED", "DELETED")


def stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class HubJob:
    """One job.

    Args:
        job_id: Its id.
        namespace: Whose it is.
        spec: As it was submitted.
        endpoint: Of the double.
    """

    def __init__(self, job_id: str, namespace: str, spec: dict[str, Any], endpoint: str) -> None:
        self.job_id, self.namespace, self.spec, self.endpoint = job_id, namespace, spec, endpoint
        self.stage, self.message = "SCHEDULING", None
        self.log: list[dict[str, str]] = []
        self.created, self.started, self.finished = stamp(), None, None
        self.over = threading.Event()
        self._began, self._process = 0.0, None
        self._seconds: float | None = None
        self._lock = threading.Lock()

    def start(self, mounts: list[tuple[str, Path]], folder: Path) -> None:
        """Run it; `mounts` says which path is which folder."""

        def here(words: str) -> str:
            for path, place in mounts:
                words = words.replace(path, str(place))
            return words

        shims = folder / "bin"
        shims.mkdir()
        (shims / "uv").write_text(SHIM.format(python=sys.executable, hold=folder.parent / HOLD))
        (shims / "uv").chmod(0o755)
        environment = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": f"{shims}{os.pathsep}/usr/bin:/bin"}
        environment |= {name: here(str(value)) for name, value in self.spec.get("environment", {}).items()}
        environment |= self.spec.get("secrets", {})
        command = [here(word) for word in [*self.spec["command"], *self.spec.get("arguments", [])]]
        threading.Thread(target=self._run, args=(command, environment, folder), daemon=True).start()

    def play(self, act: "Callable[[HubJob], int]") -> None:
        """Let a function do what the command would; it gives the exit code."""

        def run() -> None:
            self.stage, self.started, self._began = "RUNNING", stamp(), time.monotonic()
            self._exit(act(self))

        threading.Thread(target=run, daemon=True).start()

    def cancel(self) -> None:
        self._end("CANCELED", None)

    def as_json(self) -> dict[str, Any]:
        running = self._seconds if self._seconds is not None else time.monotonic() - self._began if self._began else 0.0
        return {
            "id": self.job_id,
            "createdAt": self.created,
            "startedAt": self.started,
            "finishedAt": self.finished,
            "dockerImage": self.spec.get("dockerImage"),
            "command": self.spec["command"],
            "arguments": self.spec.get("arguments", []),
            "environment": self.spec.get("environment", {}),
            "secrets": dict.fromkeys(self.spec.get("secrets", {})),
            "flavor": self.spec["flavor"],
            "labels": self.spec.get("labels"),
            "volumes": self.spec.get("volumes"),
            "timeout": self.spec.get("timeoutSeconds"),
            "status": {"stage": self.stage, "message": self.message},
            "durations": {"schedulingSecs": 0, "runningSecs": round(running, 3), "totalSecs": round(running, 3)},
            "owner": {"id": "u1", "name": self.namespace, "type": "user"},
        }

    def _run(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        with self._lock:
            if self.stage in ENDED:
                return
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
                errors="replace",
            )
            self.stage, self.started, self._began = "RUNNING", stamp(), time.monotonic()
        self.say("===== Job started at " + self.started)
        alarm = threading.Timer(self.spec.get("timeoutSeconds", 1800), self._end, ("ERROR", "Job timeout"))
        alarm.daemon = True
        alarm.start()
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.say(line.rstrip("\n"))
        code = self._process.wait()
        alarm.cancel()
        self._exit(code)

    def _exit(self, code: int) -> None:
        self._end("COMPLETED" if code == 0 else "ERROR", None if code == 0 else f"Job failed with exit code: {code}")

    def say(self, line: str) -> None:
        self.log.append({"timestamp": stamp(), "data": line})

    def _end(self, stage: str, message: str | None) -> None:
        with self._lock:
            if self.stage in ENDED:
                return
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._seconds = time.monotonic() - self._began if self._began else 0.0
            self.stage, self.message, self.finished = stage, message, stamp()
        self.over.set()


class HubJobs:
    """All jobs, in the order in which they were submitted.

    Args:
        tree: Gives the files of a repository, of a revision or the newest.
    """

    def __init__(self, tree: Callable[[str, str, str], dict[str, bytes]]) -> None:
        self._tree = tree
        self.all: dict[str, HubJob] = {}
        self._submitted = 0
        self.waiting = False
        """Whether new jobs stay in SCHEDULING."""
        self.act: Callable[[HubJob], int] | None = None
        """Plays new jobs; None for jobs that really run."""
        self.watched: Callable[[dict[str, bytes]], None] | None = None
        """Shown the files of every volume."""
        self._folder = tempfile.TemporaryDirectory(prefix="hub-jobs-", ignore_cleanup_errors=True)

    def submit(self, namespace: str, spec: dict[str, Any], endpoint: str) -> HubJob:
        self._submitted += 1
        job = HubJob(f"{self._submitted:024x}", namespace, spec, endpoint)
        folder = Path(self._folder.name) / job.job_id
        folder.mkdir()
        mounts = [self._mount(folder / f"volume-{number}", one) for number, one in enumerate(spec.get("volumes", []))]
        self.all[job.job_id] = job
        if self.act is not None:
            job.play(self.act)
        elif not self.waiting:
            job.start(mounts, folder)
        return job

    def hold(self) -> None:
        """Let jobs run and do nothing, until they are released."""
        (Path(self._folder.name) / HOLD).touch()

    def release(self) -> None:
        (Path(self._folder.name) / HOLD).unlink(missing_ok=True)

    def close(self) -> None:
        for job in self.all.values():
            job.cancel()
        self._folder.cleanup()

    def _mount(self, folder: Path, volume: dict[str, Any]) -> tuple[str, Path]:
        folder.mkdir()
        prefix = f"{volume['path']}/" if volume.get("path") else ""
        files = self._tree(volume["type"], volume["source"], volume.get("revision") or "main")
        if self.watched is not None:
            self.watched(files)
        for path, data in files.items():
            if path.startswith(prefix):
                file = folder / path[len(prefix) :]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                file.chmod(0o444)
        return volume["mountPath"], folder
