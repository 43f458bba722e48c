"""The recipe of a training: the champion's, and what is changed about it, few at a time and each with its reason."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from servers.core.families import Family
from servers.core.models import trained_model
from servers.core.quotes import Quote
from servers.core.wire import Wire
from servers.core.workspace import Workspace

Recipe = TypeVar("Recipe", bound=Wire)

PLAN_FILE = "hparam_patch.json"
MAX_CHANGES = 3  # more at once, and nobody can say what an effect came from


class HparamChange(Wire):
    """One hyperparameter set anew."""

    name: str
    value: float
    reason: Annotated[str, Field(max_length=500)]


class HparamPatch(Wire):
    """The values that change, by name."""

    before: dict[str, Any] = Field(alias="from", serialization_alias="from")
    after: dict[str, Any] = Field(alias="to", serialization_alias="to")


class RetrainPlan(Wire):
    """`hparam_patch.json`: what the next training does, and why."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    plan_id: str
    cycle: str
    dataset: str
    dataset_version: str
    model_family: str
    from_model: str
    """The champion, whose recipe is what the changes start from."""
    hparam_patch: HparamPatch
    next_hparams: dict[str, Any]
    """The whole recipe."""
    changes: list[HparamChange]
    cost_usd: float
    """What is expected; the quote has the rest."""
    seconds_estimate: float
    quote: Quote | None = None
    """Null for a campaign's: its own has one for all arms."""
    task_digest: str
    """Of the task that it was planned for: with another one it cannot be carried out."""
    planned_at: str
    outdated: str | None = None
    """Why it cannot be started any more; null while nobody has found out that it cannot."""


def champions_recipe(workspace: Workspace, model: str, family: Family) -> tuple[Wire, str | None]:
    """A champion's recipe and the version it was trained on.

    One that was never trained, or is of another family, has the family's defaults and None.
    """
    if not family.owns(model):
        return family.recipe(), None
    made = trained_model(workspace, model)
    return family.recipe(made.hparams), made.dataset_version


def changed(before: Recipe, changes: Sequence[HparamChange]) -> Recipe:
    """The recipe after the changes.

    Raises:
        ValueError: a change is unknown, out of range, changes nothing, has no reason, stands twice or is one too many.
    """
    known = type(before)
    if len(changes) > MAX_CHANGES:
        raise ValueError(f"{len(changes)} changes at once; make at most {MAX_CHANGES}, so that an effect has a cause")
    if len({change.name for change in changes}) != len(changes):
        raise ValueError("a hyperparameter is changed twice; give each once")
    for change in changes:
        if change.name not in known.model_fields:
            raise ValueError(f"no hyperparameter {change.name!r}; known: {_ranges(known)}")
        if not change.reason.strip():
            raise ValueError(f"the change of {change.name!r} has no reason; say what it is for")
        if getattr(before, change.name) == change.value:
            raise ValueError(
                f"{change.name!r} is {change.value:g} already; leave it out, or change it: {_ranges(known)}"
            )
    try:
        return known.model_validate(before.model_dump() | {c.name: c.value for c in changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{name}: " for name in first["loc"])
        raise ValueError(f"{where}{first['msg'].removeprefix('Value error, ')}; known: {_ranges(known)}") from error


def patch(before: Wire, after: Wire) -> HparamPatch:
    """What differs between two recipes of one family."""
    old, new = before.model_dump(), after.model_dump()
    names = [name for name in new if new[name] != old[name]]
    # By alias: `from` is no name in Python.
    return HparamPatch.model_validate({"from": {n: old[n] for n in names}, "to": {n: new[n] for n in names}})


def _ranges(recipe: type[Wire]) -> str:
    """Every hyperparameter with the values it takes."""
    limits = recipe.model_json_schema()["properties"]
    return ", ".join(f"{name} {one['minimum']:g} to {one['maximum']:g}" for name, one in limits.items())
