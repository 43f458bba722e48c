import multiprocessing
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from servers.core.tracking import EVERYTHING, AllOf, AnyOf, Compare, Condition, LocalTracker, Not, Run, Trace


def run(id: str, **changes: Any) -> Run:
    usual = {
        "id": id,
        "name": f"run {id}",
        "entity": "local",
        "project": "demo",
        "job_type": "eval",
        "state": "finished",
        "created_at": "2026-01-31T08:00:00Z",
        "updated_at": "2026-01-31T08:00:05Z",
    }
    return Run(**{**usual, **changes})


def trace(id: str, **changes: Any) -> Trace:
    usual = {"id": id, "trace_id": id, "op_name": "evaluate_row", "started_at": "2026-01-31T08:00:00Z"}
    return Trace(**{**usual, **changes})


def write_traces(path: Path, who: int) -> None:
    tracker = LocalTracker(path)
    for batch in range(5):
        tracker.save_traces("local", "demo", [trace(f"{who}-{batch}-{row}") for row in range(20)])
        tracker.log_history("local", "demo", "shared", [{"_step": batch, f"writer_{who}": batch}])


def test_repeating_every_save_changes_nothing(tmp_path: Path):
    """Ours: ids are the caller's, so that work which was interrupted can simply be done again."""
    tracker = LocalTracker(tmp_path / "local.db")
    kept = run("r1", group="cycle_1", tags=["student"], config={"lr": 0.1}, summary={"eval/mae_raw": 12.5})
    rows = [{"_step": 0, "loss": 1.0}, {"_step": 1, "loss": 0.5}]
    traces = [trace("t1", output={"mae_raw": 3.0}), trace("t2", parent_id="t1", trace_id="t1")]

    for _ in range(2):
        tracker.save_run(kept)
        tracker.log_history("local", "demo", "r1", rows)
        tracker.save_traces("local", "demo", traces)

    assert tracker.runs("local", "demo") == [kept]
    assert tracker.history("local", "demo", "r1") == rows
    assert tracker.traces("local", "demo", descending=False) == traces
    assert tracker.count_traces("local", "demo") == (2, 1)


def test_a_later_save_of_a_run_takes_the_place_of_the_earlier(tmp_path: Path):
    """Ours: a running job is saved again when it has finished."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run("r1", state="running", summary={"loss": 2.0}))
    tracker.save_run(run("r1", state="finished", summary={"eval/mae_raw": 1.0}))

    (found,) = tracker.runs("local", "demo")

    assert (found.state, found.summary) == ("finished", {"eval/mae_raw": 1.0})


def test_the_same_id_in_two_projects_is_two_records(tmp_path: Path):
    """Ours: ids are unique within a project, as in W&B."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run("r1", project="demo"))
    tracker.save_run(run("r1", project="other", state="failed"))
    tracker.save_traces("local", "demo", [trace("t1")])

    assert [found.state for found in tracker.runs("local", "demo")] == ["finished"]
    assert [found.state for found in tracker.runs("local", "other")] == ["failed"]
    assert tracker.count_traces("local", "other") == (0, 0)
    assert tracker.projects() == [("local", "other"), ("local", "demo")]


def test_numbers_and_texts_come_back_exactly(tmp_path: Path):
    """Ours: a claim is checked against the number that was measured, to the last bit."""
    tracker = LocalTracker(tmp_path / "local.db")
    drawn = random.Random(7)
    numbers = [drawn.uniform(-1, 1) * 10.0 ** drawn.randint(-300, 300) for _ in range(2000)]
    output = {"numbers": [*numbers, 0.1 + 0.2, 5e-324, -0.0, 10**30, True, None], "text": 'Ünï\x00 "quoted" 日本 😀'}

    tracker.save_traces("local", "demo", [trace("t1", output=output)])

    (found,) = tracker.traces("local", "demo")
    assert found.output == output
    assert list(map(repr, found.output["numbers"])) == list(map(repr, output["numbers"]))


