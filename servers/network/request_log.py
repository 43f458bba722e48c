"""One line a request on stderr: who, what, how it went, how long. No token and no argument is in it."""

import sys
import time
from dataclasses import dataclass, field

from servers.core.words import cleaned

MAX_WORD_CHARS = 80


@dataclass
class Line:
    """What becomes known of a request while it is answered."""

    method: str
    path: str
    client: str
    role: str = "-"
    message: str = ""
    """The method of the protocol, and the tool."""
    status: int = 0
    """0 where the client hung up before it was answered."""
    why: str = ""
    """The words of a refusal."""
    is_told: bool = True
    started: float = field(default_factory=time.perf_counter)

    def tell(self) -> None:
        """Write it. Much of it came from outside, and a name may be of any length."""
        if not self.is_told:
            return
        words = [self.client, self.role, self.method, self.path, self.message]
        seconds = time.perf_counter() - self.started
        said = " ".join(cleaned(word, MAX_WORD_CHARS) for word in words if word)
        why = f" ({cleaned(self.why, 2 * MAX_WORD_CHARS)})" if self.why else ""
        say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {said} {self.status or 'left'} {seconds:.3f} s{why}")


def say(words: str) -> None:
    """A line on stderr; that nobody reads it is no reason to stop."""
    try:
        print(words, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return
