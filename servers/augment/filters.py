"""Which drafts become training rows. Every draft that is dropped has one reason, and reasons are counted.

Near-copies of sealed rows are found with the judge's sketch; they are counted like the others, and the report never
says which drafts they were.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from servers.augment.teachers import Draft
from servers.core.dataset import Example
from servers.core.language import is_foreign, languages_of
from servers.core.near_copies import Sketch, groups, near_pairs
from servers.core.task import Task

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")  # without its sign; a full stop may follow
LENGTH_FACTOR = 3.0  # a text over this many times the longest train text, or under its inverse of the shortest, is odd
SEALED = "near a held-out row"
UNREADABLE = "the teacher's answer cannot be read"


@dataclass
class Sifted:
    """What the filters left, and what they took."""

    kept: list[Draft] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    """How many, by reason."""
    examples_of_dropped: dict[str, list[str]] = field(default_factory=dict)
    """A few texts by reason; none for near-copies of sealed rows."""

    def drop(self, draft: Draft, reason: str) -> None:
        """Count a draft as dropped."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        texts = self.examples_of_dropped.setdefault(reason, [])
        if reason != SEALED and len(texts) < 3:
            texts.append(draft.text[:200])


def sift(
    drafts: Sequence[Draft],
    task: Task,
    train: Sequence[Example],
    diagnose: Sequence[Example],
    sealed: Sketch,
    threshold: float,
) -> Sifted:
    """Put drafts through all filters.

    Args:
        drafts: What the teacher wrote.
        task: Its scale and dimensions.
        train: Rows that are there already.
        diagnose: Rows that no training text may repeat.
        sealed: Sketch of the sealed rows.
        threshold: Similarity from which two texts are near-copies.
    """
    result = Sifted()
    lengths = [len(row.text) for row in train]
    languages = languages_of([row.text for row in train])
    candidates = []
    for draft in drafts:
        reason = _odd(draft, task, min(lengths), max(lengths), languages)
        if reason:
            result.drop(draft, reason)
        else:
            candidates.append(draft)
    texts = [draft.text for draft in candidates]
    near_train = {i for i, _, _ in near_pairs(texts, [row.text for row in train], threshold)}
    near_diagnose = {i for i, _, _ in near_pairs(texts, [row.text for row in diagnose], threshold)}
    near_sealed = sealed.near(texts, threshold)
    labels = groups(texts, threshold, max_share=1.0).labels
    seen: set[int] = set()
    for i, draft in enumerate(candidates):
        if i in near_diagnose:
            result.drop(draft, "near a diagnose row")
        elif near_sealed[i]:
            result.drop(draft, SEALED)
        elif i in near_train:
            result.drop(draft, "near a train row")
        elif int(labels[i]) in seen:
            result.drop(draft, "near another new row")
        else:
            seen.add(int(labels[i]))
            result.kept.append(draft)
    return result


def _odd(draft: Draft, task: Task, shortest: int, longest: int, languages: Collection[str]) -> str | None:
    """What is wrong with one draft by itself."""
    if not draft.readings:
        return UNREADABLE
    if not shortest / LENGTH_FACTOR <= len(draft.text.strip()) <= longest * LENGTH_FACTOR:
        return "length"
    if is_foreign(draft.text, languages):
        return "another language than train's"
    label = draft.label(task.scale)
    if any(not task.scale.low <= label[name] <= task.scale.high for name in task.names):
        return "label out of range"
    values = {f"{abs(label[name]):g}" for name in task.names}
    if any(f"{float(number):g}" in values for number in NUMBER.findall(draft.text)):
        return "a number in the text gives a label away"
    if not draft.agrees(task.scale):
        return "two readings disagree"
    return None