def test_nan_and_infinities_are_kept_as_texts(tmp_path: Path):
    """Ours: JSON has no word for them and W&B writes these; a diverged loss must neither crash the job nor vanish."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.log_history("local", "demo", "r1", [{"_step": 0, "a": float("nan"), "b": [float("inf"), float("-inf")]}])

    assert tracker.history("local", "demo", "r1") == [{"_step": 0, "a": "NaN", "b": ["Infinity", "-Infinity"]}]


def test_history_rows_of_one_step_are_merged_key_by_key(tmp_path: Path):
    """Ours: train and validation metrics of one step arrive in two calls."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.log_history("local", "demo", "r1", [{"_step": 3, "loss": 1.0}, {"_step": 3, "lr": 0.1}])
    tracker.log_history("local", "demo", "r1", [{"_step": 3, "val": 2.0, "loss": 0.9}, {"_step": 1, "loss": 4.0}])

    assert tracker.history("local", "demo", "r1") == [
        {"_step": 1, "loss": 4.0},
        {"_step": 3, "loss": 0.9, "lr": 0.1, "val": 2.0},
    ]
    assert tracker.history_length("local", "demo", "r1") == 2


@pytest.mark.parametrize("row", [{}, {"_step": 1.5}, {"_step": True}, {"_step": -1}, {"_step": 2**63}])
def test_a_history_row_without_a_usable_step_is_refused(tmp_path: Path, row: dict[str, Any]):
    """Ours: a guessed step would put a number where it was not measured."""
    tracker = LocalTracker(tmp_path / "local.db")

    with pytest.raises(ValueError, match="needs '_step', a whole number from 0 on"):
        tracker.log_history("local", "demo", "r1", [{"_step": 0, "loss": 1.0}, row])

    assert tracker.history("local", "demo", "r1") == []


def test_traces_are_saved_all_or_none(tmp_path: Path):
    """Ours: half an evaluation looks like a whole one to whoever counts its traces."""
    tracker = LocalTracker(tmp_path / "local.db")

    with pytest.raises(ValueError, match="output of trace 't2' cannot be kept as JSON"):
        tracker.save_traces("local", "demo", [trace("t1"), trace("t2", output=object())])

    assert tracker.count_traces("local", "demo") == (0, 0)


def test_the_worst_traces_come_first_and_those_without_a_value_last(tmp_path: Path):
    """Ours: failures are mined by sorting on a path into the output, in either direction."""
    tracker = LocalTracker(tmp_path / "local.db")
    errors = {"a": 3.5, "b": 12.25, "c": None, "d": 12, "e": 0.5}
    tracker.save_traces("local", "demo", [trace(id, output={"mae_raw": error}) for id, error in errors.items()])

    worst = tracker.traces("local", "demo", order_by="output.mae_raw", limit=3)
    best = tracker.traces("local", "demo", order_by="output.mae_raw", descending=False)

    assert [found.id for found in worst] == ["b", "d", "a"]
    assert [found.id for found in best] == ["e", "a", "d", "b", "c"]


