"""The families of models that can be trained: what each one's recipe is, without loading what trains it.

A model id begins with its family: `student-0123456789ab`. A champion of another family has no recipe to start from, so
the next training starts from its own family's defaults.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from servers.core.backends import Backends
from servers.core.cycle_files import Opening
from servers.core.services import Services
from servers.core.wire import Wire


@dataclass(frozen=True)
class Family:
    """One family.

    Args:
        name: As in `services.family`, and in front of its model ids.
        hparams: Gives the type of its recipes; loads it when called.
        is_random: Whether the same rows and recipe make another model with another seed.
        passes: Name of the hyperparameter that says how often a training goes over its rows; None where it does once.
    """

    name: str
    hparams: Callable[[], type[Wire]]
    is_random: bool
    passes: str | None = None

    def recipe(self, values: dict[str, Any] | None = None) -> Wire:
        """A recipe; the defaults where no values are given.

        Raises:
            ValidationError: a value is unknown or out of range.
        """
        return self.hparams().model_validate(values or {})

    def model_id(self, number: str) -> str:
        """The id of the model that the job of this number makes."""
        return f"{self.name}-{number}"

    def owns(self, model: str) -> bool:
        """Whether a model is of this family."""
        return model.startswith(f"{self.name}-")

    def passes_over_rows(self, recipe: dict[str, Any]) -> int:
        """How often a training goes over its rows."""
        return 1 if self.passes is None else int(recipe[self.passes])


def _student() -> type[Wire]:
    from servers.core.student import StudentHparams  # linear algebra takes a while to load

    return StudentHparams


def _lora() -> type[Wire]:
    from servers.core.lora import LoraHparams

    return LoraHparams


FAMILIES = {
    family.name: family
    for family in (
        Family("student", _student, is_random=False),
        Family("lora", _lora, is_random=True, passes="epochs"),
    )
}


def family_named(name: str) -> Family:
    """A family by its name.

    Raises:
        ValueError: there is none.
    """
    if name not in FAMILIES:
        raise ValueError(f"no family {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def family_of_model(model: str) -> Family:
    """The family of a trained model.

    Raises:
        ValueError: it is of none.
    """
    return family_named(model.rpartition("-")[0])


def family_worked_with(backends: Backends) -> Family:
    """What a cycle trains, by what was noted at its opening."""
    return FAMILIES["student" if backends.is_embedded("model") else "lora"]


def worked_with(opened: Opening, services: Services) -> Family:
    """What a cycle trains.

    Raises:
        ValueError: the configuration trains something else by now, or elsewhere.
    """
    family, base = family_worked_with(opened.backends), services.settings.model.base
    is_same = services.family == family.name and (family.name == "student" or base == opened.backends.model)
    if not is_same or services.jobs != opened.backends.jobs:
        configured = f"{base if services.family == 'lora' else 'student'} on {services.jobs}"
        raise ValueError(
            f"{opened.cycle} trains {opened.backends.model} on {opened.backends.jobs}, and {configured} is configured; "
            "set [model] and [jobs] back, or close the cycle with write_report and a stop_reason"
        )
    return family
