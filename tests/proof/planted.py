"""Playbooks that are true, and the same with one falsehood planted: a value, a unit, a metric, a direction, …

A planted falsehood is one beyond doubt: where the draw comes out true after all (another dimension whose error rounds
to the same figure, say) it is drawn again.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from tests.proof.figures import Figure
from tests.proof.honest import SHARES, dimension_of, holds, kind_of, ways_of, written

Draft = dict[str, Any]  # the arguments of write_playbook, besides the cycle
TRIES = 1000
WORDS = ["It came to {}.", "The figure here is {} (see the source).", "What was seen: {}, on these rows.", "{} it was."]
CHANGES = ["new rows about it", "other words for the same wish", "rows where it is said plainly"]
NOWHERE = {"evaluation": "evaluation:eval-000000000000", "trace": f"trace:{0:032x}", "gate": "gate:cycle_77"}


class NotThisOne(Exception):
    """The draft has nothing of the kind to plant, or what was planted is true."""


class Author:
    """Writes playbooks from what there is.

    Args:
        figures: All figures of the evidence.
        failures: The cycle's recorded failures.
        dimensions: The task's.
        foreign_traces: Traces that are no failure of this cycle's champion.
    """

    def __init__(
        self,
        figures: Sequence[Figure],
        failures: Sequence[Mapping[str, Any]],
        dimensions: Sequence[str],
        foreign_traces: Sequence[str],
    ) -> None:
        self._dimensions, self._failures, self._foreign_traces = dimensions, failures, foreign_traces
        self._figures = [figure for figure in figures if kind_of(figure, dimensions)]
        self._by_place = {(figure.source, figure.path): figure for figure in self._figures}
        self._kinds_of_source: dict[str, list[Figure]] = {}
        for figure in self._figures:
            self._kinds_of_source.setdefault(figure.source.partition(":")[0], []).append(figure)

    def true(self, random: Random) -> Draft:
        """A playbook that holds."""
        remedies = [
            {
                "trace_id": failure["trace_id"],
                "dimension": self._erring(failure, random),
                "change": random.choice(CHANGES),
            }
            for failure in random.sample(list(self._failures), random.randint(3, 5))
        ]
        lessons = []
        for title in ("What was seen", "What else was seen")[: random.randint(1, 2)]:
            claims = [self._claim(f"c{number}", random) for number in range(random.randint(2, 6))]
            text = " ".join(random.choice(WORDS).format(f"{{claim:{claim['id']}}}") for claim in claims)
            lessons.append({"title": title, "text": text, "claims": claims})
        return {"remedies": remedies, "lessons": lessons}

    def false(self, kind: str, random: Random) -> tuple[Draft, Draft]:
        """A playbook that holds, and the same with one falsehood of this kind (a key of PLANTED)."""
        for _ in range(TRIES):
            true = self.true(random)
            false = copy.deepcopy(true)
            try:
                PLANTED[kind](self, false, random)
            except NotThisOne:
                continue
            return true, false
        raise AssertionError(f"no falsehood of kind {kind!r} in {TRIES} drafts")

    def value(self, draft: Draft, random: Random) -> None:
        claim, figure = self._target(draft, random)
        value, step = claim["value"], 10.0 ** -(len(repr(float(claim["value"])).partition(".")[2]))
        lies = [value + random.choice([-1, 1]) * random.randint(1, 9) * step, value * 10, value / 10, -value, value + 1]
        claim["value"] = round(random.choice(lies), 12)
        self._needs_false(claim, figure)

    def unit(self, draft: Draft, random: Random) -> None:
        claim, figure = self._target(draft, random)
        kind = kind_of(figure, self._dimensions)
        assert kind is not None
        claim["unit"] = random.choice(kind.never)

    def metric(self, draft: Draft, random: Random) -> None:
        claim, figure = self._target(draft, random)
        if random.random() < 0.2:
            claim["metric"] += random.choice(["_best", ".0", "x"])
            return
        alike = [
            other
            for other in self._figures
            if other.source == figure.source
            and other.path != figure.path
            and kind_of(other, self._dimensions) is kind_of(figure, self._dimensions)
        ]
        self._put(claim, figure, alike, random)

    def direction(self, draft: Draft, random: Random) -> None:
        claim, figure = self._target(draft, random, lambda figure: bool(ways_of(figure)))
        true = ways_of(figure)
        claim["direction"] = random.choice(
            [word for word in ("lower", "higher", "better", "worse", "none") if word not in true]
        )

    def dimension(self, draft: Draft, random: Random) -> None:
        if random.random() < 0.3:
            remedy = random.choice(draft["remedies"])
            errors = self._errors(remedy["trace_id"])
            mean = sum(errors.values()) / len(errors)
            spared = [name for name, error in errors.items() if error < 0.99 * mean]
            if not spared:
                raise NotThisOne
            remedy["dimension"] = random.choice([*spared, "loudness"])
            return
        claim, figure = self._target(draft, random, lambda figure: dimension_of(figure, self._dimensions) is not None)
        true = dimension_of(figure, self._dimensions)
        other = random.choice([name for name in self._dimensions if name != true])
        if random.random() < 0.5:
            claim["dimension"] = other
            return
        path = tuple(
            other
            if part == true
            else part.removesuffix(f"_{true}") + f"_{other}"
            if part.endswith(f"_{true}")
            else part
            for part in figure.path
        )
        self._put(claim, figure, [found for found in [self._by_place.get((figure.source, path))] if found], random)
        claim.pop("dimension", None)

    def source(self, draft: Draft, random: Random) -> None:
        claim, figure = self._target(draft, random, lambda figure: not figure.source.startswith("trace:"))
        kind = figure.source.partition(":")[0]
        if kind in NOWHERE and random.random() < 0.2:
            claim["source"] = NOWHERE[kind]
            return
        self._put(claim, figure, self._elsewhere(figure), random)

    def trace(self, draft: Draft, random: Random) -> None:
        if random.random() < 0.5:
            random.choice(draft["remedies"])["trace_id"] = random.choice(
                [random.choice(self._foreign_traces), f"{random.getrandbits(128):032x}"]
            )
            return
        claim, figure = self._target(draft, random, lambda figure: figure.source.startswith("trace:"))
        if random.random() < 0.2:
            claim["source"] = NOWHERE["trace"]
            return
        self._put(claim, figure, self._elsewhere(figure), random)

    def _claim(self, name: str, random: Random) -> dict[str, Any]:
        figure = random.choice(self._kinds_of_source[random.choice(sorted(self._kinds_of_source))])
        kind = kind_of(figure, self._dimensions)
        assert kind is not None
        unit, found = random.choice(kind.units), figure.value
        if kind is SHARES and random.random() < 0.4:
            unit, found = "percentage points" if figure.source.startswith("compare:") else "%", found * 100
        is_short = figure.path[0] == "metrics" and not figure.path[1].isdigit() and random.random() < 0.5
        claim = {
            "id": name,
            "source": figure.source,
            "metric": ".".join(figure.path[is_short:]),
            "value": written(found, random),
            "unit": unit,
        }
        if (dimension := dimension_of(figure, self._dimensions)) and random.random() < 0.3:
            claim["dimension"] = dimension
        if (ways := ways_of(figure)) and random.random() < 0.6:
            claim["direction"] = random.choice(ways)
        return claim

    def _target(
        self, draft: Draft, random: Random, fits: Callable[[Figure], bool] = lambda figure: True
    ) -> tuple[dict[str, Any], Figure]:
        """A claim of the draft to be spoiled, and the figure that it is about."""
        pairs = [(claim, self._figure(claim)) for lesson in draft["lessons"] for claim in lesson["claims"]]
        if not (fitting := [pair for pair in pairs if fits(pair[1])]):
            raise NotThisOne
        return random.choice(fitting)

    def _figure(self, claim: Mapping[str, Any]) -> Figure:
        path = tuple(claim["metric"].split("."))
        found = self._by_place.get((claim["source"], path)) or self._by_place.get((claim["source"], ("metrics", *path)))
        assert found is not None
        return found

    def _put(self, claim: dict[str, Any], old: Figure, others: Sequence[Figure], random: Random) -> None:
        """Let the claim point to another figure, for which its value does not hold."""
        if not others:
            raise NotThisOne
        new = random.choice(others)
        claim["source"] = new.source
        if new.path != old.path:
            claim["metric"] = ".".join(new.path)
        self._needs_false(claim, new)

    def _needs_false(self, claim: Mapping[str, Any], figure: Figure) -> None:
        factor = 100 if claim["unit"] in ("%", "percentage points") else 1
        if holds(figure.value * factor, claim["value"]):
            raise NotThisOne

    def _elsewhere(self, figure: Figure) -> list[Figure]:
        """The figures at the same place in other sources of the same kind."""
        kind = figure.source.partition(":")[0]
        return [
            other
            for other in self._kinds_of_source[kind]
            if other.path == figure.path and other.source != figure.source
        ]

    def _errors(self, trace: str) -> dict[str, float]:
        return next(dict(failure["abs_error_by_dim"]) for failure in self._failures if failure["trace_id"] == trace)

    def _erring(self, failure: Mapping[str, Any], random: Random) -> str:
        errors = failure["abs_error_by_dim"]
        mean = sum(errors.values()) / len(errors)
        return random.choice([name for name, error in errors.items() if error > mean] or [max(errors, key=errors.get)])


PLANTED: dict[str, Callable[[Author, Draft, Random], None]] = {
    "value": Author.value,
    "unit": Author.unit,
    "metric": Author.metric,
    "direction": Author.direction,
    "dimension": Author.dimension,
    "source": Author.source,
    "trace": Author.trace,
}
