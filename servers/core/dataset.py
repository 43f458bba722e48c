"""Datasets on disk: examples, immutable versions named by their content, and which version of a name is the newest.

Versions of one name share the splits that judge (`diagnose`, and the sealed `gate` until it is worn out and another is
sealed); only `train` grows. The gate's rows are not here: a card tells how many they are and what their folder in the
sealed place is called.
A version's folder appears whole, by rename, and the head moves to it afterwards. Writers hold the workspace's lock;
the first version of a name needs none: two processes that write the same content do not disturb each other.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import ValidationError

from servers.core.disk import digest, now, read_json, read_jsonl, write_json, write_jsonl
from servers.core.wire import Wire
from servers.core.workspace import Workspace

FINGERPRINT_CHARS = 16  # 64 bits of SHA-256


class Example(Wire):
    """One text with the numbers that a careful reader finds in it."""

    id: str
    """Unique within a dataset version."""
    text: str
    target: dict[str, float]
    """By dimension, a value on the task's scale."""
    source: str
    """Where the row comes from: import, demo-world, teacher:demo-world, teacher:recombination, replay."""
    provenance: dict[str, str] = {}
    """What it was made from: ids and words, for whoever asks later."""
    weight: float = 1.0
    """How much the row counts in training, 1 = once."""


class SplitSizes(Wire):
    """Rows in each split."""

    train: int
    diagnose: int
    gate: int


class Card(Wire):
    """What a dataset version says about itself."""

    schema_version: Literal[1] = 1
    name: str
    fingerprint: str
    """The version: 16 hexadecimal digits of a digest over task, train, diagnose and gate."""
    parent: str | None
    """The version that this one was made from; null for the first."""
    root: str
    """The first version of the name."""
    task: str
    created_at: str
    rows: SplitSizes
    diagnose_fingerprint: str
    gate_fingerprint: str
    """Also the name of the gate's folder in the sealed place."""
    recipe: dict[str, Any]
    """How this version came to be: the import's report, or the augmentation's plan and counts."""
    synthetic: bool
    """Whether the rows were written by the demo world."""
    near_copy_threshold: float
    """Jaccard similarity from which two texts count as one; no such pair stands on two sides of the split."""


def fingerprint(value: Any) -> str:
    """The first 16 hexadecimal digits of the digest of `value`."""
    return digest(value)[:FINGERPRINT_CHARS]


