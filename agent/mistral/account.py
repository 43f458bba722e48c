"""What thinking costs: a line for each answer in `loop/<cycle>/brain.jsonl`, and caps over all runs of a cycle."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from agent.brain import Spent
from agent.desk import StepFailed
from agent.lines import append, read
from agent.mistral.service import Answer, Tokens
from agent.settings import MistralSettings
from agent.words import cleaned

MILLION = 1_000_000
NAME_CHARS = 64


class Account:
    """The answers of one cycle.

    Args:
        artifacts: The artifacts folder.
        cycle: Its id.
        settings: Caps and prices.
        is_own: Whether the server is one's own, which sends no bill.
    """

    def __init__(self, artifacts: Path, cycle: str, settings: MistralSettings, is_own: bool) -> None:
        self._file = artifacts / "loop" / cycle / "brain.jsonl"
        self._cycle, self._settings = cycle, settings
        self._prices = settings.prices(is_own)
        self._began = monotonic()

    @property
    def spent(self) -> Spent | None:
        """What the cycle's answers took so far; None where there were none."""
        rows = list(read(self._file))
        if not rows:
            return None
        return Spent(
            answers=len(rows),
            input_tokens=sum(row["input_tokens"] for row in rows),
            output_tokens=sum(row["output_tokens"] for row in rows),
            usd=round(sum(row["usd"] for row in rows), 6),
        )

    def add(self, answer: Answer) -> None:
        """Note one answer, with what tries before it took in vain."""
        called = [cleaned(call.name, NAME_CHARS) for call in answer.calls]
        how = {"finish": answer.finish, "tries": answer.tries, "seconds": round(answer.seconds, 3)}
        self._note(answer.tokens + answer.lost, counted=answer.counted, calls=called, **how)

    def add_lost(self, tokens: Tokens) -> None:
        """Note what was taken without an answer."""
        if tokens != Tokens():
            self._note(tokens, counted=False, calls=[], finish=None)

    def refuse_more(self, next_input_tokens: int) -> None:
        """Refuse an answer that could go over a cap; what is asked for now counts with all that it may take.

        Raises:
            StepFailed: a cap is reached; the message names it, and what to do.
        """
        spent = self.spent or Spent(0, 0, 0, 0.0)
        settings = self._settings
        tokens = spent.input_tokens + spent.output_tokens + next_input_tokens + settings.answer_tokens
        usd = spent.usd + self._usd(next_input_tokens, settings.answer_tokens)
        self._refuse_over("max_answers", spent.answers + 1, settings.max_answers, f"{spent.answers} answers")
        self._refuse_over(
            "max_tokens", tokens, settings.max_tokens, f"{spent.input_tokens + spent.output_tokens} tokens"
        )
        self._refuse_over("max_usd", usd, settings.max_usd, f"{spent.usd:.3f} USD")
        self.refuse_longer()

    def refuse_longer(self) -> None:
        """Refuse to go on for longer than this run of the cycle may take.

        Raises:
            StepFailed: the time is over.
        """
        seconds = monotonic() - self._began
        self._refuse_over("max_seconds", seconds, self._settings.max_seconds, f"{seconds:.0f} s in this run")

    def _note(self, tokens: Tokens, **facts: Any) -> None:
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "model": self._settings.model,
            "input_tokens": tokens.read,
            "output_tokens": tokens.written,
            "usd": self._usd(tokens.read, tokens.written),
            **facts,
        }
        append(self._file, json.dumps(entry, ensure_ascii=False))

    def _refuse_over(self, name: str, amount: float, limit: float, so_far: str) -> None:
        if amount > limit:
            raise StepFailed(
                f"brain mistral: {self._cycle} has taken {so_far}, and one more answer could pass {name} = {limit:g}; "
                f"what is done stays done: raise {name} in [agent.mistral], or go on with --brain offline"
            )

    def _usd(self, input_tokens: int, output_tokens: int) -> float:
        per_input, per_output = self._prices
        return round((input_tokens * per_input + output_tokens * per_output) / MILLION, 6)
