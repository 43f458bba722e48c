"""Dataset versions on disk."""

from pathlib import Path

import pytest

from servers.core.dataset import Card, DatasetStore, Example
from servers.core.workspace import Workspace


def rows(prefix: str, n: int) -> list[Example]:
    return [
        Example(id=f"{prefix}-{i}", text=f"{prefix} text {i}", target={"a": float(i)}, source="import")
        for i in range(n)
    ]


def begin(store: DatasetStore, name: str = "mine", train: list[Example] | None = None) -> Card:
    return store.save_first(
        name,
        task="t",
        train=train or rows("train", 3),
        diagnose=rows("diagnose", 2),
        gate_size=4,
        gate_fingerprint="0123456789abcdef",
        recipe={"kind": "import"},
        synthetic=False,
        near_copy_threshold=0.8,
    )


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_first_version_is_the_head_and_gives_its_rows_back(tmp_path: Path):
    """Ours: what was saved is what is read; the card knows the sizes of all three splits."""
    store = DatasetStore(Workspace(tmp_path))
    card = begin(store)

    assert store.names() == ["mine"]
    assert store.head("mine") == card == store.card("mine", card.fingerprint)
    assert (card.rows.train, card.rows.diagnose, card.rows.gate) == (3, 2, 4)
    assert (card.parent, card.root) == (None, card.fingerprint)
    assert store.train("mine", card.fingerprint) == rows("train", 3)
    assert store.diagnose("mine", card.fingerprint) == rows("diagnose", 2)


def test_saving_the_same_rows_again_changes_nothing(tmp_path: Path):
    """Ours: the version is named by its content."""
    store = DatasetStore(Workspace(tmp_path))
    card = begin(store)
    before = files(tmp_path)

    assert begin(store) == card
    assert files(tmp_path) == before


def test_other_rows_under_a_name_that_is_taken_are_refused_with_a_way_out(tmp_path: Path):
    """Ours: a name never changes what it means."""
    store = DatasetStore(Workspace(tmp_path))
    begin(store)
    before = files(tmp_path)

    with pytest.raises(ValueError, match="'mine' exists and holds other rows; choose another: --name mine-2"):
        begin(store, train=rows("train", 4))
    assert files(tmp_path) == before


def test_a_child_moves_the_head_and_shares_the_rows_that_judge(tmp_path: Path):
    """Ours: only train grows, so versions of one name can be compared."""
    store = DatasetStore(Workspace(tmp_path))
    first = begin(store)
    child = store.save_child(first, [*rows("train", 3), *rows("new", 2)], {"kind": "augmentation", "added": 2})

    assert store.head("mine") == child
    assert (child.parent, child.root, child.rows.train) == (first.fingerprint, first.fingerprint, 5)
    assert child.gate_fingerprint == first.gate_fingerprint
    assert child.diagnose_fingerprint == first.diagnose_fingerprint
    assert store.diagnose("mine", child.fingerprint) == store.diagnose("mine", first.fingerprint)
    assert store.train("mine", first.fingerprint) == rows("train", 3)
    assert begin(store) == first
    assert store.head("mine") == child


def test_repeating_a_request_does_not_take_back_what_came_after_it(tmp_path: Path):
    """Ours: augmenting twice from one plan gives one version, also when the data have grown since."""
    store = DatasetStore(Workspace(tmp_path))
    first = begin(store)
    child = store.save_child(first, rows("train", 4), {"plan": "one"})
    grandchild = store.save_child(child, rows("train", 5), {"plan": "two"})

    assert store.save_child(first, rows("train", 4), {"plan": "one"}) == child
    assert store.head("mine") == grandchild
    assert store.versions("mine") == [first, child, grandchild]


def test_a_version_from_an_older_one_becomes_the_head(tmp_path: Path):
    """Ours: rows that were found harmful are left behind by going on from the version before them."""
    store = DatasetStore(Workspace(tmp_path))
    first = begin(store)
    store.save_child(first, rows("train", 4), {})
    other = store.save_child(first, rows("better", 4), {})

    assert store.head("mine") == other


def test_an_unknown_name_or_version_is_answered_with_the_known_ones(tmp_path: Path):
    """Ours: an error says what is there and what to do next."""
    store = DatasetStore(Workspace(tmp_path))
    with pytest.raises(ValueError, match=r"no dataset 'yours'; known: none; .*etude import"):
        store.head("yours")
    card = begin(store)
    with pytest.raises(ValueError, match="no dataset 'yours'; known: mine"):
        store.head("yours")
    with pytest.raises(ValueError, match=f"no version 'ffff' of dataset 'mine'; known: {card.fingerprint}"):
        store.train("mine", "ffff")
    with pytest.raises(ValueError, match="not a plain name"):
        store.head("../elsewhere")


def test_an_id_that_stands_twice_is_refused_before_anything_is_written(tmp_path: Path):
    """Ours: traces and failures are named by example id, so an id means one row."""
    store = DatasetStore(Workspace(tmp_path))
    with pytest.raises(ValueError, match="'diagnose-1' stands twice"):
        begin(store, train=rows("diagnose", 2)[1:])
    assert files(tmp_path) == {}


def test_a_write_that_fails_halfway_leaves_no_version_and_no_head(tmp_path: Path):
    """Ours: a head never points at half a version."""
    store = DatasetStore(Workspace(tmp_path))
    first = begin(store)
    before = files(tmp_path)

    with pytest.raises(ValueError, match="Unable to serialize"):
        store.save_child(first, rows("train", 9), {"what json cannot say": object()})
    assert files(tmp_path) == before
    assert store.versions("mine") == [first]
    assert [path.name for path in (tmp_path / "datasets" / "mine").iterdir() if path.name.startswith(".")] == []


def test_a_file_that_was_edited_into_nonsense_is_named(tmp_path: Path):
    """Ours: an unreadable row is reported with file and place."""
    store = DatasetStore(Workspace(tmp_path))
    card = begin(store)
    file = tmp_path / "datasets" / "mine" / card.fingerprint / "train.jsonl"
    file.write_text(file.read_text() + '{"id": "x"}\n')

    with pytest.raises(ValueError, match=r"train\.jsonl, row 4, is not an example"):
        store.train("mine", card.fingerprint)
