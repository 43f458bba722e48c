"""Which way the next candidate is made, from what the ways did before: the rules, in the order in which they apply.

1. The newest campaign that showed a way to help ranks the ways, because only there they met the same champion.
2. A way whose newest shown result is harm is not taken.
3. Replay and another recipe are taken only where they were shown to help beyond the rows that they came with.
4. Where nothing is known, rows are aimed at the weakest dimensions; if that harmed, more of the same; if that harmed as
   well, another recipe on the rows as they are.

A campaign tries the ways anew that harmed longer ago than in the newest campaign: evidence may turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.core.campaign import DIFFERS_FROM, WAYS, Way
from servers.core.families import family_named
from servers.playbook.policies import Policy

AIMED = ("focused", "focused_replay", "hyperparameters")
DEFAULT: tuple[Way, ...] = ("focused", "more")
# By family; tried one after the other, one entry a cycle, so that an effect has a cause.
CHANGES: dict[str, tuple[tuple[tuple[str, float, str], ...], ...]] = {
    "student": (
        (("word_ngrams", 1, "pairs of words are rare in few rows, single words may do"),),
        (("constant_margin", 0.0, "a dimension may use the text as soon as that beats its constant at all"),),
        (("min_texts", 2, "what stands in one text alone cannot be told from noise"),),
        (("char_ngrams", 6, "longer runs of characters tell longer words apart"),),
        (("word_ngrams", 3, "three words in a row may say what single words do not"),),
    ),
    "lora": (
        (  # one cause: the same way, walked in smaller steps; the first project's second cycle
            ("learning_rate", 1.2e-5, "smaller steps keep more of what the base can do"),
            ("epochs", 3, "one pass more makes up for the smaller steps"),
        ),
        (("lora_r", 32, "a wider adapter can hold more than the rows have taught so far"),),
        (("lora_dropout", 0.1, "few rows are learned by heart, and more dropout makes that harder"),),
        (("learning_rate", 5e-5, "the adapter may still be far from where the rows would take it"),),
    ),
}

Change = dict[str, Any]


@dataclass(frozen=True)
class Suggestion:
    """A way with what it takes."""

    way: Way
    replay_rows: int | None
    """Null leaves it to the task's file."""
    changes: list[Change]
    """As plan_retrain takes them."""
    why: str


def suggested(
    entries: Sequence[Policy], focus: Sequence[str], recipe: Mapping[str, Any], replays_by_default: bool, family: str
) -> Suggestion | None:
    """How to make the next candidate; None where every way is known to harm.

    Args:
        entries: What is known, oldest first.
        focus: Dimensions that new rows would aim at; none leaves the aimed ways out.
        recipe: The champion's hyperparameters.
        replays_by_default: Whether the task's file asks for replay.
        family: What is trained; what is known of another family's recipes says nothing here.
    """
    entries = _fitting(entries, family)
    harmed = _harmed(entries)
    no_replay = 0 if replays_by_default and "focused_replay" in _causes(entries, "harmed") else None
    for entry in _ranked(entries):
        if entry.way in harmed or (entry.way in AIMED and not focus) or not _paid(entry, entries):
            continue
        changes = _changes_of(entry, recipe)
        if entry.changes and not changes:
            continue  # the champion has this recipe by now
        why = f"{entry.way} did best in {entry.cycle} of what may be taken: {_figures(entry)}{_aside(entry, entries)}"
        replay = entry.rows_replayed if entry.way == "focused_replay" else no_replay
        return Suggestion(entry.way, replay, changes, why)
    skipped = "".join(
        f"; {way} harmed in {harmed[way].cycle}: {_figures(harmed[way])}" for way in DEFAULT if way in harmed
    )
    for way in DEFAULT:
        if way not in harmed and (focus or way not in AIMED):
            why = "worst against the constant where the text carries signal" if way in AIMED else "more of the same"
            return Suggestion(way, no_replay, [], why + skipped)
    if "no_new_data" in harmed or not (changes := untried(entries, recipe, family)):
        return None
    return Suggestion("no_new_data", None, changes, f"another recipe on the rows as they are{skipped}")


