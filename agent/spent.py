"""What a brain's thinking took."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """What a brain's thinking took in one cycle, over all runs that worked on it."""

    answers: int
    input_tokens: int
    output_tokens: int
    usd: float
    """At the prices of the settings; 0 for a server of one's own."""
