"""How far something is, told to whoever waits for it; nothing happens where nobody does.

    with telling(listener):
        ...
        tell(3, 120, "3 of 120 rows answered")

What works does not know who listens, as with a log: a tool's caller, a test, or nobody. Words are for a person, and
never hold what a sealed row says.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[float, float | None, str], None]
"""Takes how much is done, of how much (None: nobody knows), and what is going on."""

_listener: ContextVar[Progress | None] = ContextVar("listener", default=None)


def tell(done: float, total: float | None, words: str) -> None:
    """Say how far the work is."""
    if (listener := _listener.get()) is not None:
        listener(done, total, words)


@contextmanager
def telling(listener: Progress) -> Iterator[None]:
    """Have `listener` hear of the work done inside, in the threads that it starts as well."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