def ways_to_try(entries: Sequence[Policy], focus: Sequence[str], changes: Sequence[Change]) -> list[Way]:
    """The ways of the next campaign: those that can be taken, without those that harmed in the newest one."""
    newest = _newest_campaign(entries)
    possible: list[Way] = [
        way
        for way in WAYS
        if (focus or way not in AIMED) and (changes or way not in ("hyperparameters", "no_new_data"))
    ]
    ways = [way for way in possible if not any(e.way == way and _did_harm(e) for e in newest)]
    return ways if len(ways) > 1 else possible  # two are needed for a comparison


def untried(entries: Sequence[Policy], recipe: Mapping[str, Any], family: str) -> list[Change]:
    """The first change of the recipe that no cycle has tried, which may take two at once; none where all were."""
    tried = {(name, value) for entry in entries for name, value in entry.changes.items()}
    for together in CHANGES[family]:
        new = [(name, value, reason) for name, value, reason in together if recipe.get(name) != value]
        if any((name, float(value)) not in tried for name, value, _ in new):
            return [{"name": name, "value": value, "reason": reason} for name, value, reason in new]
    return []


def _fitting(entries: Sequence[Policy], family: str) -> list[Policy]:
    """Those that change nothing but what this family has."""
    if not any(entry.changes for entry in entries):
        return list(entries)
    names = family_named(family).hparams().model_fields.keys()
    return [entry for entry in entries if entry.changes.keys() <= names]


def _ranked(entries: Sequence[Policy]) -> list[Policy]:
    """The ways of the newest campaign that showed one to help, the best first, those that helped alone."""
    for cycle in reversed(list(dict.fromkeys(entry.cycle for entry in entries))):
        ways = [entry for entry in entries if entry.cycle == cycle and entry.way in WAYS]
        if len(ways) > 1 and (helped := [entry for entry in ways if entry.worked == "helped"]):
            return sorted(helped, key=lambda entry: entry.difference)
    return []


def _newest_campaign(entries: Sequence[Policy]) -> list[Policy]:
    for cycle in reversed(list(dict.fromkeys(entry.cycle for entry in entries))):
        if len(ways := [entry for entry in entries if entry.cycle == cycle]) > 1:
            return ways
    return []


def _harmed(entries: Sequence[Policy]) -> dict[str, Policy]:
    """By way, the newest shown result where that is harm."""
    shown = {entry.way: entry for entry in entries if entry.worked != "not shown"}
    return {way: entry for way, entry in shown.items() if entry.worked == "harmed"}


def _causes(entries: Sequence[Policy], worked: str) -> set[str]:
    """Ways whose one difference, by its newest shown result, helped or harmed."""
    shown = {entry.way: entry.cause for entry in entries if entry.cause and entry.cause.worked != "not shown"}
    return {way for way, cause in shown.items() if cause.worked == worked}


def _did_harm(entry: Policy) -> bool:
    return entry.worked == "harmed" or (entry.cause is not None and entry.cause.worked == "harmed")


def _paid(entry: Policy, entries: Sequence[Policy]) -> bool:
    """Whether a way that adds something to the aimed rows was shown to gain by it; an aim needs no such proof."""
    return DIFFERS_FROM.get(entry.way) != "focused" or entry.way in _causes(entries, "helped")


def _changes_of(entry: Policy, recipe: Mapping[str, Any]) -> list[Change]:
    """The entry's changes that the champion's recipe does not have yet."""
    why = f"it was shown to help in {entry.cycle}"
    return [
        {"name": name, "value": value, "reason": why}
        for name, value in entry.changes.items()
        if recipe.get(name) != value
    ]


def _aside(entry: Policy, entries: Sequence[Policy]) -> str:
    """Why replay is left out, where that is known to be right."""
    replays = [e for e in entries if e.way == "focused_replay" and e.cause and e.cause.worked == "harmed"]
    if entry.way != "focused" or not replays or "focused_replay" not in _causes(entries, "harmed"):
        return ""
    cause = replays[-1].cause
    assert cause is not None  # by the filter above
    return f"; without replay, which harmed in {replays[-1].cycle} ({cause.difference:+.2f} points)"


def _figures(entry: Policy) -> str:
    seeds = f"{entry.seeds} {'seed' if entry.seeds == 1 else 'seeds'}"
    return f"{entry.difference:+.2f} ± {entry.standard_error:.2f} points over {seeds}"
