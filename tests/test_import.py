"""`etude import`, from the command line's arguments to what lies on disk."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from servers.core.dataset import DatasetStore, Example
from servers.core.task import TASKS, load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.importing import run
from tests.workshop import Workshop

NAMES = load_task("kotone").names
GOOD = {name: 50 for name in NAMES}
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]
IMPORT_ALL = """
import sys
from servers.eval.importing import run
from tests.workshop import Workshop
for source in sys.argv[2:]:
    print(run([source, "--name", f"rows-{len(source)}", "--artifacts", sys.argv[1]]), flush=True)
"""


def different_texts(n: int) -> list[str]:
    draw = random.Random(9)
    return [" ".join("".join(draw.choices(SYLLABLES, k=3)) for _ in range(9)) for _ in range(n)]


def good_rows(n: int) -> list[dict[str, Any]]:
    return [
        {"id": f"r{i}", "text": text, "target": {name: (i * 7 + k) % 101 for k, name in enumerate(NAMES)}}
        for i, text in enumerate(different_texts(n))
    ]


def write_lines(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def imported(artifacts: Path, name: str = "mine") -> list[Example]:
    """All rows of a dataset, sealed ones included, by id."""
    workspace = Workspace(artifacts)
    store, card = DatasetStore(workspace), DatasetStore(workspace).head(name)
    rows = store.train(name, card.fingerprint) + store.diagnose(name, card.fingerprint)
    return sorted([*rows, *Custody(workspace, load_task("kotone")).gate(card)], key=lambda row: row.id)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_imported_and_told_in_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: data on stdout, for machines as one document; the rows are there and split half, a fifth, the rest."""
    source = write_lines(tmp_path / "rows.jsonl", good_rows(100))
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a"), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    card = DatasetStore(Workspace(tmp_path / "a")).head("mine")
    assert told == {
        "schema_version": 1,
        "dataset": "mine",
        "fingerprint": card.fingerprint,
        "task": "kotone",
        "already_there": False,
        "read": 100,
        "kept": 100,
        "dropped_by_reason": {},
        "rows": {"train": 50, "diagnose": 20, "gate": 30},
        "near_copy_groups": {"groups": 0, "rows": 0, "largest": 1},
        "near_copy_threshold": 0.8,
        "source_splits": None,
    }
    assert not card.synthetic
    assert {row.id: row.target for row in imported(tmp_path / "a")} == {
        row["id"]: row["target"] for row in good_rows(100)
    }


