"""What no run may leave behind, however often it was killed: doubled rows, torn lines, a job trained twice."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.acceptance import check_artifacts, check_document, check_seal

ATTEMPT = re.compile(r"^--- attempt (\d+), ", re.MULTILINE)
BEGAN = "1/"  # how a job's first step begins in its log


def faults_in(artifacts: Path, document: dict[str, Any], job_was_killed: bool) -> list[str]:
    """Everything that is wrong with a finished run.

    Args:
        artifacts: Its folder.
        document: What the command printed.
        job_was_killed: Whether a job may have been trained again.
    """
    found = [
        *faults_in_ledgers(artifacts),
        *_in_tracker(artifacts),
        *_in_jobs(artifacts, job_was_killed),
        *_in_seal(artifacts),
    ]
    for check in (check_document, check_artifacts, check_seal):
        try:
            check(document)
        except AssertionError as error:
            found.append(f"{check.__name__}: {error}")
    return found


def drafts_in(artifacts: Path) -> list[str]:
    """Hidden files that a kill left behind: drafts that never came to their place."""
    kept = {".lock"}
    hidden = (path for path in artifacts.rglob(".*") if path.name not in kept)
    return sorted(path.relative_to(artifacts).as_posix() for path in hidden)


def faults_in_ledgers(artifacts: Path) -> Iterator[str]:
    """A ledger's rows are whole and stand once: `call` tells them apart, where there is none all of the row does."""
    agents, servers = (sorted(artifacts.glob(pattern)) for pattern in ("loop/*/ledger.jsonl", "ledger/*.jsonl"))
    for files in (agents, servers):
        rows = []
        for file in files:
            text = file.read_text(encoding="utf-8")
            if not text.endswith("\n"):
                yield f"{file.relative_to(artifacts)} ends in the middle of a row"
            for number, line in enumerate(text.splitlines(), start=1):
                try:
                    row = json.loads(line)
                    rows.append(str(row.get("call") or (file.name, line)))
                except ValueError:
                    yield f"{file.relative_to(artifacts)}, line {number}, is no row: {line:.80}"
        yield from (f"ledger row {row:.80} stands {count} times" for row, count in _repeated(rows))


def _in_tracker(artifacts: Path) -> Iterator[str]:
    """Ids are kept apart by the database; that nothing is saved under two ids is seen by comparing with a whole run."""
    file = artifacts / "tracking" / "local.db"
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        ids = {table: [row[0] for row in connection.execute(f"SELECT id FROM {table}")] for table in ("run", "trace")}
        roots = dict(
            connection.execute("SELECT run_id, count(*) FROM trace WHERE parent_id IS NULL GROUP BY run_id").fetchall()
        )
        (health,) = connection.execute("PRAGMA integrity_check").fetchone()
    if health != "ok":
        yield f"tracking/local.db: {health}"
    for table, found in ids.items():
        yield from (f"{table} {id} stands {count} times in the tracker" for id, count in _repeated(found))
    for folder in sorted((artifacts / "eval" / "runs").iterdir()):
        evaluation = json.loads((folder / "eval.json").read_text(encoding="utf-8"))
        if (count := roots.get(folder.name, 0)) != evaluation["n"]:
            yield f"{folder.name} has {count} root traces for {evaluation['n']} rows"


def _in_jobs(artifacts: Path, job_was_killed: bool) -> Iterator[str]:
    """Each plan is trained to success once, and no attempt that could go on is begun again."""
    plans = []
    for folder in sorted((artifacts / "jobs").iterdir()):
        if not (folder / "result.json").exists():
            yield f"jobs/{folder.name} has no result"
            continue
        plans.append(json.loads((folder / "spec.json").read_text(encoding="utf-8"))["plan_id"])
        log = (folder / "log.txt").read_text(encoding="utf-8")
        attempts = ATTEMPT.split(log)[2::2]
        trained = sum(any(line.startswith(BEGAN) for line in words.splitlines()) for words in attempts)
        if trained > 1 and not job_was_killed:
            yield f"jobs/{folder.name} was trained {trained} times, and nobody had killed it"
    yield from (f"plan {plan} was trained by {count} jobs" for plan, count in _repeated(plans))


def _in_seal(artifacts: Path) -> Iterator[str]:
    verdicts = [
        json.loads(line)["question"]["verdict_id"]
        for file in sorted((artifacts / "sealed").glob("*/*/verdicts.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    yield from (f"{verdict} was spent {count} times" for verdict, count in _repeated(verdicts))


def _repeated(values: Sequence[str]) -> list[tuple[str, int]]:
    return [(value, count) for value, count in Counter(values).items() if count > 1]