def test_of_traces_that_began_together_the_last_saved_is_the_newest(tmp_path: Path):
    """Ours: the rows of an evaluation share their start, and a page of them must not change from call to call."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [trace(id) for id in "bca"])

    assert [found.id for found in tracker.traces("local", "demo", limit=2)] == ["a", "c"]
    assert [found.id for found in tracker.traces("local", "demo", descending=False, limit=2)] == ["b", "c"]


def test_times_sort_as_times_however_they_were_spelled(tmp_path: Path):
    """Ours: as text, "…:00Z" would sort after "…:00.5Z"."""
    tracker = LocalTracker(tmp_path / "local.db")
    spelled = {
        "second": "2026-01-31T08:00:00.5Z",
        "first": "2026-01-31T08:00:00Z",
        "third": "2026-01-31T08:00:01+00:00",
    }
    tracker.save_traces("local", "demo", [trace(id, started_at=time) for id, time in spelled.items()])

    found = tracker.traces("local", "demo", Compare("started_at", ">=", "2026-01-31T08:00:00Z"), descending=False)

    assert [one.id for one in found] == ["first", "second", "third"]
    assert found[0].started_at == "2026-01-31T08:00:00.000000Z"


@pytest.mark.parametrize("time", ["2026-01-31", "2026-01-31T08:00:00", "2026-01-31T08:00:00+02:00", "yesterday"])
def test_a_time_that_is_not_utc_is_refused(time: str):
    """Ours: a local time that is read as UTC is wrong by hours and nobody notices."""
    with pytest.raises(ValidationError, match="is not a time in UTC"):
        trace("t1", started_at=time)


def test_status_and_latency_follow_from_the_trace():
    """Ours: they are never saved, so they cannot disagree with what was."""
    under_way = trace("t1")
    done = trace("t2", ended_at="2026-01-31T08:00:01.2349Z")
    broken = trace("t3", ended_at="2026-01-31T08:00:00Z", exception="ValueError('no')")

    assert [one.status for one in (under_way, done, broken)] == ["running", "success", "error"]
    assert [one.latency_ms for one in (under_way, done, broken)] == [None, 1234, 0]


SEARCHES: list[tuple[Condition, str]] = [
    (EVERYTHING, "abcd"),
    (Compare("config.lr", "=", 0.1), "a"),
    (Compare("config.lr", "=", None), "cd"),
    (Not(Compare("config.lr", "=", 0.1)), "bcd"),
    (Compare("config.lr", ">", 0.1), "b"),
    (Compare("config.lr", ">=", "0"), ""),
    (Compare("config.note", ">", 0), ""),
    (Compare("config.note", ">", "a"), "c"),
    (Compare("config.lr", "in", [0.2, 0.3]), "b"),
    (Not(Compare("config.lr", "in", [0.2, 0.3])), "acd"),
    (Compare("config.lr", "in", [0.1, None]), "acd"),
    (Compare("id", "in", []), ""),
    (Compare("id", "in", ["a", *map(str, range(600))]), "a"),
    (Compare("config.lr", "exists", True), "ab"),
    (Compare("config.dataset/version", "=", "v1"), "a"),
    (Compare("config.lora.r", "=", 16), "ab"),
    (Compare("summary.eval/mae_raw", "<", 5), "d"),
    (Compare("tags", "=", "x"), "ab"),
    (Not(Compare("tags", "=", "x")), "cd"),
    (Compare("tags", "in", ["y", "z"]), "b"),
    (Compare("tags", "regex", "^[yz]$"), "b"),
    (Compare("tags", "exists", False), "cd"),
    (Compare("name", "contains", "STRASSE"), "c"),
    (Compare("name", "regex", "^run [ab]"), "ab"),
    (Compare("group", "=", "it's"), "d"),
    (Compare("created_at", "<", "2026-01-31T08:00:01+00:00"), "abc"),
    (AllOf((Compare("tags", "=", "x"), Compare("config.lr", "exists", True))), "ab"),
    (AnyOf((Compare("id", "=", "a"), Compare("id", "=", "d"))), "ad"),
    (Not(AnyOf((Compare("id", "=", "a"), Compare("id", "=", "d")))), "bc"),
    (AnyOf(()), ""),
]


def test_a_search_finds_what_it_says(tmp_path: Path):
    """Ours: missing values are never equal and always different; numbers and texts are never compared."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run("a", tags=["x"], config={"lr": 0.1, "dataset/version": "v1", "lora.r": 16}))
    tracker.save_run(run("b", tags=["x", "y"], config={"lr": 0.2, "lora": {"r": 16}}))
    tracker.save_run(run("c", name="run in der Straße", config={"note": "b"}, summary={"eval/mae_raw": 5}))
    tracker.save_run(run("d", group="it's", created_at="2026-01-31T08:00:01Z", summary={"eval/mae_raw": 4.5}))

    found = [(condition, "".join(sorted(tracker.run_ids("local", "demo", condition)))) for condition, _ in SEARCHES]

    assert found == SEARCHES


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Compare("colour", "=", 1), "unknown field 'colour'; known: id, "),
        (Compare("output", "=", 1), "unknown field 'output'"),
        (Compare("output.a", "=", {"b": 1}), "cannot compare with {'b': 1}"),
        (Compare("output.a", "=", 2**63), "cannot compare with 9223372036854775808"),
        (Compare("output.a", ">", True), "True has no order"),
        (Compare("output.a", "in", "text"), "'text' is not a list"),
        (Compare("output.a", "contains", 1), "1 is not a text"),
        (Compare("output.a", "regex", "("), "is not a regular expression"),
        (Compare("output.a", "exists", 1), "1 is neither true nor false"),
        (Compare('output.a"b', "=", 1), "must have no quote"),
        (Compare("started_at", ">", "noon"), "is not a time in UTC"),
    ],
)
def test_a_search_that_cannot_be_understood_is_refused(tmp_path: Path, condition: Condition, message: str):
    """Ours: a condition that is dropped would match everything."""
    with pytest.raises(ValueError) as refused:
        LocalTracker(tmp_path / "local.db").traces("local", "demo", condition)

    assert message in str(refused.value)


