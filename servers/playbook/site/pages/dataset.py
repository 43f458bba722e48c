"""A dataset's versions, and one version whole: its card, what was added by which cycle, first rows, label ranges."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.core.dataset import Card, Example
from servers.playbook.site.archive import Archive
from servers.playbook.site.pages import Page

FIRST_ROWS, NEW_ROWS = 12, 12
RECIPE_CHARS = 300


@dataclass(frozen=True)
class Range:
    """Where the labels of one dimension lie."""

    dimension: str
    low: float
    quarter: float
    middle: float
    three_quarters: float
    high: float


def dataset_page(archive: Archive, name: str) -> Page:
    """All versions of a dataset.

    Raises:
        ValueError: there is no such dataset.
    """
    head = archive.datasets.head(name)
    made_by = archive.version_made_by()
    values = {"name": name, "head": head, "cards": archive.datasets.versions(name)[::-1], "made_by": made_by}
    return Page("dataset.html.j2", f"Dataset {name}", values)


def version_page(archive: Archive, name: str, version: str) -> Page:
    """One version.

    Raises:
        ValueError: there is no such version.
    """
    card = archive.datasets.card(name, version)
    train = archive.datasets.train(name, version)
    before = _parent_ids(archive, card)
    new = [row for row in train if row.id not in before] if before is not None else []
    task = archive.task_of(name)
    names = task.names if task else sorted({dimension for row in train[:100] for dimension in row.target})
    values = {
        "card": card,
        "is_head": archive.datasets.head(name).fingerprint == version,
        "made_by": archive.version_made_by().get(version),
        "names": names,
        "rows": train[:FIRST_ROWS],
        "new": new[:NEW_ROWS],
        "n_new": len(new),
        "sources": Counter(row.source for row in train).most_common(),
        "ranges": {
            "train": _ranges(train, names),
            "diagnose": _ranges(archive.datasets.diagnose(name, version), names),
        },
        "recipe": list(_flat(card.recipe)),
        "cycles": [line.cycle for line in archive.lines_of(name) if line.opening.dataset_version == version],
    }
    return Page("version.html.j2", f"{name} {version}", values)


def _parent_ids(archive: Archive, card: Card) -> set[str] | None:
    """Ids of the rows that the version began with; None for the first."""
    if card.parent is None:
        return None
    return {row.id for row in archive.datasets.train(card.name, card.parent)}


def _ranges(rows: Sequence[Example], names: Sequence[str]) -> list[Range]:
    found = []
    for name in names:
        values = sorted(row.target[name] for row in rows if name in row.target)
        if values:
            at = [values[round(part * (len(values) - 1))] for part in (0, 0.25, 0.5, 0.75, 1)]
            found.append(Range(name, *at))
    return found


def _flat(recipe: Mapping[str, Any], above: str = "") -> "list[tuple[str, str]]":
    """The entries of a recipe as name and words, those of inner tables under their names."""
    found: list[tuple[str, str]] = []
    for key, value in recipe.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            found += _flat(value, f"{name}: ")
        elif value not in (None, [], ""):
            words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((name, words[: 4 * RECIPE_CHARS]))
    return found
