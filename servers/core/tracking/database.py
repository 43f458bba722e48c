"""The SQLite file of a local tracker: its tables, and how it is opened.

A connection lives for one operation, so threads and processes share nothing but the file. Writers take turns
(write-ahead log, short transactions, up to LOCK_TIMEOUT_S of waiting); readers never wait.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from servers.core.disk import open_or_create
from servers.core.tracking.conditions import SQL_FUNCTIONS

SCHEMA_VERSION = 1
LOCK_TIMEOUT_S = 30.0
PAGE_BYTES = 8192  # a trace is one to two kilobytes; with SQLite's 4096 a third of each page stays empty

_TABLES = (
    """CREATE TABLE project (
        serial INTEGER PRIMARY KEY, entity TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (entity, name)
    )""",
    """CREATE TABLE run (
        serial INTEGER PRIMARY KEY, project INTEGER NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, group_name TEXT,
        job_type TEXT NOT NULL, tags TEXT NOT NULL, config TEXT NOT NULL, summary TEXT NOT NULL, state TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (project, id)
    )""",
    """CREATE TABLE history (
        project INTEGER NOT NULL, run_id TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL,
        PRIMARY KEY (project, run_id, step)
    ) WITHOUT ROWID""",
    """CREATE TABLE trace (
        serial INTEGER PRIMARY KEY, project INTEGER NOT NULL, id TEXT NOT NULL, trace_id TEXT NOT NULL, parent_id TEXT,
        op_name TEXT NOT NULL, display_name TEXT, started_at TEXT NOT NULL, ended_at TEXT, latency_ms INTEGER,
        status TEXT NOT NULL, inputs TEXT NOT NULL, output TEXT NOT NULL, attributes TEXT NOT NULL, exception TEXT,
        run_id TEXT, UNIQUE (project, id)
    )""",
    # Newest first without sorting; by its further columns a search for parent, op, run or status reads it alone.
    "CREATE INDEX trace_by_time ON trace (project, started_at, parent_id, op_name, run_id, status)",
    # The rows of one evaluation, newest first. Their order by error is not indexed: see `LocalTracker.traces`.
    """CREATE INDEX trace_by_evaluation
        ON trace (project, json_extract(attributes, '$."evaluation_id"'), started_at, parent_id)""",
)


class TrackingError(ValueError):
    """The database cannot be used as it stands: damaged, locked for too long, or of another program."""


class Database:
    """One file, created by the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction, kept if the block ends well and undone if it does not."""
        if not self.path.exists():
            with self._errors_named():
                _create(self.path)
        with self._errors_named(), closing(_connect(f"{self.path.as_uri()}?mode=rw")) as connection:
            self._check_version(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one moment of the database; an empty one where nothing was written yet."""
        target = f"{self.path.as_uri()}?mode=rw" if self.path.exists() else ":memory:"
        with self._errors_named(), closing(_connect(target)) as connection:
            if target == ":memory:":
                _make_tables(connection)
            self._check_version(connection)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise TrackingError(
                f"{str(self.path)!r} has schema version {version}, this program knows {SCHEMA_VERSION}; "
                "use the program that wrote it, or move the file away"
            )

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise TrackingError(f"tracking database {str(self.path)!r} cannot be used: {error}") from error


def _connect(target: str) -> sqlite3.Connection:
    connection = sqlite3.connect(target, timeout=LOCK_TIMEOUT_S, isolation_level=None, uri=True)
    for name, function in SQL_FUNCTIONS.items():
        connection.create_function(name, 2, function, deterministic=True)
    return connection


def _create(path: Path) -> None:
    # Made aside and linked into place: two processes that begin together cannot both turn a file into a database,
    # SQLite does not wait for a lock when it switches to the write-ahead log.
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        # Made here, because SQLite would let nobody but its user write; what it puts beside the file gets its mode.
        os.close(open_or_create(fresh, os.O_RDWR))
        with closing(_connect(f"{fresh.as_uri()}?mode=rw")) as connection:
            _make_tables(connection)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in ("BEGIN", *_TABLES, f"PRAGMA user_version = {SCHEMA_VERSION}", "COMMIT"):
        connection.execute(statement)