def test_without_json_the_summary_is_a_short_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: sizes, near copies, threshold and the next command, and nothing on stderr when all is well."""
    source = write_lines(tmp_path / "rows.jsonl", good_rows(100))
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 0

    out, err = capsys.readouterr()
    assert "splits: train 50, diagnose 20, gate 30 (sealed)" in out
    assert "near copies: none" in out
    assert f"next: etude cycle --dataset mine --artifacts {tmp_path / 'a'}\n" in out
    assert err == ""


def test_what_to_type_next_leads_to_the_same_place_and_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Bug: it left out the task and the folder, so what was typed said that there is no such dataset."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "rows.jsonl", good_rows(100))
    (tmp_path / "my task.toml").write_text((TASKS / "kotone.toml").read_text())

    assert run(["rows.jsonl", "--name", "mine", "--artifacts", "a b", "--task", "my task.toml"]) == 0

    assert capsys.readouterr().out.endswith(
        "next: etude cycle --dataset mine --artifacts 'a b' --task 'my task.toml'\n"
    )


def test_every_kind_of_bad_row_is_reported_by_line_and_costs_only_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: one reason a row, with the line as an editor counts it; the list on disk never holds a row's text."""
    bad = {
        "{not json": "malformed JSON",
        '"' + "x" * (1 << 20) + '"': "longer than 1,048,576 bytes",
        "[" * 100_000: "malformed JSON",
        "[1, 2]": "not a JSON object",
        '{"id": "b1"}': "no text",
        '{"text": ["secret words"], "target": {}}': "text is not a string",
        '{"text": " \\t", "target": {}}': "empty text",
        '{"text": "half \\ud800", "target": {}}': "text is not Unicode",
        '{"text": "secret words", "target": "high"}': "target is not an object",
        json.dumps({"text": "secret words", "target": {**GOOD, "warmth": None}}): "warmth is missing",
        json.dumps({"text": "secret words", "target": {"energy": 1}}): "warmth is missing",
        json.dumps({"text": "secret words", "target": {**GOOD, "energy": "12.5"}}): "energy is a string, not a number",
        json.dumps({"text": "secret words", "target": {**GOOD, "energy": True}}): "energy is not a number",
        json.dumps({"text": "secret words", "target": {**GOOD, "energy": float("nan")}}): "energy is not finite",
        json.dumps({"text": "secret words", "target": {**GOOD, "energy": 1e999}}): "energy is not finite",
        json.dumps({"text": "secret words", "target": {**GOOD, "energy": 10**400}}): "energy is outside 0 to 100 (1000",
        json.dumps({"text": "secret words", "target": {**GOOD, "energy": -0.5}}): "energy is outside 0 to 100 (-0.5)",
        json.dumps({"id": 1.5, "text": "t", "target": GOOD}): "id is neither a string nor a whole number",
        json.dumps({"id": "a\nb", "text": "t", "target": GOOD}): "id is no plain id",
        json.dumps({"id": "r3", "text": "secret words", "target": GOOD}): "duplicate id (first on 5)",
    }
    rows: list[Any] = good_rows(400)
    lines = ["", *rows, "", *bad]
    source = write_lines(tmp_path / "rows.jsonl", lines)
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a"), "--json"]) == 0

    out, err = capsys.readouterr()
    told = json.loads(out)
    reported = err.splitlines()
    assert len(reported) == len(bad) == 20
    for number, (reason, line) in enumerate(zip(bad.values(), reported, strict=True), start=403):
        assert line.startswith(f"line {number}: {reason}")
    assert (told["read"], told["kept"]) == (420, 400)
    assert sum(told["dropped_by_reason"].values()) == 20
    assert told["dropped_by_reason"]["malformed JSON"] == told["dropped_by_reason"]["warmth is missing"] == 2
    report = json.loads((tmp_path / "a" / "datasets" / "mine" / "import.json").read_text())
    assert [row["number"] for row in report["rejected"]] == list(range(403, 423))
    assert "secret" not in b"".join(contents(tmp_path / "a").values()).decode(errors="replace")


