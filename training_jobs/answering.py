"""What every arm that samples shares: the texts, the requests that are timed, the file of answers."""

import time
from collections.abc import Callable
from pathlib import Path

from servers.core.answers import Answer, ServedBy
from servers.core.disk import read_jsonl, write_jsonl

Texts = list[tuple[str, str]]
"""Id and text of each row."""


def read_texts(path: Path) -> Texts:
    """The rows to answer.

    Raises:
        ValueError: there are none, or one is no such row.
    """
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("text"), str)):
            raise ValueError(f"{path}, row {number}, has no texts under 'id' and 'text'")
        rows.append((row["id"], row["text"]))
    if not rows:
        raise ValueError(f"{path} has no rows to answer")
    return rows


def answer_texts(
    answer: Callable[[list[str]], list[str]], rows: Texts, timed: int, served_by: ServedBy, path: Path
) -> None:
    """Write one answer a row.

    Args:
        answer: Gives the words for some texts, in order.
        rows: Whom to answer.
        timed: How many of the first are requests of their own, timed after one to warm up; the others go together.
        served_by: Who answers.
        path: Of the answers.
    """
    texts = [text for _, text in rows]
    words = _one_by_one(answer, texts[:timed]) if timed else []
    if left := texts[timed:]:
        words += [(one, None) for one in answer(left)]
    write_jsonl(
        path,
        [
            Answer(id=name, text=text, latency_ms=latency_ms, served_by=served_by)
            for (name, _), (text, latency_ms) in zip(rows, words, strict=True)
        ],
    )


def _one_by_one(answer: Callable[[list[str]], list[str]], texts: list[str]) -> list[tuple[str, float | None]]:
    """Words and milliseconds of each request."""
    answer(texts[:1])
    timed: list[tuple[str, float | None]] = []
    for text in texts:
        started = time.perf_counter()
        words = answer([text])[0]
        timed.append((words, 1000 * (time.perf_counter() - started)))
    return timed
