"""The splits that somebody's data came with: how much of what they hold out stands in what they train on.

Étude draws its own sides. What the source's own splits shared is told all the same: figures that were measured on them
before are too good by that much.
"""

from collections.abc import Sequence

from servers.core.dataset import Card
from servers.core.likeness import normalised
from servers.core.near_copies import near_any
from servers.core.wire import Wire

LEARNS = ("train", "training")


class SplitLeak(Wire):
    """What one of the source's splits shares with one that comes before it."""

    held_out: str
    seen_in: str
    rows: int
    """Of `held_out`."""
    exact: int
    """Of these, with the same text there."""
    near: int
    """Of the others, with a near copy there."""


class SourceSplits(Wire):
    """The source's own splits."""

    rows: dict[str, int]
    """By name, the one to train on first."""
    leaks: list[SplitLeak]
    """Of every two splits that share something."""

    @property
    def words(self) -> str:
        """What there is to say, in one sentence; empty where nothing leaks."""
        found = [
            f"{leak.exact} of {leak.rows} {leak.held_out} rows stand in {leak.seen_in}"
            + (f", {leak.near} more nearly" if leak.near else "")
            for leak in self.leaks
        ]
        return f"the source's own splits leak: {'; '.join(found)}" if found else ""


def splits_of_source(root: Card) -> SourceSplits | None:
    """What the import of a dataset found out, from the card of its first version."""
    found = root.recipe.get("source_splits")
    return None if found is None else SourceSplits.model_validate(found)


def compare_splits(texts: Sequence[str], splits: Sequence[str]) -> SourceSplits | None:
    """What the splits share, each with those before it; None where all rows stand in one.

    Args:
        texts: Of all rows.
        splits: The split of each; '' where the source gave none.
    """
    members: dict[str, list[str]] = {}
    for text, split in zip(texts, splits, strict=True):
        if split:
            members.setdefault(split, []).append(text)
    if len(members) < 2:
        return None
    names = sorted(members, key=lambda name: (name.casefold() not in LEARNS, -len(members[name]), name))
    pairs = [(names[k], earlier) for k in range(1, len(names)) for earlier in names[:k]]
    leaks = [_leak(held_out, members[held_out], seen_in, members[seen_in]) for held_out, seen_in in pairs]
    return SourceSplits(
        rows={name: len(members[name]) for name in names}, leaks=[leak for leak in leaks if leak.exact or leak.near]
    )


def _leak(held_out: str, texts: Sequence[str], seen_in: str, others: Sequence[str]) -> SplitLeak:
    known = {normalised(text) for text in others}
    rest = [text for text in texts if normalised(text) not in known]
    near = int(near_any(rest, others).sum())
    return SplitLeak(held_out=held_out, seen_in=seen_in, rows=len(texts), exact=len(texts) - len(rest), near=near)
