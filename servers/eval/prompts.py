"""The prompt of the eval server: explain where a model fails. Its words lie in `servers/prompts/`."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from servers.core.cycle_files import opening
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.registry import Registry
from servers.core.task import Task
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.prompts.words import Said, beside, words
from servers.room import Room
from servers.shelf import JSON, as_json
from servers.wording import quoted

SHOWN_ROWS = 8  # that go along with the words; the model asks for more itself
BASELINES = frozenset({"constant", "rule", "student", "prompt", "teacher"})


def offer_prompts(room: Room, workspace: Workspace, task: Task, list_failures: Callable[..., Any]) -> None:
    """Add it to the eval server's room.

    Args:
        room: Of the eval server.
        workspace: The artifacts folder.
        task: What is measured.
        list_failures: The tool of this name: evaluation id, dimension, limit.
    """
    evaluations = EvaluationStore(workspace)

    def cycles(_: Mapping[str, str]) -> list[str]:
        return list(dict.fromkeys(found.cycle for found in reversed(evaluations.all())))

    def ids(others: Mapping[str, str]) -> list[str]:
        wanted = others.get("cycle")
        return [found.evaluation_id for found in reversed(evaluations.all()) if wanted in (None, "", found.cycle)]

    def meant(cycle: str | None, evaluation_id: str | None) -> Evaluation:
        """The evaluation that is meant: of a cycle its candidate's, before there is one its champion's."""
        if evaluation_id is not None:
            found = evaluations.get(evaluation_id)
            if cycle not in (None, found.cycle):
                raise ValueError(f"{evaluation_id} was made in {found.cycle}, not in {cycle}; give one of the two")
            return found
        every = evaluations.all()
        if cycle is not None:
            opening(workspace, cycle)
            every = [found for found in every if found.cycle == cycle]
        if not every:
            where = "here" if cycle is None else f"in {cycle}"
            raise ValueError(f"nothing was measured {where} yet; get_cycle says how to begin, evaluate_model measures")
        newest = [found for found in every if found.cycle == every[-1].cycle]
        return ([found for found in newest if found.model not in BASELINES] or newest)[-1]

    @room.prompt("Explain failures", cycle=cycles, evaluation_id=ids, dimension=lambda _: list(task.names))
    def explain_failures(
        cycle: Annotated[str | None, Field(description="cycle; the newest that was measured if left out")] = None,
        evaluation_id: Annotated[
            str | None, Field(description="evaluation; the cycle's candidate's if left out")
        ] = None,
        dimension: Annotated[str | None, Field(description="look at the errors on this dimension")] = None,
    ) -> Said:
        """Find out what the worst rows of a model have in common, and what might help."""
        found = meant(cycle, evaluation_id)
        failures = list_failures(found.evaluation_id, dimension, SHOWN_ROWS)
        error = found.metrics.get("vector_mae" if dimension is None else f"mae_raw_{dimension}")
        serves = Registry(workspace).champion(found.dataset)
        text = words(
            "explain_failures",
            model=cleaned(found.model),
            cycle=found.cycle,
            evaluation_id=found.evaluation_id,
            of_dimension="" if dimension is None else f"; look at {dimension}",
            title=quoted(task.title),
            standing=(
                f"Where things stand now: over all {found.n} rows the mean absolute error"
                f"{f' on {dimension}' if dimension else ''} is {'not measured' if error is None else f'{error:.2f}'} "
                f"points, and {found.n_invalid} answers were invalid. In service on {found.dataset} is "
                f"{serves or 'nothing yet'}."
            ),
            shown=len(failures.failures),
            total=failures.total,
        )
        return [text, beside(f"etude://evaluations/{found.evaluation_id}", JSON, as_json(failures))]
