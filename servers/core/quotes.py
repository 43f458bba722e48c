"""What a training will take: hardware, minutes and dollars, with the uncertainty, before anything is started.

A job on this machine costs nothing. One that runs elsewhere costs its flavor's price a minute, as the service lists it,
for as long as it runs, so what it can cost at most is its time limit. Durations come from earlier trainings of the same
family on the same hardware, or are guessed, and the quote says which. What the quote was made for (`Resolved`) is
resolved again when the job is started, and has to be the same.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from servers.core.disk import read_json
from servers.core.families import Family
from servers.core.job_files import RESULT, SPEC, RemoteSpec, TrainResult
from servers.core.services import Services
from servers.core.smoke import has_succeeded, recipe_digest
from servers.core.wire import Wire
from servers.core.workspace import Workspace

HERE = "this machine"
STUDENT_START_S, STUDENT_ROW_S = 3.0, 0.006  # imports, and five fits of a few hundred rows
# Guesses until there is a training to go by. An adapter on 3 billion parameters, seconds a row and pass, evaluations on
# the way included; a new machine fetches its libraries and some 8 GB of weights first.
LORA_ROW_S = {
    "t4-small": 2.5,
    "t4-medium": 2.5,
    "l4x1": 1.2,
    "a10g-small": 0.9,
    "a10g-large": 0.9,
    "l40sx1": 0.5,
    "a100-large": 0.3,
    "h200": 0.2,
}
LORA_START_S = 300.0
UNKNOWN_ROW_S = 3.0  # hardware that nobody has guessed about
HERE_ROW_S, HERE_START_S = 2.0, 60.0  # an adapter on one's own machine: weights are there, the hardware may be anything
GUESS_LOW, GUESS_HIGH, START_HIGH = 0.4, 3.0, 2.0  # times a guess; a start is surer than a rate
KNOWN_LOW, KNOWN_HIGH = 0.8, 1.5  # times the fastest and the slowest training known
SMOKE_S, SMOKE_TIMEOUT_S = 420.0, 1200
LEAST_TIMEOUT_S = 900
CENT = 100


class Resolved(Wire):
    """What a training elsewhere was quoted for. Anything else needs another quote."""

    namespace: str
    flavor: str
    image: str
    base: str | None
    base_revision: str | None
    dataset_version: str
    usd_per_minute: float
    recipe: str
    """Digest of family, base, image, code and flavor: what a smoke run tries out."""


class Quote(Wire):
    """What a training will take, or all trainings of a campaign."""

    hardware: str
    minutes_low: float
    minutes: float
    """What is expected, the smoke run included."""
    minutes_high: float
    seconds: float
    """The expected minutes, for what takes few."""
    usd_low: float
    usd: float
    usd_high: float
    approve_usd: float
    """The most that it can cost: every job running into its time limit. Reserved, and what a person approves."""
    timeout_s: int
    """Of each training."""
    smoke_run: bool
    """Whether a small run of the recipe comes first, which is in the quote."""
    basis: str
    """Where the durations come from."""
    resolved: Resolved | None = None
    """Null for a training on this machine."""


@dataclass(frozen=True)
class _Rate:
    """Seconds a row and pass, and how far the time until the first row may be off."""

    low: float
    expected: float
    high: float
    less: float
    """Times the time until the first row."""
    more: float
    basis: str


class Quotes:
    """Quotes trainings of one artifacts folder.

    Args:
        workspace: The artifacts folder.
        services: Where trainings run.
        family: What is trained.
    """

    def __init__(self, workspace: Workspace, services: Services, family: Family) -> None:
        self._workspace, self._services, self._family = workspace, services, family

    def quote(self, dataset: str, dataset_version: str, trainings: Sequence[tuple[int, dict[str, Any]]]) -> Quote:
        """What trainings take, one after the other.

        Args:
            dataset: Whose rows are trained on.
            dataset_version: Of the rows.
            trainings: Of each, how many rows, and the recipe.

        Raises:
            ValueError: the service cannot be asked, or does not say what the hardware costs.
        """
        resolved = self.resolved(dataset_version)
        rate = self._rate(dataset)
        start_s = self._start_s()
        work = [rows * self._family.passes_over_rows(recipe) for rows, recipe in trainings]
        low, expected, high = (
            [start_s * factor + seconds * units for units in work]
            for factor, seconds in ((rate.less, rate.low), (1.0, rate.expected), (rate.more, rate.high))
        )
        timeout_s = max(LEAST_TIMEOUT_S, 60 * math.ceil(max(high) / 60))
        needs_smoke = resolved is not None and not has_succeeded(self._workspace, resolved.recipe)
        smoke_s = SMOKE_S if needs_smoke else 0.0
        usd_per_minute = 0.0 if resolved is None else resolved.usd_per_minute
        minutes = [round((sum(seconds) + smoke_s) / 60, 2) for seconds in (low, expected, high)]
        most_s = len(work) * timeout_s + (SMOKE_TIMEOUT_S if needs_smoke else 0)
        return Quote(
            hardware=HERE if resolved is None else f"{resolved.flavor} of Hugging Face Jobs",
            minutes_low=minutes[0],
            minutes=minutes[1],
            minutes_high=minutes[2],
            seconds=round(sum(expected) + smoke_s, 1),
            usd_low=_cents(minutes[0] * usd_per_minute),
            usd=_cents(minutes[1] * usd_per_minute),
            usd_high=_cents(minutes[2] * usd_per_minute),
            approve_usd=_cents(most_s / 60 * usd_per_minute),
            timeout_s=timeout_s,
            smoke_run=needs_smoke,
            basis=rate.basis,
            resolved=resolved,
        )

    def resolved(self, dataset_version: str) -> Resolved | None:
        """What the configuration comes to now, asking the service; None for trainings on this machine.

        Raises:
            ValueError: the service cannot be asked, or does not say what the hardware costs.
        """
        if self._services.jobs == "local":
            return None
        from servers.core.hub import hardware_price, resolved_namespace

        settings, (base, base_revision) = self._services.settings.jobs, self.base
        price: float | None = hardware_price(self._services, settings.flavor)
        if price is None or not math.isfinite(price) or price < 0:
            raise ValueError(
                f"nobody knows what {settings.flavor!r} costs, and an unknown cost is not spent; set flavor in [jobs] "
                "to one with a price, or backend to 'local'"
            )
        return Resolved(
            namespace=resolved_namespace(self._services),
            flavor=settings.flavor,
            image=settings.image,
            base=base,
            base_revision=base_revision,
            dataset_version=dataset_version,
            usd_per_minute=price,
            recipe=recipe_digest(self._family.name, base, base_revision, settings.image, settings.flavor),
        )

    @property
    def base(self) -> tuple[str | None, str | None]:
        """What an adapter is trained on, and its revision; None for a family that has no base."""
        model = self._services.settings.model
        return (None, None) if self._family.name == "student" else (model.base, model.base_revision)

    def _start_s(self) -> float:
        if self._services.jobs == "huggingface":
            return LORA_START_S
        return STUDENT_START_S if self._family.name == "student" else HERE_START_S

    def _rate(self, dataset: str) -> _Rate:
        """From what the past trainings on the same hardware took, of this dataset where there are any."""
        flavor = self._services.settings.jobs.flavor if self._services.jobs == "huggingface" else None
        known = list(_past(self._workspace, self._family, flavor))
        if past := [one for name, one in known if name == dataset] or [one for _, one in known]:
            few = "1 earlier training" if len(past) == 1 else f"{len(past)} earlier trainings"
            words = f"{few} on {flavor or HERE}"
            return _Rate(
                KNOWN_LOW * min(past), statistics.median(past), KNOWN_HIGH * max(past), KNOWN_LOW, KNOWN_HIGH, words
            )
        if self._family.name == "student":
            guess = STUDENT_ROW_S
        else:
            guess = HERE_ROW_S if flavor is None else LORA_ROW_S.get(flavor, UNKNOWN_ROW_S)
        words = f"a guess, nothing was trained on {flavor or HERE} yet"
        return _Rate(GUESS_LOW * guess, guess, GUESS_HIGH * guess, GUESS_LOW, START_HIGH, words)


def remote_of(resolved: Resolved, timeout_s: int) -> RemoteSpec:
    """Where a job runs, and for how long at most."""
    return RemoteSpec(
        namespace=resolved.namespace,
        flavor=resolved.flavor,
        image=resolved.image,
        timeout_s=timeout_s,
        usd_per_minute=resolved.usd_per_minute,
    )


def most_usd(remote: RemoteSpec) -> float:
    """What a job can cost at most."""
    return _cents(remote.timeout_s / 60 * remote.usd_per_minute)


def _past(workspace: Workspace, family: Family, flavor: str | None) -> Iterator[tuple[str, float]]:
    """Of each training of the family on this hardware, the dataset and the seconds that a row and pass took."""
    for file in workspace.jobs_root.glob(f"train-*/{RESULT}"):
        made = TrainResult.model_validate(read_json(file))
        spec = read_json(file.with_name(SPEC)) if file.with_name(SPEC).exists() else {}
        trained_on = (spec.get("remote") or {}).get("flavor")
        if made.family == family.name and trained_on == flavor and made.train_rows:
            yield made.dataset, made.seconds / (made.train_rows * family.passes_over_rows(made.hparams))


def _cents(usd: float) -> float:
    """Rounded up: a person approves no less than it can cost."""
    return math.ceil(round(usd * CENT, 6)) / CENT
