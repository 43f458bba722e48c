"""What may be spent for one artifacts folder: reserved before it is spent, and put right by what was used.

`budget.jsonl` is only ever added to. A reservation holds the most that something can cost; what it took is settled
afterwards, and takes the reservation's place. What the agent's language model costs is in `loop/<cycle>/brain.jsonl`,
which is the agent's own file, and counts as spent. An unknown cost is refused: whoever cannot say what something costs
cannot start it.
"""

import fcntl
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from servers.core.disk import append_jsonl, now, open_or_create, read_jsonl
from servers.core.services import Services
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace

LOCK = "budget.lock"
DECIMALS = 6  # a token costs millionths of a dollar


class BudgetState(Wire):
    """USD, for jobs, teacher and brain together."""

    limit: float
    spent: float
    reserved: float
    """The most that what is under way can still cost."""
    left: float
    """Below 0 nothing is left, so it ends at 0."""


class BudgetLine(Wire):
    """One line of `budget.jsonl`."""

    at: str
    event: Literal["reserve", "settle", "release"]
    key: str
    """What it is about, such as a job's id with the number of the attempt."""
    usd: float
    """The most that it can cost, or what it took."""
    what: str
    """In words, for whoever reads the file."""


@dataclass
class _Account:
    """What the lines about one key come to, USD."""

    reserved: float = 0.0
    settled: float | None = None
    before: float = 0.0
    """Of reservations that were settled and followed by another one: the same thing, done once more."""

    def take(self, line: BudgetLine) -> None:
        if line.event == "settle":
            self.reserved, self.settled = 0.0, line.usd
        elif line.event == "release":
            self.reserved = 0.0
        else:
            self.before += self.settled or 0.0
            self.reserved, self.settled = max(self.reserved, line.usd), None

    @property
    def spent(self) -> float:
        return self.before + (self.settled or 0.0)


class Budget:
    """The budget of one artifacts folder; any number of processes may use it at once.

    Args:
        workspace: The artifacts folder.
        services: Where the limit stands, `[budget] usd`.
    """

    def __init__(self, workspace: Workspace, services: Services) -> None:
        self._workspace, self._file = workspace, workspace.budget_file
        self._limit = services.settings.budget.usd

    def reserve(self, key: str, usd: float | None, what: str) -> None:
        """Set aside the most that something can cost, before it is begun.

        The same key again is the same reservation; a larger amount tops it up. One that was settled begins anew, and
        what it took before stays spent.

        Raises:
            ValueError: it would exceed the budget, or nobody knows what it costs.
        """
        self.reserve_together({key: usd}, what)

    def reserve_together(self, amounts: Mapping[str, float | None], what: str) -> None:
        """Set aside several amounts, by key, all of them or none.

        Raises:
            ValueError: together they would exceed the budget, or nobody knows what one costs.
        """
        most = {key: _known(usd, what) for key, usd in amounts.items()}
        with self._locked():
            accounts = self._accounts()
            more = {
                key: usd - accounts[key].reserved if key in accounts else usd
                for key, usd in most.items()
                if key not in accounts or usd > accounts[key].reserved
            }
            state = self._state(accounts)
            if round(sum(more.values()), DECIMALS) > state.left:
                raise ValueError(
                    f"{cleaned(what)} can cost up to {sum(most.values()):.2f} USD, and {state.left:.2f} of the "
                    f"{state.limit:.2f} USD in the budget are left ({state.spent:.2f} spent, {state.reserved:.2f} "
                    "reserved); raise usd in [budget] of etude.toml, or make it smaller"
                )
            for key in more:
                if most[key]:
                    self._add("reserve", key, most[key], what)

    def settle(self, key: str, usd: float | None, what: str = "") -> None:
        """Note what was used; it takes the reservation's place, also where it is more. Noted twice it counts once.

        Raises:
            ValueError: nobody knows what was used.
        """
        used = _known(usd, what or key)
        with self._locked():
            account = self._accounts().get(key)
            if account is None or account.settled != used:
                self._add("settle", key, used, what)

    def release(self, key: str) -> None:
        """Give a reservation back of which nothing was used; one that was settled stays as it is."""
        with self._locked():
            account = self._accounts().get(key)
            if account is not None and account.reserved:
                self._add("release", key, 0.0, "")

    def reservations(self) -> dict[str, float]:
        """What is set aside and not settled yet, USD by key."""
        return {key: account.reserved for key, account in self._accounts().items() if account.reserved}

    def settled(self) -> dict[str, float]:
        """What was noted last of each key that has no reservation, USD."""
        return {key: account.settled for key, account in self._accounts().items() if account.settled is not None}

    def state(self) -> BudgetState:
        """Where the budget stands.

        Raises:
            ValueError: a file that it is counted from is damaged; the message names it.
        """
        return self._state(self._accounts())

    def _state(self, accounts: dict[str, _Account]) -> BudgetState:
        spent = sum(account.spent for account in accounts.values()) + sum(self._brains())
        reserved = sum(account.reserved for account in accounts.values())
        left = max(0.0, self._limit - spent - reserved)
        return BudgetState(
            limit=self._limit,
            spent=round(spent, DECIMALS),
            reserved=round(reserved, DECIMALS),
            left=round(left, DECIMALS),
        )

    def _accounts(self) -> dict[str, _Account]:
        accounts: dict[str, _Account] = {}
        for row in read_jsonl(self._file):
            line = BudgetLine.model_validate(row)
            accounts.setdefault(line.key, _Account()).take(line)
        return accounts

    def _brains(self) -> Iterator[float]:
        """What each cycle's language model took."""
        for file in (self._workspace.root / "loop").glob("*/brain.jsonl"):
            last = {row["answer"]: row["usd"] for row in read_jsonl(file)}  # the last line about an answer holds
            yield _sum_known(last.values(), f"an answer in {file}")

    def _add(self, event: Literal["reserve", "settle", "release"], key: str, usd: float, what: str) -> None:
        append_jsonl(self._file, BudgetLine(at=now(), event=event, key=key, usd=usd, what=cleaned(what)), durable=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the budget's own lock: a look and the line that follows from it are one."""
        self._workspace.root.mkdir(parents=True, exist_ok=True)
        handle = open_or_create(self._file.with_name(LOCK), os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _sum_known(amounts: Iterable[float | None], what: str) -> float:
    return sum(_known(usd, what) for usd in amounts)


def _known(usd: float | None, what: str) -> float:
    if usd is None or not math.isfinite(usd) or usd < 0:
        raise ValueError(f"the cost of {cleaned(what)} is not known ({usd}), and an unknown cost is not spent")
    return round(usd, DECIMALS)
