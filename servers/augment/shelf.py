"""What the augment server gives to read: the card of every dataset version."""

from collections.abc import Iterable
from typing import Any

from servers.core.dataset import DatasetStore
from servers.core.disk import plain
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.shelf import JSON, Document, There, as_json, changed

MOST_ITEMS = 50  # of a list in a recipe


def documents(workspace: Workspace) -> list[Document]:
    """All of them, for one artifacts folder."""
    datasets = DatasetStore(workspace)

    def versions() -> Iterable[There]:
        every = []
        for name in datasets.names():
            newest, *older = reversed(datasets.versions(name))
            for card, nature in [(newest, "newest version"), *((card, "version") for card in older)]:
                title = f"{name}: {nature} {card.fingerprint}, {card.rows.train} train rows"
                at = changed(workspace.dataset_dir(name, card.fingerprint) / "card.json")
                every.append(There({"dataset": name, "version": card.fingerprint}, title, at))
        return sorted(every, key=lambda there: there.modified or 0.0, reverse=True)

    def card(dataset: str, version: str) -> str:
        return as_json(_short(plain(datasets.card(dataset, version))))

    return [
        Document(
            "etude://datasets/{dataset}/{version}",
            "card",
            "Dataset card",
            "Sizes, ancestry and making of a version. Of the sealed rows it has the number, and nothing else.",
            JSON,
            there=versions,
            read=card,
            priority=0.6,
            where_missing="list_datasets shows the newest of each, and prepare_dataset makes 'demo'",
        ),
    ]


def _short(value: Any) -> Any:
    """A card with words of others cleaned and its lists cut."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, dict):
        return {cleaned(key): _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value[:MOST_ITEMS]]
    return value
