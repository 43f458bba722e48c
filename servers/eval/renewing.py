"""A fresh sealed split for a dataset whose old one is worn out: `etude import FILE --name NAME --fresh-gate`."""

from collections.abc import Sequence
from typing import Any

from servers.core.cycle_files import open_cycles
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.eval.custody import Custody

KIND = "fresh-gate"


class Renewed(Wire):
    """What `--fresh-gate` did."""

    schema_version: int = 1
    dataset: str
    fingerprint: str
    """Of the version with the fresh sealed split."""
    already_there: bool
    """Whether the same rows had been sealed before; nothing was changed then."""
    read: int
    sealed: int
    dropped_as_near_copies: int
    """Rows near one that the dataset has, or ever sealed; which ones is not told."""

    def in_words(self) -> str:
        """For a terminal."""
        if self.already_there:
            return f"{self.dataset}: these rows are its sealed split already, nothing changed"
        return (
            f"{self.dataset}: version {self.fingerprint}\n"
            f"sealed: {self.sealed} of {self.read} rows, {self.dropped_as_near_copies} dropped as near-copies\n"
            "the sealed rows before are retired: etude verify CYCLE now tells their verdicts whole"
        )


def renew(
    workspace: Workspace, custody: Custody, name: str, examples: Sequence[Example], told: dict[str, Any]
) -> Renewed:
    """Seal `examples` as the dataset's new gate; the same source again finds what it did. The caller holds the lock.

    Args:
        workspace: The artifacts folder.
        custody: Of its sealed rows.
        name: A dataset that is there.
        examples: Fresh rows.
        told: What is known of their source; `source_digest` tells whether it was sealed before.

    Raises:
        ValueError: there is no such dataset, it is the demo, a cycle on it is open, or too few rows are fresh.
    """
    store = DatasetStore(workspace)
    head = store.head(name)
    custody.refuse_other_task(head)
    for card in store.versions(name):
        same = (card.recipe.get("kind"), card.recipe.get("source_digest")) == (KIND, told["source_digest"])
        if same and card.gate_fingerprint == head.gate_fingerprint:
            return _renewed(card, told, already_there=True)
    if busy := open_cycles(workspace, name):
        raise ValueError(f"{busy[0]} on {name!r} is open; close it with write_report before its judge is changed")
    return _renewed(custody.renew(head, examples, {**told, "kind": KIND}), told, already_there=False)


def _renewed(card: Card, told: dict[str, Any], already_there: bool) -> Renewed:
    return Renewed(
        dataset=card.name,
        fingerprint=card.fingerprint,
        already_there=already_there,
        read=told["read"],
        sealed=card.rows.gate,
        dropped_as_near_copies=card.recipe["dropped_as_near_copies"],
    )
