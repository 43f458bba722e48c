"""Publish a dataset version as a folder that the Hugging Face Hub takes as it is: a card and the two open splits.

On the Hub each version is a commit of `<namespace>/etude-<dataset>`.
"""

import json
from pathlib import Path

from servers.core.dataset import Card, DatasetStore, appearing
from servers.core.disk import plain, write_text
from servers.core.hub import resolved_namespace
from servers.core.hub_repos import Uploaded, upload
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace

CARD = """---
license: other
task_categories: [text-classification]
configs:
- config_name: default
  data_files:
  - {{split: train, path: train.jsonl}}
  - {{split: validation, path: diagnose.jsonl}}
---
# {name} at {fingerprint}

{title}. {nature}

| split | rows |
|---|---|
| train | {train} |
| diagnose (published as validation) | {diagnose} |

A third split is sealed: it judges models, and is published nowhere.

Each row has `text`, a `target` with a number from {low:g} to {high:g} for each dimension, and where it comes from
(`source`, `provenance`). Dimensions: {dimensions}. Parent version: {parent}.
"""


def publish(workspace: Workspace, datasets: DatasetStore, task: Task, card: Card) -> tuple[Path, list[str]]:
    """Write the folder, once; the folder and the names of its files.

    Args:
        workspace: The artifacts folder; the version lands under `published/`.
        datasets: Where the rows are.
        task: For the card's words.
        card: The version.
    """
    folder = workspace.root / "published" / card.name / card.fingerprint
    if not folder.exists():
        with appearing(folder) as draft:
            for name, text in _files(datasets, task, card).items():
                write_text(draft / name, text)
    return folder, sorted(file.name for file in folder.iterdir())


def publish_on_hub(services: Services, datasets: DatasetStore, task: Task, card: Card, folder: Path) -> Uploaded:
    """Upload a published folder into a dataset repository, private unless that is public already.

    Args:
        services: The token.
        datasets: Where the rows are.
        task: For the card's words.
        card: The version.
        folder: That `publish` wrote.

    Raises:
        ValueError: the folder holds anything else than was published, there is no token, or the Hub refuses.
    """
    expected = {name: text.encode() for name, text in _files(datasets, task, card).items()}
    found = {file.name: file.read_bytes() if file.is_file() else None for file in folder.iterdir()}
    # What leaves the machine is what the open splits hold, whatever was put beside or into it since.
    if found != expected:
        raise ValueError(f"{folder} is not what was published there; delete it and call publish_dataset again")
    return upload(
        services,
        "dataset",
        f"{resolved_namespace(services)}/etude-{card.name}",
        expected,
        f"{card.name} at {card.fingerprint}",
    )


def _files(datasets: DatasetStore, task: Task, card: Card) -> dict[str, str]:
    """What is published of a version, by the file's name."""
    splits = {
        "train.jsonl": datasets.train(card.name, card.fingerprint),
        "diagnose.jsonl": datasets.diagnose(card.name, card.fingerprint),
    }
    lines = {
        name: "".join(json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        for name, rows in splits.items()
    }
    return {"README.md": _card_text(task, card), **lines}


def _card_text(task: Task, card: Card) -> str:
    return CARD.format(
        name=card.name,
        fingerprint=card.fingerprint,
        title=task.title,
        nature="Synthetic: every row was written by the embedded demo world." if card.synthetic else "Imported rows.",
        train=card.rows.train,
        diagnose=card.rows.diagnose,
        low=task.scale.low,
        high=task.scale.high,
        dimensions=", ".join(task.names),
        parent=card.parent or "none",
    )
