"""The families of models that can be trained: what each one's recipe is, without loading what trains it.

A model id begins with its family: `student-0123456789ab`. A champion of another family has no recipe to start from, so
the next training starts from its own family's defaults.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from servers.core.backends import Backends
from servers.core.wire import Wire


@dataclass(frozen=True)
class Family:
    """One family.

    Args:
        name: As in `services.family`, and in front of its model ids.
        hparams: Gives the type of its recipes; loads it when called.
        passes: Name of the hyperparameter that says how often a training goes over its rows; None where it does once.
    """

    name: str
    hparams: Callable[[], type[Wire]]
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


FAMILIES = {family.name: family for family in (Family("student", _student), Family("lora", _lora, passes="epochs"))}


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
