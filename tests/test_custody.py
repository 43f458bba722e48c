"""The sealed rows: how they are set apart, and that nothing of them gets out."""

import random
import shutil
import stat
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.demo_world.world import World
from servers.core.near_copies import Sketch, near_pairs
from servers.core.task import Task, load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]
FORK = get_context("fork")  # children that need not import everything again


def different_texts(n: int) -> list[str]:
    draw = random.Random(5)
    return [" ".join("".join(draw.choices(SYLLABLES, k=3)) for _ in range(9)) for _ in range(n)]


def examples(texts: list[str]) -> list[Example]:
    names = load_task("kotone").names
    return [
        Example(id=f"id-{i}", text=text, target=dict.fromkeys(names, float(i % 100)), source="import")
        for i, text in enumerate(texts)
    ]


def another_task() -> Task:
    kotone = load_task("kotone")
    dimensions = kotone.dimensions[:2]
    return kotone.model_copy(update={"name": "other", "dimensions": dimensions})


def sides(custody: Custody, workspace: Workspace, card: Card) -> dict[str, list[Example]]:
    store = DatasetStore(workspace)
    return {
        "train": store.train(card.name, card.fingerprint),
        "diagnose": store.diagnose(card.name, card.fingerprint),
        "gate": custody.gate(card),
    }


def contents(root: Path, but: Path | None = None) -> dict[str, bytes]:
    found = [path for path in root.rglob("*") if path.is_file() and not (but and path.is_relative_to(but))]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def ensure_demo(root: Path, start: Barrier) -> None:
    start.wait()
    Custody(Workspace(root), load_task("kotone")).ensure("demo")


def test_the_demo_is_written_on_first_use_and_its_holdout_never(tmp_path: Path):
    """Ours: the demo's rows are labelled synthetic, and what measures the loop from outside stays outside."""
    workspace = Workspace(tmp_path)
    custody = Custody(workspace, load_task("kotone"))
    card = custody.ensure("demo-7")
    world = World(7).splits()
    rows = sides(custody, workspace, card)

    assert card.synthetic
    assert card.recipe == {"kind": "demo-world", "seed": 7, "dropped_as_near_copies": {"train": 0, "diagnose": 0}}
    assert card.rows.model_dump() == {side: len(rows[side]) for side in rows}
    for side in rows:
        assert [row.text for row in rows[side]] == [request.text for request in world[side]]
        assert rows[side][0].id == f"demo-7-{side}-0001"
        assert rows[side][0].source == "demo-world"
        assert rows[side][0].target == world[side][0].target
    everything = b"".join(contents(tmp_path).values()).decode(errors="replace")
    assert not any(request.text in everything for request in world["holdout"])


@pytest.mark.parametrize("name", ["demo", "demo-3"])
def test_no_near_copy_stands_on_two_sides_of_a_demo(tmp_path: Path, name: str):
    """Ours: the promise holds for every dataset, the embedded one included."""
    workspace = Workspace(tmp_path)
    custody = Custody(workspace, load_task("kotone"))
    card = custody.ensure(name)
    rows = {side: [row.text for row in found] for side, found in sides(custody, workspace, card).items()}

    assert near_pairs(rows["train"], rows["diagnose"], card.near_copy_threshold) == []
    assert custody.count_near(card, rows["train"] + rows["diagnose"]) == 0
    assert custody.count_near(card, [*rows["train"][:3], *rows["gate"][:2], rows["gate"][0].upper() + "!"]) == 3