def test_a_key_cannot_smuggle_sql_into_a_search(tmp_path: Path):
    """Ours: keys come from whoever speaks MCP."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [trace("t1", output={"it's) OR 1 --": 1}), trace("t2")])

    assert [found.id for found in tracker.traces("local", "demo", Compare("output.it's) OR 1 --", "=", 1))] == ["t1"]


def test_reading_before_anything_was_saved_finds_nothing_and_creates_nothing(tmp_path: Path):
    """Ours: the stand-in may start before the first evaluation, and only reads."""
    tracker = LocalTracker(tmp_path / "tracking" / "local.db")

    assert tracker.projects() == []
    assert tracker.runs("local", "demo") == tracker.traces("local", "demo") == tracker.op_names("local", "demo") == []
    assert tracker.count_traces("local", "demo") == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path):
    """Ours: servers and jobs of one artifacts folder track side by side, from the first moment on."""
    path = tmp_path / "local.db"
    spawned = multiprocessing.get_context("spawn")
    writers = [spawned.Process(target=write_traces, args=(path, who)) for who in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)

    assert [writer.exitcode for writer in writers] == [0, 0]
    assert LocalTracker(path).count_traces("local", "demo").total == 2 * 5 * 20
    assert LocalTracker(path).history("local", "demo", "shared") == [
        {"_step": step, "writer_0": step, "writer_1": step} for step in range(5)
    ]


def test_a_file_that_is_no_tracking_database_is_named(tmp_path: Path):
    """Ours: one error that says which file, instead of a traceback from SQLite."""
    damaged, newer = tmp_path / "damaged.db", tmp_path / "newer.db"
    damaged.write_bytes(b"not a database, but long enough to be looked at as one" * 20)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    for path in (damaged, newer):
        with pytest.raises(ValueError, match=path.name):
            LocalTracker(path).projects()
        with pytest.raises(ValueError, match=path.name):
            LocalTracker(path).save_run(run("r1"))


@pytest.mark.parametrize("name", ["", "a/b", "what?", "50%", "c:d"])
def test_a_name_that_wandb_would_refuse_is_refused_at_once(tmp_path: Path, name: str):
    """Ours: what is kept locally can be synchronised later."""
    with pytest.raises(ValidationError, match="cannot name an entity, a project or a run"):
        run("r1", project=name)
    with pytest.raises(ValueError, match="cannot name an entity, a project or a run"):
        LocalTracker(tmp_path / "local.db").save_traces("local", name, [trace("t1")])


def test_locators_follow_from_the_ids(tmp_path: Path):
    """Ours: a report links to what is kept locally, and the link stays the same."""
    tracker = LocalTracker(tmp_path / "local.db")

    assert tracker.run_url("local", "my demo", "r1") == "etude-local://local/my%20demo/runs/r1"
    assert tracker.trace_url("local", "demo", "a/b#1") == "etude-local://local/demo/call/a%2Fb%231"
