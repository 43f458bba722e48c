"""Verdicts on paper: the line that stays in the sealed folder, and the document that leaves it."""

from collections.abc import Sequence

from pydantic import Field

from servers.core.dataset import Card
from servers.core.gate import Told, Verdict
from servers.core.wire import Wire
from servers.eval.custody import Custody
from servers.eval.deciding import Question


class GateDocument(Told):
    """`gate.json`: the part of a verdict that may leave the sealed folder."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    verdict_id: str
    cycle: str
    dataset: str
    gate_fingerprint: str
    """Of the sealed split."""
    candidate: str
    champion: str
    focus_dimensions: list[str]
    verdicts_asked: int
    """That looked at this sealed split's errors so far; a candidate unfit for service spends none."""
    level_left: float
    """What the next verdict may spend."""
    asked_at: str


class Record(Wire):
    """A line of `verdicts.jsonl`: a question that was put to the sealed rows, and the verdict."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    question: Question
    verdict: Verdict


def records(custody: Custody, card: Card) -> list[Record]:
    """All verdicts that a sealed split spent, oldest first."""
    return [Record.model_validate(line) for line in custody.verdicts(card)]


def carries(spent: Sequence[Record], champion_digest: str) -> list[bool]:
    """For each verdict, oldest first, whether it promoted what the one after it compared with.

    Args:
        spent: The verdicts.
        champion_digest: Of the champion that the next verdict compares with.
    """
    compared_with = [*(record.question.models["champion"].digest for record in spent[1:]), champion_digest]
    return (
        [
            record.verdict.outcome == "promote" and record.question.models["candidate"].digest == champion
            for record, champion in zip(spent, compared_with, strict=True)
        ]
        if spent
        else []
    )