def test_two_processes_that_ask_for_the_demo_at_once_get_one_dataset(tmp_path: Path):
    """Ours: a head never points at half a version, whoever writes at the same time."""
    start = FORK.Barrier(3)
    processes = [FORK.Process(target=ensure_demo, args=(tmp_path, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    workspace = Workspace(tmp_path)
    custody = Custody(workspace, load_task("kotone"))
    card = custody.ensure("demo")
    assert DatasetStore(workspace).versions("demo") == [card]
    assert {side: len(rows) for side, rows in sides(custody, workspace, card).items()} == card.rows.model_dump()
    assert len(list((tmp_path / "sealed" / "demo").iterdir())) == 1
    assert custody.count_near(card, [row.text for row in custody.gate(card)]) == card.rows.gate


def test_asking_again_changes_nothing(tmp_path: Path):
    """Ours: the sealed rows, their key and the card stay as they were."""
    custody = Custody(Workspace(tmp_path), load_task("kotone"))
    custody.create("mine", examples(different_texts(100)), recipe={})
    before = contents(tmp_path)

    custody.ensure("mine")
    custody.create("mine", examples(different_texts(100)), recipe={"another": "recipe"})
    assert contents(tmp_path) == before


def test_only_the_owner_can_open_what_is_sealed(tmp_path: Path):
    """Ours: folders 0700, files 0600, wherever the configuration puts them."""
    sealed = tmp_path / "elsewhere"
    sealed.mkdir(mode=0o755)
    custody = Custody(Workspace(tmp_path / "artifacts", sealed), load_task("kotone"))
    card = custody.create("mine", examples(different_texts(100)), recipe={})
    custody.append_verdict(card, {"outcome": "hold"})
    custody.keep_answers(card, "verdict-1", "constant", [])

    paths = [sealed, *sealed.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert {path.name for path in paths if path.is_file()} == {
        "gate.jsonl", "sketch.npz", "verdicts.jsonl", "verdict-1.constant.jsonl"
    }  # fmt: skip
    assert not (tmp_path / "artifacts" / "sealed").exists()


def test_near_copies_stay_together_and_the_order_of_the_rows_does_not_matter(tmp_path: Path):
    """Ours: half, a fifth and the rest, in whole groups; the draw follows from what the rows say."""
    texts = different_texts(160)
    texts += [f"{text.upper()}!" for text in texts[:40]]
    rows = examples(texts)
    workspace = Workspace(tmp_path)
    custody = Custody(workspace, load_task("kotone"))
    card = custody.create("mine", rows, recipe={})
    shuffled = custody.create("shuffled", random.Random(1).sample(rows, len(rows)), recipe={})

    found = sides(custody, workspace, card)
    side_of = {row.text.lower().rstrip("!"): side for side in found for row in found[side]}
    assert all(side_of[row.text.lower().rstrip("!")] == side for side in found for row in found[side])
    assert card.rows.model_dump() == {"train": 100, "diagnose": 40, "gate": 60}
    assert card.recipe["near_copy_groups"] == {"groups": 40, "rows": 80, "largest": 2}
    assert {row.id for row in custody.gate(shuffled)} == {row.id for row in found["gate"]}


def test_rows_that_cannot_be_split_in_whole_groups_are_refused_and_nothing_is_written(tmp_path: Path):
    """Ours: twenty rows on each side, or none at all."""
    custody = Custody(Workspace(tmp_path), load_task("kotone"))
    few_groups = [text for text in different_texts(11) for _ in range(6)]

    with pytest.raises(ValueError, match="66 rows in 11 groups of near copies, the largest of 6, cannot give"):
        custody.create("mine", examples(few_groups), recipe={})
    with pytest.raises(ValueError, match="0 rows in 0 groups"):
        custody.create("mine", [], recipe={})
    assert contents(tmp_path) == {}


def test_rows_that_straddle_given_splits_are_taken_from_the_side_that_matters_less(tmp_path: Path):
    """Ours: the gate keeps its rows, train gives way first, and the recipe says how many were lost."""
    texts = different_texts(6)
    straddling = [f"{texts[4]}!", f"{texts[2]}?", texts[0], f"{texts[4]}...", texts[2], texts[3], texts[4], texts[5]]
    workspace = Workspace(tmp_path)
    custody = Custody(workspace, load_task("kotone"))
    card = custody.create(
        "mine",
        examples(straddling),
        splits=["train", "train", "train", "diagnose", "diagnose", "diagnose", "gate", "gate"],
        recipe={},
    )

    assert {side: [row.id for row in rows] for side, rows in sides(custody, workspace, card).items()} == {
        "train": ["id-2"],
        "diagnose": ["id-4", "id-5"],
        "gate": ["id-6", "id-7"],
    }
    assert card.rows.model_dump() == {"train": 1, "diagnose": 2, "gate": 2}
    assert card.recipe == {"dropped_as_near_copies": {"train": 2, "diagnose": 1}}


def test_nothing_outside_the_sealed_folder_knows_a_sealed_row(tmp_path: Path):
    """Ours: the seal holds for text, id, answers and verdicts."""
    texts = [f"{text} marker{i}text" for i, text in enumerate(different_texts(120))]
    custody = Custody(Workspace(tmp_path), load_task("kotone"))
    card = custody.create("mine", examples(texts), recipe={"kind": "import"})
    custody.append_verdict(card, {"difference": -1.25})
    served = ServedBy(backend="rule", model_id="rule", digest="0" * 64)
    answers = [Answer(id=row.id, text="marker answer", latency_ms=None, served_by=served) for row in custody.gate(card)]
    custody.keep_answers(card, "verdict-1", "candidate", answers)

    assert custody.kept_answers(card, "verdict-1", "candidate") == answers
    assert custody.kept_answers(card, "verdict-1", "champion") == []
    assert custody.verdicts(card) == [{"difference": -1.25}]
    outside = b"".join(contents(tmp_path, but=tmp_path / "sealed").values()).decode()
    for row in custody.gate(card):
        assert row.text not in outside and f'"{row.id}"' not in outside
    assert "marker answer" not in outside and "difference" not in outside


def test_sealed_rows_that_were_changed_are_not_judged_on(tmp_path: Path):
    """Ours: a verdict is about the rows that were sealed, or there is none."""
    custody = Custody(Workspace(tmp_path), load_task("kotone"))
    card = custody.create("mine", examples(different_texts(100)), recipe={})
    file = tmp_path / "sealed" / "mine" / card.gate_fingerprint / "gate.jsonl"

    file.write_text(file.read_text().replace('"weight": 1.0', '"weight": 2.0', 1))
    with pytest.raises(ValueError, match="are missing or changed; restore the file"):
        custody.gate(card)
    file.unlink()
    with pytest.raises(ValueError, match="are missing or changed; restore the file"):
        custody.gate(card)


def test_sealing_the_same_rows_again_does_not_forget_the_verdicts(tmp_path: Path):
    """Ours: what a sealed split has spent stays spent under its name."""
    custody = Custody(Workspace(tmp_path), load_task("kotone"))
    card = custody.create("mine", examples(different_texts(100)), recipe={})
    custody.append_verdict(card, {"outcome": "hold"})
    custody.append_verdict(card, {"outcome": "promote"})

    assert custody.create("mine", examples(different_texts(100)), recipe={}) == card
    assert [verdict["outcome"] for verdict in custody.verdicts(card)] == ["hold", "promote"]

    shutil.rmtree(tmp_path / "sealed")
    assert custody.create("mine", examples(different_texts(100)), recipe={}) == card
    with pytest.raises(ValueError, match=r"the sealed rows of 'mine' .* are missing"):
        custody.gate(card)


def test_a_dataset_of_another_task_is_refused(tmp_path: Path):
    """Ours: the demo is music, and a dataset is read with the task that it was made for."""
    workspace = Workspace(tmp_path)
    Custody(workspace, load_task("kotone")).create("mine", examples(different_texts(100)), recipe={})
    other = Custody(workspace, another_task())

    with pytest.raises(ValueError, match="dataset 'mine' is of task 'kotone', not of 'other'"):
        other.ensure("mine")
    with pytest.raises(ValueError, match="dataset 'demo' is music for the task 'kotone', not for 'other'"):
        other.ensure("demo")
    for unknown in ("demo-007", "demos", "yours"):
        with pytest.raises(ValueError, match=f"no dataset '{unknown}'; known: mine"):
            other.ensure(unknown)


def test_a_damaged_sketch_is_refused_in_one_line(tmp_path: Path):
    """Bug: some kinds of damage came out as an error of zlib, which no tool explains."""
    file = tmp_path / "sketch.npz"
    Sketch.build(different_texts(30), b"k" * 32).save(file)
    whole, draw = file.read_bytes(), random.Random(1)
    for _ in range(100):
        place = draw.randrange(len(whole))
        file.write_bytes(whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :])
        with suppress(ValueError):  # a byte that nothing depends on is no damage
            Sketch.load(file)
