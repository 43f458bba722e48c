"""What a run leaves behind, without its times: two runs that did the same leave the same.

Read from the files themselves, not through the servers' own stores, so that a store that hides a fault is no help.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

TIMES = re.compile(r"(^|_)(at|seconds|minutes|timestamp|latency|estimate)(_|$)")
VOLATILE = {"attempt", "pid", "reply_digest", "reply_chars"}  # of a retry, a process, and words that hold times
LATENCY_CHECK = "p95_latency_ms"
BESIDE = {"tracking/local.db-shm", "tracking/local.db-wal"}  # SQLite's own, there until the next process is done
Remains = dict[str, Any]


def remains_of(artifacts: Path) -> Remains:
    """Everything that has to be the same after every kill."""
    return {
        "champions": document(artifacts / "models" / "registry.json"),
        "datasets": {file: _content(artifacts / file) for file in _files(artifacts, "datasets")},
        "sealed": {file: _content(artifacts / file) for file in _files(artifacts, "sealed") if "sketch" not in file},
        "evaluations": {file: _content(artifacts / file) for file in _files(artifacts, "eval")},
        "cycles": {
            file: _content(artifacts / file)
            for file in _files(artifacts, "loop")
            if not file.endswith(("ledger.jsonl", ".md", ".csv"))
        },
        "jobs": {
            file: _content(artifacts / file)
            for file in _files(artifacts, "jobs")
            if not file.endswith(("log.txt", ".lock"))
        },
        "files": {file: True for file in _files(artifacts, "") if not file.startswith("log/") and file not in BESIDE},
        "run": document(artifacts / "run.json"),
        "tracker": _tracker(artifacts / "tracking" / "local.db"),
    }


def document(file: Path) -> Any:
    """A JSON document without its times; None where there is no such file yet."""
    return timeless(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def timeless(value: Any) -> Any:
    """The value without what tells when, how fast, or by which process."""
    if isinstance(value, dict):
        if value.get("name") == LATENCY_CHECK:
            value = {key: item for key, item in value.items() if key not in ("detail", "value")}
        return {key: timeless(item) for key, item in value.items() if not TIMES.search(key) and key not in VOLATILE}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where two values differ, leaf by leaf."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            if key not in found or key not in expected:
                yield f"{where}/{key} is {'missing' if key not in found else 'new'}"
            else:
                yield from differences(expected[key], found[key], f"{where}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif expected != found:
        yield f"{where} is {found!r:.200}, expected {expected!r:.200}"


def _files(artifacts: Path, folder: str) -> list[str]:
    """Paths under the artifacts folder of all files that are not hidden, sorted."""
    found = (path for path in (artifacts / folder).rglob("*") if path.is_file())
    relative = (path.relative_to(artifacts) for path in found)
    return sorted(path.as_posix() for path in relative if not any(part.startswith(".") for part in path.parts))


def _content(file: Path) -> Any:
    """A document, the digest of rows, or of bytes."""
    if file.suffix == ".json":
        return document(file)
    if file.suffix == ".jsonl":
        rows = [timeless(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
        if file.name == "verdicts.jsonl":
            return rows
        return f"{len(rows)} rows {_digest(json.dumps(rows, sort_keys=True).encode())}"
    return _digest(file.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _tracker(file: Path) -> Remains:
    """Runs, their history, and traces by id; nothing before the first of them was saved."""
    if not file.exists():
        return {}
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        runs, steps, traces = (
            [_decoded(row) for row in connection.execute(f"SELECT * FROM {table}")]
            for table in ("run", "history", "trace")
        )
    return {
        "runs": {row["id"]: row for row in runs},
        "history": {f"{row['run_id']} {row['step']}": row for row in steps},
        "traces": {row["id"]: _digest(json.dumps(row, sort_keys=True).encode()) for row in traces},
        "roots": {run["id"]: sum(t["run_id"] == run["id"] and t["parent_id"] is None for t in traces) for run in runs},
        "rows": [len(runs), len(steps), len(traces)],
    }


def _decoded(row: sqlite3.Row) -> Remains:
    texts = {"tags", "config", "summary", "metrics", "inputs", "output", "attributes"}
    kept = {key: json.loads(value) if key in texts else value for key, value in dict(row).items() if key != "serial"}
    decoded: Remains = timeless(kept)
    return decoded
