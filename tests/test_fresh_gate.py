"""A worn-out sealed split gives no verdict, and `etude import --fresh-gate` seals fresh rows in its place."""

import json
import random
from pathlib import Path

import anyio
import pytest

from servers.core.dataset import DatasetStore
from servers.core.near_copies import near_pairs
from servers.core.wear import MAX_VERDICTS
from servers.core.workspace import Workspace
from servers.eval import importing, verify_command
from servers.eval.custody import Custody
from tests.judge_world import KOTONE, call, candidate_in, gate, verdicts_file
from tests.workshop import Workshop

pytestmark = pytest.mark.anyio
FRESH = 30


def fresh_file(path: Path, besides: list[str] | None = None, n: int = FRESH) -> Path:
    """A file with n rows that nobody has seen, and with some more texts."""
    draw = random.Random(77)
    texts = [" ".join("".join(draw.choices("aeioukstnm", k=6)) for _ in range(16)) for _ in range(n)]
    rows = [
        {"text": text, "target": {name: draw.randint(0, 100) for name in KOTONE.names}}
        for text in [*texts, *(besides or [])]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ask_often(folder: Path, times: int) -> None:
    """As if so many verdicts, about other models, had been asked of the split."""
    anyio.run(gate, folder)
    file = verdicts_file(folder)
    record = json.loads(file.read_text())
    lines = []
    for number in range(times):
        question = record["question"] | {"verdict_id": f"verdict-{number:012x}"}
        lines.append(json.dumps(record | {"question": question}) + "\n")
    file.write_text("".join(lines))
    (folder / "loop" / "begin_mine" / "gate.json").unlink()


def close(folder: Path) -> None:
    """Go on with the beginning until its report is written."""

    async def follow() -> None:
        async with Workshop(folder) as shop:
            await shop.follow("begin_mine")

    anyio.run(follow)


def renew(folder: Path, source: Path) -> int:
    return importing.run([str(source), "--name", "mine", "--artifacts", str(folder), "--fresh-gate"])


def test_a_worn_out_split_gives_no_more_verdicts_and_says_how_to_get_a_fresh_one(folder: Path):
    """Ours: the level that is left would only see gains beyond all sense."""
    ask_often(folder, MAX_VERDICTS)

    refused, words, _ = anyio.run(
        lambda: call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))
    )

    assert refused and "50 verdicts were asked" in words and "etude import FILE --name mine --fresh-gate" in words
    assert not (folder / "loop" / "begin_mine" / "gate.json").exists()
    assert len(verdicts_file(folder).read_text().splitlines()) == MAX_VERDICTS


def test_the_last_verdict_is_given_and_no_cycle_is_opened_after_it(folder: Path):
    """Ours: who opens a cycle learns it before data and trainings are paid for."""
    ask_often(folder, MAX_VERDICTS - 1)
    assert anyio.run(gate, folder)["verdicts_asked"] == MAX_VERDICTS
    close(folder)

    async def refused() -> str:
        async with Workshop(folder) as shop:
            return await shop.refusal("open_cycle", dataset="mine")

    assert "are worn out" in anyio.run(refused)


def test_fresh_rows_take_the_place_of_the_old_and_the_old_verdicts_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: the way on from a worn-out split; what nobody can learn from any more may be told."""
    anyio.run(gate, folder)
    close(folder)
    workspace = Workspace(folder)
    store, custody = DatasetStore(workspace), Custody(workspace, KOTONE)
    before = store.head("mine")
    known = [custody.gate(before)[0].text, store.train("mine", before.fingerprint)[0].text]

    code = renew(folder, fresh_file(tmp_path / "fresh.jsonl", besides=known))

    head = store.head("mine")
    assert code == 0 and (head.parent, head.rows.gate) == (before.fingerprint, FRESH)
    assert head.recipe["dropped_as_near_copies"] == len(known)
    assert store.train("mine", head.fingerprint) == store.train("mine", before.fingerprint)
    fresh = [row.text for row in custody.gate(head)]
    assert near_pairs(fresh, [row.text for row in custody.gate(before)], head.near_copy_threshold) == []
    capsys.readouterr()
    assert verify_command.run(["begin_mine", "--artifacts", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["retired"] and found["verdict"]["difference"] is not None
    assert "vector_mae_better_than_champion" in {check["name"] for check in found["verdict"]["checks"]}


def test_a_fresh_split_begins_with_the_first_level_again(folder: Path, tmp_path: Path):
    """Ours: rows that nobody has asked about have all of their level."""
    ask_often(folder, 10)
    anyio.run(gate, folder)
    close(folder)
    assert renew(folder, fresh_file(tmp_path / "fresh.jsonl")) == 0

    async def next_cycle() -> list[str]:
        async with Workshop(folder) as shop:
            cycle = (await shop.call("open_cycle", dataset="mine"))["cycle"]
            return [step["tool"] for step in (await shop.call("get_cycle", cycle=cycle))["next_steps"]]

    assert anyio.run(next_cycle)[0] == "evaluate_model"
    workspace = Workspace(folder)
    assert Custody(workspace, KOTONE).verdicts(DatasetStore(workspace).head("mine")) == []


def test_the_same_file_again_changes_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: whoever is not sure that it worked may say it again; it must not give back what was spent."""
    anyio.run(gate, folder)
    close(folder)
    source = fresh_file(tmp_path / "fresh.jsonl")
    renew(folder, source)
    before = {path: path.read_bytes() for path in folder.rglob("*.json*") if path.is_file()}

    assert renew(folder, source) == 0

    assert "nothing changed" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in folder.rglob("*.json*") if path.is_file()}


def test_too_few_fresh_rows_and_an_open_cycle_are_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: a judge is not changed in the middle of a cycle, nor for one that can tell nothing."""
    head = DatasetStore(Workspace(folder)).head("mine")
    assert renew(folder, fresh_file(tmp_path / "fresh.jsonl")) == 1
    assert "begin_mine on 'mine' is open; close it with write_report" in capsys.readouterr().err
    anyio.run(gate, folder)
    close(folder)
    old = [row.text for row in Custody(Workspace(folder), KOTONE).gate(head)]

    assert renew(folder, fresh_file(tmp_path / "few.jsonl", besides=old, n=19)) == 1

    assert "19 are left; a sealed split needs at least 20" in capsys.readouterr().err
    assert DatasetStore(Workspace(folder)).head("mine") == head
    assert len(list((folder / "sealed" / "mine").iterdir())) == 1