def test_a_long_list_of_bad_rows_is_cut_and_kept_whole_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: three lines of each kind tell what is wrong; all of them are on disk."""
    source = write_lines(tmp_path / "rows.jsonl", [*good_rows(80), *["oops"] * 35, "[]"])
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a"), "--max-bad-share", "0.5"]) == 0

    err = capsys.readouterr().err.splitlines()
    report = tmp_path / "a" / "datasets" / "mine" / "import.json"
    assert err == [
        *(f"line {number}: malformed JSON" for number in (81, 82, 83)),
        "line 116: not a JSON object",
        f"and 32 more; all of them are in {report}",
    ]
    assert len(json.loads(report.read_text())["rejected"]) == 36


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([*good_rows(80), *["oops"] * 10], "10 of 90 rows are bad, more than --max-bad-share 0.05 allows"),
        (good_rows(59), "59 good rows are too few; at least 60 are needed"),
        ([{"id": 1, "words": "x"}] * 70, "the first row has 'id', 'words': say what is what with --text"),
        ([{**good_rows(1)[0], "id": i} for i in range(70)], "70 rows in 1 groups of near copies, the largest of 70"),
        ([], "holds no rows"),
        (["", "  "], "holds no rows"),
    ],
)
def test_a_file_that_cannot_be_split_well_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[Any], reason: str
):
    """Ours: exit code 1, the reason, and no half a dataset."""
    source = write_lines(tmp_path / "rows.jsonl", lines)
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert reason in err.splitlines()[-1]
    assert set(contents(tmp_path)) <= {"rows.jsonl", "a/.lock"}


@pytest.mark.parametrize(
    ("source", "arguments", "reason"),
    [
        ("nowhere.jsonl", [], "there is no file"),
        ("folder", [], "holds no file that ends in .jsonl, .csv, .parquet"),
        ("rows.txt", [], "cannot tell what"),
        ("rows.jsonl", ["--name", "demo-9"], "names that begin with 'demo' are the demo's"),
        ("rows.jsonl", ["--name", "../up"], "dataset '../up' is not a plain name"),
        ("rows.jsonl", ["--name", "n" * 51], "take at most 50 characters, and none of '.' at the end"),
        ("rows.jsonl", ["--name", "mine."], "take at most 50 characters, and none of '.' at the end"),
        ("rows.jsonl", ["--target", "energy"], "--target 'energy' is not DIM=COL"),
        ("rows.jsonl", ["--target", "volume=v"], "no dimension 'volume'; 'kotone' has energy,"),
        ("rows.jsonl", ["--target", "energy=a", "--target", "energy=b"], "'energy' is given twice"),
        ("rows.jsonl", ["--task", "nothing"], "no task 'nothing'"),
        ("rows.jsonl", ["--config", "nothing.toml"], "cannot read the configuration 'nothing.toml'"),
        ("open.csv", [], "is no CSV from line 3 on: unexpected end of data; close its quotes"),
        ("twice.csv", [], "column 'text' of"),
        ("semicolons.csv", [], "are separated by ';'; save it with commas"),
        ("array.jsonl", [], "begins as one JSON array; write each row as an object on its own line"),
    ],
)
def test_what_cannot_be_imported_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, arguments: list[str], reason: str
):
    """Ours: no traceback for anything that the caller can fix."""
    (tmp_path / "folder").mkdir()
    write_lines(tmp_path / "rows.jsonl", good_rows(80))
    write_lines(tmp_path / "rows.txt", good_rows(80))
    write_lines(tmp_path / "open.csv", ["text,energy", "fine,1", '"never closed,2', "fine,3"])
    write_lines(tmp_path / "twice.csv", ["text,text", "a,b"])
    write_lines(tmp_path / "semicolons.csv", ["text;energy", "a;1,5"])
    (tmp_path / "array.jsonl").write_text("\ufeff " + json.dumps(good_rows(80), indent=1), encoding="utf-8")
    name = [] if "--name" in arguments else ["--name", "mine"]
    assert run([str(tmp_path / source), "--artifacts", str(tmp_path / "a"), *name, *arguments]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("etude import: ") and len(err.splitlines()) == 1
    assert reason in err
    assert not (tmp_path / "a").exists()


def test_a_share_of_bad_rows_is_a_number_from_0_to_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: 5 is not 5 %."""
    with pytest.raises(SystemExit) as stopped:
        run([str(tmp_path / "rows.jsonl"), "--name", "mine", "--max-bad-share", "5"])
    assert stopped.value.code == 2
    complaint = capsys.readouterr().err
    assert "'5' is no share; give a number from 0 to 1" in complaint
    assert complaint.count("\n") == 1


def test_importing_again_says_so_and_other_rows_need_another_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: a name never changes what it means, and asking twice does no harm."""
    source = write_lines(tmp_path / "rows.jsonl", good_rows(100))
    other = write_lines(tmp_path / "other.jsonl", good_rows(99))
    arguments = ["--name", "mine", "--artifacts", str(tmp_path / "a")]
    assert run([str(source), *arguments]) == 0
    before = contents(tmp_path / "a")
    capsys.readouterr()

    assert run([str(source), *arguments]) == 0
    assert "mine: was here already, nothing changed" in capsys.readouterr().out
    assert run([str(other), *arguments]) == 1
    assert "'mine' exists and holds other rows; choose another: --name mine-2" in capsys.readouterr().err
    after = contents(tmp_path / "a")
    assert before.pop(".lock") and after.pop(".lock")  # says who wrote last
    assert before == after


def test_the_first_path_that_is_there_is_taken_and_the_command_line_wins(tmp_path: Path):
    """Ours: a row is read as the task's layout says, unless the caller says otherwise."""
    rows: list[dict[str, Any]] = [
        {"request_text": text, "text": "not this", "target": {**GOOD, "energy": i}, "deep": {"e": 99 - i}, "key": i}
        for i, text in enumerate(different_texts(80))
    ]
    rows[0].pop("request_text")
    rows[0]["text"] = "only here"
    rows[1] = {"id": "flat", "text": "the row itself holds the numbers", **GOOD}
    rows[2]["request_text"] = None
    rows[2]["text"] = "null is nothing"
    source = write_lines(tmp_path / "rows.jsonl", rows)
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 0
    texts = {row.text: row for row in imported(tmp_path / "a")}
    assert {"only here", "the row itself holds the numbers", "null is nothing"} <= set(texts)
    assert texts[rows[5]["request_text"]].target["energy"] == 5
    assert texts["the row itself holds the numbers"].id == "flat"
    assert "not this" not in texts

    rows = [row for row in rows if "deep" in row]
    for i, row in enumerate(rows):
        row["a.b"] = f"{different_texts(80)[i]} again"
    source = write_lines(tmp_path / "said.jsonl", rows)
    said = ["--text", "a.b", "--id", "key", "--target", "energy=deep.e"]
    assert run([str(source), "--name", "said", "--artifacts", str(tmp_path / "a"), *said]) == 0
    by_id = {row.id: row for row in imported(tmp_path / "a", "said")}
    assert by_id["5"].target["energy"] == 94 and by_id["5"].target["warmth"] == 50
    assert by_id["5"].text.endswith(" again")