class DatasetStore:
    """The datasets of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def names(self) -> list[str]:
        """The datasets that are there, sorted."""
        folder = self._workspace.root / "datasets"
        return sorted(path.parent.name for path in folder.glob("*/head.json"))

    def head(self, name: str) -> Card:
        """The newest version.

        Raises:
            ValueError: there is no such dataset; the message lists the known ones.
        """
        file = self._head_file(name)
        if not file.exists():
            known = ", ".join(self.names()) or "none"
            raise ValueError(
                f"no dataset {name!r}; known: {known}; prepare_dataset makes 'demo', etude import brings your own in"
            )
        return self.card(name, read_json(file)["fingerprint"])

    def card(self, name: str, version: str) -> Card:
        """One version.

        Raises:
            ValueError: there is no such dataset or version; the message lists the known ones.
        """
        file = self._workspace.dataset_dir(name, version) / "card.json"
        if not file.exists():
            known = ", ".join(card.fingerprint for card in self.versions(name)) or "none"
            raise ValueError(
                f"no version {version!r} of dataset {name!r}; known: {known}; list_datasets shows the newest of each"
            )
        return _read_card(file)

    def versions(self, name: str) -> list[Card]:
        """All versions of a dataset, oldest first; none where there is no such dataset."""
        folder = self._workspace.datasets_dir(name)
        cards = {file.parent.name: _read_card(file) for file in folder.glob("[0-9a-f]*/card.json")}
        # The clock may stand still or be set back between parent and child, so generations come first.
        return sorted(cards.values(), key=lambda card: (_generation(card, cards), card.created_at, card.fingerprint))

    def train(self, name: str, version: str) -> list[Example]:
        """The rows to learn from.

        Raises:
            ValueError: there is no such version.
        """
        return self._rows(name, version, "train")

    def diagnose(self, name: str, version: str) -> list[Example]:
        """The rows on which failures are looked for; readable by anyone, never trained on.

        Raises:
            ValueError: there is no such version.
        """
        return self._rows(name, version, "diagnose")

    def save_first(
        self,
        name: str,
        *,
        task: str,
        train: Sequence[Example],
        diagnose: Sequence[Example],
        gate_size: int,
        gate_fingerprint: str,
        recipe: dict[str, Any],
        synthetic: bool,
        near_copy_threshold: float,
    ) -> Card:
        """Begin a dataset. The same content again gives the same card and leaves the head where it is.

        Raises:
            ValueError: the name holds other content already, or an id stands twice.
        """
        diagnose_fingerprint = fingerprint(diagnose)
        version = first_version(task, train, diagnose, gate_fingerprint)
        self.refuse_other(name, version)
        card = Card(
            name=name,
            fingerprint=version,
            parent=None,
            root=version,
            task=task,
            created_at=now(),
            rows=SplitSizes(train=len(train), diagnose=len(diagnose), gate=gate_size),
            diagnose_fingerprint=diagnose_fingerprint,
            gate_fingerprint=gate_fingerprint,
            recipe=recipe,
            synthetic=synthetic,
            near_copy_threshold=near_copy_threshold,
        )
        card = self._save(card, train, diagnose)
        self._set_head(card, replace=False)
        self.refuse_other(name, version)  # the head of another process may have come first
        return card

    def refuse_other(self, name: str, version: str) -> None:
        """Refuse to begin `name` with `version` when it was begun with another.

        Raises:
            ValueError: the name is taken.
        """
        if self._head_file(name).exists() and self.head(name).root != version:
            raise ValueError(f"dataset {name!r} exists and holds other rows; choose another: --name {name}-2")

    def save_child(
        self, parent: Card, train: Sequence[Example], recipe: dict[str, Any], moves_head: bool = True
    ) -> Card:
        """Make a version with other train rows and move the head to it, unless told not to.

        The same rows again give the version that is there. The caller holds the workspace's lock.

        Raises:
            ValueError: an id stands twice, in train or in train and diagnose.
        """
        diagnose = self.diagnose(parent.name, parent.fingerprint)
        version = _version(parent.task, train, parent.diagnose_fingerprint, parent.gate_fingerprint)
        changed = {
            "fingerprint": version,
            "parent": parent.fingerprint,
            "created_at": now(),
            "rows": parent.rows.model_copy(update={"train": len(train)}),
            "recipe": recipe,
        }
        card = self._save(parent.model_copy(update=changed), train, diagnose)
        if moves_head:
            self.move_head(card)
        return card

    def save_resealed(self, parent: Card, gate_size: int, gate_fingerprint: str, recipe: dict[str, Any]) -> Card:
        """Make a version with the same open rows and another sealed split, and move the head to it.

        The caller holds the workspace's lock.
        """
        train = self.train(parent.name, parent.fingerprint)
        changed = {
            "fingerprint": _version(parent.task, train, parent.diagnose_fingerprint, gate_fingerprint),
            "parent": parent.fingerprint,
            "created_at": now(),
            "rows": parent.rows.model_copy(update={"gate": gate_size}),
            "gate_fingerprint": gate_fingerprint,
            "recipe": recipe,
        }
        card = self._save(parent.model_copy(update=changed), train, self.diagnose(parent.name, parent.fingerprint))
        self._set_head(card, replace=True)
        return card

    def move_head(self, card: Card) -> None:
        """Make a version the newest. The caller holds the workspace's lock.

        The head stays where it is when it already descends from that version, so that a repeated request never takes
        back what came after it.
        """
        if card.fingerprint not in self._ancestry(self.head(card.name)):
            self._set_head(card, replace=True)

    def take_back(self, card: Card) -> None:
        """Make an earlier version the newest again: what came after it was found harmful. The caller holds the lock."""
        self._set_head(card, replace=True)

    def _save(self, card: Card, train: Sequence[Example], diagnose: Sequence[Example]) -> Card:
        """Write a version unless it is there, and return the card that is there."""
        _refuse_repeated_ids([*train, *diagnose])
        folder = self._workspace.dataset_dir(card.name, card.fingerprint)
        if not folder.exists():
            with appearing(folder) as draft:
                write_jsonl(draft / "train.jsonl", train)
                write_jsonl(draft / "diagnose.jsonl", diagnose)
                write_json(draft / "card.json", card)
        return _read_card(folder / "card.json")

    def _rows(self, name: str, version: str, split: str) -> list[Example]:
        self.card(name, version)
        file = self._workspace.dataset_dir(name, version) / f"{split}.jsonl"
        if self._workspace.is_sealed(file):
            # The eval server may open it and shows what diagnose holds: a link there would let anybody see the seal.
            raise ValueError(f"{file} leads into the sealed folder; put the {split} rows back")
        return read_examples(file)

    def _ancestry(self, card: Card) -> set[str]:
        """The version and all that it was made from."""
        seen = {card.fingerprint}
        while card.parent is not None and card.parent not in seen:
            card = self.card(card.name, card.parent)
            seen.add(card.fingerprint)
        return seen

    def _head_file(self, name: str) -> Path:
        return self._workspace.datasets_dir(name) / "head.json"

    def _set_head(self, card: Card, replace: bool) -> None:
        content = {"schema": 1, "fingerprint": card.fingerprint}
        file = self._head_file(card.name)
        if replace:
            return write_json(file, content)
        # A link refuses to replace: whoever comes second finds the head of whoever came first.
        draft = file.with_name(f".head.{uuid4().hex}")
        write_json(draft, content)
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()


@contextmanager
def appearing(folder: Path, mode: int | None = None) -> Iterator[Path]:
    """A draft that becomes `folder` by rename when the block ends well, and vanishes when it does not.

    If another process made the folder meanwhile, theirs stays: it is named by its content.

    Args:
        folder: What is to appear.
        mode: Its permissions; as the umask has it where none are given.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{uuid4().hex}")
    draft.mkdir(mode=0o777 if mode is None else mode)
    try:
        if mode is not None:
            draft.chmod(mode)  # whatever the umask took away
        yield draft
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_examples(file: Path) -> list[Example]:
    """The examples in a JSON lines file, in order.

    Raises:
        ValueError: a row is no example; the message names file and row.
    """
    rows = []
    for number, row in enumerate(read_jsonl(file), start=1):
        try:
            rows.append(Example.model_validate(row))
        except ValidationError as error:
            raise ValueError(f"{file}, row {number}, is not an example: {error.errors()[0]['msg']}") from error
    return rows


def first_version(task: str, train: Sequence[Example], diagnose: Sequence[Example], gate_fingerprint: str) -> str:
    """The fingerprint that a dataset begins with."""
    return _version(task, train, fingerprint(diagnose), gate_fingerprint)


def _version(task: str, train: Sequence[Example], diagnose_fingerprint: str, gate_fingerprint: str) -> str:
    return fingerprint([task, train, diagnose_fingerprint, gate_fingerprint])


def _generation(card: Card, cards: dict[str, Card]) -> int:
    """How many versions lie before this one."""
    count = 0
    while card.parent in cards and count < len(cards):
        card, count = cards[card.parent], count + 1
    return count


def _read_card(file: Path) -> Card:
    try:
        return Card.model_validate(read_json(file))
    except ValidationError as error:
        raise ValueError(f"{file} is not a dataset card: {error.errors()[0]['msg']}; restore it") from error


def _refuse_repeated_ids(examples: Iterable[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise ValueError(f"example id {example.id!r} stands twice; every row of a version needs its own id")
        seen.add(example.id)
