"""The stated rounding: how far a figure that was written down may lie from the number that was found.

A figure holds when the number lies within half a unit of its last decimal, either way at a half. A number that is not
whole keeps at least one decimal and at least two significant digits: 14 is too coarse for 14.24, and 1.0 for a share of
0.96. What is written exactly always holds, and a whole number holds only as itself.
"""

import math
from decimal import Decimal

ROUNDING = "half a unit of the last decimal, with at least one decimal and two significant digits where it is not whole"
MOST_DECIMALS = 20
_SLACK = 1e-12  # share of the number (or of 1): sums and halves that binary fractions cannot hold exactly


def rounds_to(found: float, written: float) -> bool:
    """Whether `written` is an allowed way to write `found`, both in the same unit, both finite."""
    if abs(found - written) <= _slack(found):
        return True
    decimals = decimals_of(written)
    return decimals >= decimals_needed(found) and abs(found - written) <= 0.5 * 10.0**-decimals + _slack(found)


def rounded(found: float, decimals: int = 0) -> float:
    """`found` as briefly as the rounding allows, with `decimals` at least; a whole number comes back as an int."""
    if _is_whole(found):
        return round(found)
    for more in range(max(decimals, decimals_needed(found)), MOST_DECIMALS):
        brief = round(found, more)
        # JSON drops trailing zeros: 0.996 to two decimals arrives as 1.0, which claims too little.
        if rounds_to(found, brief):
            return brief
    return found


def as_figure(value: float) -> str:
    """A figure for a reader: as it was written, but without digits that nobody reads."""
    if _is_whole(value):
        return str(value) if isinstance(value, int) else f"{value + 0.0:.1f}"  # + 0.0: no minus before a zero
    most = 2 if abs(value) >= 1 else decimals_needed(value) + 2
    return f"{value:.{min(decimals_of(value), most)}f}"


def decimals_needed(found: float) -> int:
    """How many decimals it takes at least."""
    return 0 if _is_whole(found) else max(1, 1 - math.floor(math.log10(abs(found))))


def decimals_of(written: float) -> int:
    """How many decimals a figure was written with."""
    exponent = Decimal(repr(written)).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) <= _slack(value)


def _slack(found: float) -> float:
    return _SLACK * max(1.0, abs(found))