def test_a_flat_table_needs_no_more_than_the_columns_whose_names_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Bug: a task whose file nests its target refused a table that has the dimensions as columns."""
    task = ["--task", str(Path(__file__).parents[1] / "examples" / "trails" / "task.toml")]
    texts = different_texts(80)
    table = [f"r{i},{text},{i % 11},1.5,2,3" for i, text in enumerate(texts)]
    source = write_lines(tmp_path / "rows.csv", ["no,words,steep,exposure,mud,crowding", *table])
    where = ["--artifacts", str(tmp_path / "a"), "--id", "no", *task, "--json"]

    assert run([str(source), "--name", "a", "--text", "words", "--target", "steepness=steep", *where]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 80

    assert run([str(source), "--name", "b", "--text", "words", "--target", "steepness=stepe", *where]) == 1
    assert "steepness is missing at 'stepe': 80; the first row has 'no'" in capsys.readouterr().err
    assert run([str(source), "--name", "b", "--text", "wrods", "--target", "steepness=steep", *where]) == 1
    assert "no text at 'wrods': 80; the first row has 'no', 'words'" in capsys.readouterr().err


def test_rows_without_id_are_named_by_content_and_exact_copies_stay_on_one_side(tmp_path: Path):
    """Ours: copies with equal labels are data; they are kept and never judge each other."""
    rows = [{"text": row["text"], "target": row["target"]} for row in good_rows(90)]
    source = write_lines(tmp_path / "rows.jsonl", rows + rows[:30] + rows[:10])
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 0

    workspace = Workspace(tmp_path / "a")
    store, card = DatasetStore(workspace), DatasetStore(workspace).head("mine")
    sides = [
        [row.text for row in found]
        for found in (
            store.train("mine", card.fingerprint),
            store.diagnose("mine", card.fingerprint),
            Custody(workspace, load_task("kotone")).gate(card),
        )
    ]
    assert sum(map(len, sides)) == 130
    assert sum(len(set(side)) for side in sides) == 90
    ids = [row.id for row in imported(tmp_path / "a")]
    assert len(set(ids)) == 130
    assert sum(name.endswith("-2") for name in ids) == 30 and sum(name.endswith("-3") for name in ids) == 10


def test_a_spreadsheet_is_read_as_spreadsheets_write_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: byte order mark, CRLF, quoted line breaks, numbers as text; lines are counted as in the file."""
    texts = different_texts(200)
    source = tmp_path / "rows.CSV"
    with source.open("w", encoding="utf-8-sig", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["id", "text", *NAMES])
        sheet.writerow(["007", 'two lines,\r\nand "quotes"', "12.5", " 3 ", "1e1", ".5", "100", "0"])
        file.write("\r\n")
        sheet.writerow(["b1", "too few", "1"])
        sheet.writerow(["b2", "too many", *[1] * 7])
        sheet.writerow(["b3", "no number", "12,5", *[1] * 5])
        sheet.writerow(["b4", "nothing", "", *[1] * 5])
        sheet.writerow(["b5", "nan", "nan", *[1] * 5])
        sheet.writerow(["b6", "", *[1] * 6])
        file.write('b7,"bad "quote"",1,1,1,1,1,1\r\n')
        for i, text in enumerate(texts):
            sheet.writerow(["", text, *[i % 101] * 6])
    with source.open("ab") as raw:
        raw.write(b"b8,caf\xe9,1,1,1,1,1,1\r\n")
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 0

    assert capsys.readouterr().err.splitlines() == [
        "line 5: has not as many fields as the header",
        "line 6: has not as many fields as the header",
        "line 7: energy is not a number",
        "line 8: energy is missing",
        "line 9: energy is not a number",
        "line 10: empty text",
        "line 11: malformed CSV",
        "line 212: text is not UTF-8",
    ]
    rows = {row.id: row for row in imported(tmp_path / "a")}
    assert len(rows) == 201
    assert rows["007"].text == 'two lines,\r\nand "quotes"'
    assert list(rows["007"].target.values()) == [12.5, 3.0, 10.0, 0.5, 100.0, 0.0]


