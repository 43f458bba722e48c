"""Compare candidates with the champion on the diagnose rows: paired by row, and corrected for their being several."""

from collections.abc import Sequence

from servers.core.dataset import Card
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.metrics import error_matrix
from servers.core.near_copies import groups
from servers.core.several import Corrected, compare_family, compare_many
from servers.core.statistics import Comparison
from servers.core.task import Task
from servers.core.wire import Wire

NOTE = (
    "diagnose rows chose the remedy, so this proves nothing; gate_candidate does. Differences are candidate minus "
    "champion, negative is better. Corrected: for all candidates here, in by_dimension for all dimensions as well"
)


class DimensionComparison(Wire):
    """One dimension, in short."""

    difference: float
    standard_error: float
    p: float
    """One-sided, in the direction of the difference."""
    corrected_p: float
    """Family-wise over all candidates and dimensions."""


class ComparedCandidate(Wire):
    evaluation_id: str
    model: str
    overall: Comparison
    """Of vector_mae, as if it were the only candidate."""
    corrected_p_better: float
    """Family-wise over the candidates."""
    corrected_p_worse: float
    by_dimension: dict[str, DimensionComparison]


class ModelComparison(Wire):
    champion: str
    level: float
    """One-sided, for the candidates together."""
    candidates: list[ComparedCandidate]
    """Lowest error first."""
    best: str | None
    """Model id of the lowest error among those shown better than the champion; null where none is."""
    indistinguishable: list[str]
    """Models not shown worse than the best one, or, where there is none, not told from the champion."""
    note: str


def one_champion(evaluations: EvaluationStore, champion: str, candidates: Sequence[str]) -> list[Evaluation]:
    """The champion's evaluation and then the candidates', of the same rows.

    Raises:
        ValueError: one stands twice, is unknown, or was measured on other rows.
    """
    ids = [champion, *candidates]
    if twice := next((evaluation_id for evaluation_id in ids if ids.count(evaluation_id) > 1), None):
        raise ValueError(f"evaluation {twice!r} stands twice; give the champion's once and each candidate's once")
    found = [evaluations.get(evaluation_id) for evaluation_id in ids]
    for evaluation in found[1:]:
        if evaluation.diagnose_fingerprint != found[0].diagnose_fingerprint:
            raise ValueError(
                f"{evaluation.evaluation_id!r} and {champion!r} were measured on different rows; "
                "evaluate both in one cycle"
            )
    return found


def compare_evaluations(
    evaluations: EvaluationStore, task: Task, card: Card, champion: Evaluation, candidates: Sequence[Evaluation]
) -> ModelComparison:
    """Compare evaluations of the same rows.

    Args:
        evaluations: Where their rows lie.
        task: Their task.
        card: Their dataset's, for the similarity from which texts are near-copies.
        champion: What the candidates are compared with.
        candidates: At least one.

    Raises:
        ValueError: an evaluation is invalid, or the rows are too few to tell anything.
    """
    rows = evaluations.rows(champion.evaluation_id)
    clusters = groups([row.text for row in rows], card.near_copy_threshold, max_share=1.0).labels
    theirs = error_matrix(rows, task)
    ours = {one.evaluation_id: error_matrix(evaluations.rows(one.evaluation_id), task) for one in candidates}
    ranking = compare_many({key: errors.mean(axis=1) for key, errors in ours.items()}, theirs.mean(axis=1), clusters)
    by_dimension = compare_family(
        {
            (key, name): (errors[:, k], theirs[:, k])
            for key, errors in ours.items()
            for k, name in enumerate(task.names)
        },
        clusters,
    )
    models = {one.evaluation_id: one.model for one in candidates}
    ordered = sorted(models, key=lambda key: ranking.candidates[key].comparison.difference)
    return ModelComparison(
        champion=champion.model,
        level=ranking.candidates[ordered[0]].comparison.level,
        candidates=[
            ComparedCandidate(
                evaluation_id=key,
                model=models[key],
                overall=ranking.candidates[key].comparison,
                corrected_p_better=ranking.candidates[key].p_better,
                corrected_p_worse=ranking.candidates[key].p_worse,
                by_dimension={name: _in_short(by_dimension[key, name]) for name in task.names},
            )
            for key in ordered
        ],
        best=None if ranking.best is None else models[ranking.best],
        indistinguishable=[models[key] for key in ranking.indistinguishable],
        note=NOTE,
    )


def _in_short(one: Corrected) -> DimensionComparison:
    """Four digits of each figure: thirty candidates with six dimensions are many figures."""
    alone, gained = one.comparison, one.comparison.difference < 0
    figures = {
        "difference": alone.difference,
        "standard_error": alone.standard_error,
        "p": alone.p_better if gained else alone.p_worse,
        "corrected_p": one.p_better if gained else one.p_worse,
    }
    return DimensionComparison(**{name: float(f"{value:.4g}") for name, value in figures.items()})
