"""How often somebody may ask: a bucket of tokens each, which fills up again with time."""

import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

MAX_KEPT = 4096  # of askers; who was not seen for longest is forgotten, and begins anew with a full bucket


class Rates:
    """A bucket for each asker.

    Args:
        burst: How many requests at once.
        per_s: How many a second after that.
        clock: Seconds, monotonic.
    """

    def __init__(self, burst: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str) -> int:
        """Take one request of this asker's; 0 where there was one, else the whole seconds until there is."""
        now = self._clock()
        level, at = self._levels.pop(who, (float(self._burst), now))
        level = min(float(self._burst), level + (now - at) * self._per_s)
        self._levels[who] = (level - 1 if level >= 1 else level, now)
        if len(self._levels) > MAX_KEPT:
            self._levels.popitem(last=False)
        return 0 if level >= 1 else max(1, ceil((1 - level) / self._per_s))

    def __len__(self) -> int:
        return len(self._levels)
