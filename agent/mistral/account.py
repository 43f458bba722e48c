"""What thinking costs: a line for each answer in `loop/<cycle>/brain.jsonl`, and caps over all runs of a cycle.

The servers count these lines into the budget of the whole artifacts folder; what it has left is a cap like the others.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

from agent.desk import StepFailed
from agent.lines import append, read
from agent.mistral.service import Answer, Tokens
from agent.settings import MistralSettings
from agent.spent import Spent
from agent.words import cleaned

MILLION = 1_000_000
NAME_CHARS = 64
NOTHING = Tokens()
ASKED = "asked"  # in place of how an answer ended, as long as it has not


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
        self._asked: str | None = None
        self._may_reach: float | None = None

    def note_left(self, usd: float) -> None:
        """Take note of what the budget has left for all that is to come, the answers so far counted.

        Args:
            usd: As the playbook server says it; a later word replaces it.
        """
        spent = self.spent
        self._may_reach = (spent.usd if spent else 0.0) + usd

    @property
    def spent(self) -> Spent | None:
        """What the cycle's answers took so far; None where there were none.

        One that was asked for and never came, because the run was killed, say, counts with what it was asked.
        """
        return self._spent(besides=None)

    def _spent(self, besides: str | None) -> Spent | None:
        by_answer = {row["answer"]: row for row in read(self._file)}  # the last line about an answer holds
        rows = [row for name, row in by_answer.items() if name != besides and row["input_tokens"]]
        if not rows:
            return None
        return Spent(
            answers=len(rows),
            input_tokens=sum(row["input_tokens"] for row in rows),
            output_tokens=sum(row["output_tokens"] for row in rows),
            usd=round(sum(row["usd"] for row in rows), 6),
        )

    def asking(self, input_tokens: int, lost: Tokens) -> None:
        """Note that an answer is being asked for, before it is: whoever is killed now has paid for it.

        Args:
            input_tokens: What the request takes, estimated.
            lost: What earlier tries of it took in vain.

        Raises:
            StepFailed: it could pass a cap.
        """
        self._asked = self._asked or token_hex(4)
        try:
            self.refuse_more(input_tokens, lost)
        except StepFailed:
            self.add_lost(lost)
            raise
        self._note(lost + Tokens(input_tokens), counted=False, calls=[], finish=ASKED)

    def add(self, answer: Answer) -> None:
        """Note one answer, with what tries before it took in vain."""
        called = [cleaned(call.name, NAME_CHARS) for call in answer.calls]
        how = {"finish": answer.finish, "tries": answer.tries, "seconds": round(answer.seconds, 3)}
        self._note(answer.tokens + answer.lost, counted=answer.counted, calls=called, **how)
        self._asked = None

    def add_lost(self, tokens: Tokens) -> None:
        """Note what was taken without an answer."""
        self._note(tokens, counted=False, calls=[], finish=None)
        self._asked = None

    def refuse_more(self, next_input_tokens: int, lost: Tokens = NOTHING) -> None:
        """Refuse an answer that could go over a cap; what is asked for now counts with all that it may take.

        Raises:
            StepFailed: a cap is reached; the message names it, and what to do.
        """
        spent = self._spent(besides=self._asked) or Spent(0, 0, 0, 0.0)
        settings, more = self._settings, lost + Tokens(next_input_tokens, self._settings.answer_tokens)
        tokens = spent.input_tokens + spent.output_tokens + more.read + more.written
        usd = spent.usd + self._usd(more.read, more.written)
        self._refuse_over("max_answers", spent.answers + 1, settings.max_answers, f"{spent.answers} answers")
        self._refuse_over(
            "max_tokens", tokens, settings.max_tokens, f"{spent.input_tokens + spent.output_tokens} tokens"
        )
        self._refuse_over("max_usd", usd, settings.max_usd, f"{spent.usd:.3f} USD")
        self._refuse_over_budget(usd, spent.usd)
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
            "answer": self._asked or token_hex(4),
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

    def _refuse_over_budget(self, usd: float, so_far: float) -> None:
        if self._may_reach is not None and usd > so_far and round(usd - self._may_reach, 6) > 0:
            raise StepFailed(
                f"brain mistral: {max(0.0, self._may_reach - so_far):.3f} USD of the budget are left, and one more "
                "answer could pass them; what is done stays done: raise usd in [budget], or go on with --brain offline"
            )

    def _usd(self, input_tokens: int, output_tokens: int) -> float:
        per_input, per_output = self._prices
        return round((input_tokens * per_input + output_tokens * per_output) / MILLION, 6)
