"""Train rows that are shown to the base model before the question."""

from collections.abc import Sequence

from servers.core.dataset import Example
from servers.core.task import Task


def draw_shots(train: Sequence[Example], n: int, task: Task) -> list[Example]:
    """Up to n rows, spread over the order of their mean target; the same rows for the same arguments."""
    ordered = sorted(train, key=lambda row: (sum(row.target[name] for name in task.names), row.id))
    return [ordered[round(place * (len(ordered) - 1) / max(1, n - 1))] for place in range(min(n, len(ordered)))]