def test_parquet_is_read_and_no_copy_of_a_row_is_left_on_disk(tmp_path: Path):
    """Ours: the library's caches would keep the sealed rows in the open; a broken file is one line."""
    rows = [{"text": f"{row['text']} marker", "vector": row["target"]} for row in good_rows(100)]
    rows[41]["vector"] = {**rows[41]["vector"], "energy": None}
    good, broken, empty = tmp_path / "rows [1]*.parquet", tmp_path / "broken.parquet", tmp_path / "empty.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), good)
    broken.write_bytes(good.read_bytes()[:-30])
    pyarrow.parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), empty)
    places = {name: tmp_path / name for name in ("HOME", "HF_HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for place in places.values():
        place.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(tmp_path / "a"), str(good), str(broken), str(empty)],
        env={**os.environ, **{name: str(place) for name, place in places.items()}},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert [line for line in done.stdout.splitlines() if len(line) == 1] == ["0", "1", "1"]
    assert done.stderr.splitlines()[0] == "row 42: energy is missing"
    assert f"cannot read {str(broken)!r} as Parquet: Parquet magic bytes not found" in done.stderr.splitlines()[1]
    assert done.stderr.splitlines()[2:] == [f"etude import: {str(empty)!r} holds no rows"]
    assert len(imported(tmp_path / "a", f"rows-{len(str(good))}")) == 99
    assert [path for place in places.values() for path in place.rglob("*") if path.is_file()] == []


LEAKS = "the source's own splits leak: 10 of 40 test rows stand in train, 5 more nearly"


def leaking_splits() -> dict[str, list[dict[str, Any]]]:
    """Train and test rows that each count from zero; ten tests stand in train, five with a word changed."""
    rows = good_rows(140)
    train, test = rows[:100], rows[100:]
    test[:10] = [{**row, "text": row["text"].upper()} for row in train[:10]]
    test[10:15] = [{**row, "text": f"zuzuzu {row['text'].partition(' ')[2]}"} for row in train[10:15]]
    return {"train": train, "test": [{**row, "id": f"r{i}"} for i, row in enumerate(test)]}


def test_files_that_bring_their_own_splits_are_taken_together_and_their_leaks_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: sides are drawn anew with copies on one; what the source's own sides shared is said, also on the card."""
    files = [write_lines(tmp_path / "mine" / f"rows.{n}.jsonl", rows) for n, rows in leaking_splits().items()]
    artifacts = ["--artifacts", str(tmp_path / "a")]
    assert run([*map(str, files), "--name", "mine", *artifacts]) == 0
    out = capsys.readouterr().out

    card = DatasetStore(Workspace(tmp_path / "a")).head("mine")
    assert "rows: 140 read, 140 kept\n" in out and f"{LEAKS} (Étude drew its own sides" in out
    assert card.recipe["source"] == "rows.train.jsonl, rows.test.jsonl"
    assert card.recipe["source_splits"] == {
        "rows": {"train": 100, "test": 40},
        "leaks": [{"held_out": "test", "seen_in": "train", "rows": 40, "exact": 10, "near": 5}],
    }
    found = imported(tmp_path / "a")
    assert len({row.id for row in found}) == 140 and {"r0", "test-r0"} <= {row.id for row in found}
    assert {row.provenance["split"] for row in found} == {"train", "test"}

    assert run([str(tmp_path / "mine"), "--name", "folder", *artifacts, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source_splits"]["rows"] == {"train": 100, "test": 40}
    assert run([*map(str, files), "--name", "mine", *artifacts]) == 0
    assert "was here already, nothing changed" in capsys.readouterr().out


@pytest.mark.anyio
async def test_a_field_that_names_a_split_is_recognised_and_the_diagnosis_says_what_leaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: one file with a split column is the same as several files."""
    rows = [{**row, "meta": {"split": name.upper()}} for name, split in leaking_splits().items() for row in split]
    source = write_lines(tmp_path / "rows.jsonl", rows)
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 0
    assert LEAKS in capsys.readouterr().out

    async with Workshop(tmp_path / "a") as workshop:
        opened = await workshop.call("open_cycle", dataset="mine")
        told = await workshop.call("diagnose_dataset", cycle=opened["cycle"])
    assert told["source_splits"]["leaks"][0]["exact"] == 10
    assert any(note.startswith(LEAKS) for note in told["warnings"])


def test_files_whose_names_tell_of_no_split_are_one_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: the parts of a large file are no splits, and a bad row is told with its file."""
    rows = good_rows(100)
    parts = [
        write_lines(tmp_path / "part-1.jsonl", [*rows[:50], "oops"]),
        write_lines(tmp_path / "part-2.jsonl", rows[50:]),
    ]
    assert run([*map(str, parts), "--name", "mine", "--artifacts", str(tmp_path / "a"), "--json"]) == 0

    out, err = capsys.readouterr()
    assert json.loads(out)["source_splits"] is None and json.loads(out)["kept"] == 100
    assert err == "part-1.jsonl, line 51: malformed JSON\n"
    assert run([str(parts[0]), str(parts[0]), "--name", "twice", "--artifacts", str(tmp_path / "a")]) == 1
    assert "is given twice; name each file once" in capsys.readouterr().err


def test_rows_made_for_training_a_language_model_are_read(tmp_path: Path):
    """Ours: prompt and completion, or messages; the target is the JSON object in the last words."""
    rows: list[dict[str, Any]] = []
    for i, row in enumerate(good_rows(90)):
        answer = json.dumps(row["target"])
        messages = [{"role": "user", "content": row["text"]}, {"role": "assistant", "content": answer}]
        rows.append({"prompt": row["text"], "completion": answer} if i % 2 else {"messages": messages})
    rows += [{"prompt": "no object", "completion": "[1]"}, {"prompt": "no JSON", "completion": "high"}]
    source = write_lines(tmp_path / "rows.jsonl", rows)
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a")]) == 0

    found = {row.text: row.target for row in imported(tmp_path / "a")}
    assert found == {row["text"]: row["target"] for row in good_rows(90)}


def test_no_sealed_row_is_known_outside_the_sealed_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: neither rows nor report nor card tell which rows judge, also when rows repeat an id."""
    rows = [
        {**row, "id": f"id{i}marker", "text": f"{row['text']} text{i}marker"} for i, row in enumerate(good_rows(120))
    ]
    source = write_lines(tmp_path / "rows.jsonl", rows + rows)
    assert run([str(source), "--name", "mine", "--artifacts", str(tmp_path / "a"), "--max-bad-share", "0.5"]) == 0

    said = "".join(capsys.readouterr())
    outside = [text for name, text in contents(tmp_path / "a").items() if not name.startswith("sealed/")]
    card = DatasetStore(Workspace(tmp_path / "a")).head("mine")
    sealed = Custody(Workspace(tmp_path / "a"), load_task("kotone")).gate(card)
    assert len(sealed) == 36
    for row in sealed:
        number = row.id.removesuffix("marker").removeprefix("id")
        for mark in (f"id{number}marker", f"text{number}marker"):
            assert mark not in said
            assert not any(mark.encode() in text for text in outside)
