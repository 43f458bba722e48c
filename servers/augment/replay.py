"""Replay: the train rows on which the champion errs most are trained on with more weight, never as copies.

In noisy data the hardest rows are the noisiest, so their share is capped: at double weight a tenth of the rows is a
tenth more weight, which cannot carry a fit away. Rows of another split are never replayed.
"""

from collections.abc import Sequence

from servers.augment.recombination import Reader
from servers.core.dataset import Example
from servers.core.task import Task

MAX_SHARE = 0.10  # of the train rows, those that earlier cycles replayed included


def refuse_too_many(count: int, train: Sequence[Example]) -> None:
    """Refuse to replay more rows than may be.

    Raises:
        ValueError: `count` and what is replayed already are over a tenth of the train rows.
    """
    most, before = int(MAX_SHARE * len(train)), sum(map(_is_replayed, train))
    if count and before + count > most:
        already = f", of which {before} are replayed already" if before else ""
        raise ValueError(
            f"replay_rows {count} is too many: at most a tenth of the {len(train)} train rows may count double, "
            f"{most}{already}; ask for {max(0, most - before)} or fewer"
        )


def hardest(train: Sequence[Example], read: Reader, count: int, task: Task) -> set[str]:
    """Ids of the `count` rows on which the reader errs most, of those that are not replayed already.

    Args:
        train: Rows of the train split.
        read: The champion; a text that it cannot read counts as the scale's whole width.
        count: How many.
        task: Dimensions and scale.
    """
    rows = [row for row in train if not _is_replayed(row)]
    readings = read([row.text for row in rows])
    errors = {row.id: _error(row, vector, task) for row, vector in zip(rows, readings, strict=True)}
    return set(sorted(errors, key=lambda key: -errors[key])[:count])


def _is_replayed(row: Example) -> bool:
    return row.weight > 1


def _error(row: Example, vector: dict[str, float] | None, task: Task) -> float:
    if vector is None:
        return task.scale.width
    return sum(abs(row.target[name] - vector[name]) for name in task.names) / len(task.names)
