"""The parts of a report that are seen row by row on the diagnose split: predictions, differences, where it errs."""

from collections.abc import Mapping, Sequence

import numpy as np

from servers.core.dataset import DatasetStore
from servers.core.evaluations import Evaluation, EvaluationStore, ScoredRow
from servers.core.metrics import error_matrix
from servers.core.near_copies import groups
from servers.core.statistics import Floats, Labels, compare
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook.facts import Facts
from servers.playbook.report.view_base import Estimate, Role
from servers.playbook.report.view_results import DifferenceShown, Pairs, PredictionsShown, SliceShown

LENGTH_BINS, FEWEST_IN_A_BIN = 5, 8
MOST_SOURCES = 12


class DiagnoseRows:
    """What the candidate and whatever was in service answered on the diagnose rows.

    Args:
        workspace: The artifacts folder.
        task: What the numbers are.
        facts: The cycle.
    """

    def __init__(self, workspace: Workspace, task: Task, facts: Facts) -> None:
        self._workspace, self._task, self._facts = workspace, task, facts
        store = EvaluationStore(workspace)
        before: Role = "constant" if facts.opening.champion == "constant" else "champion"
        measured: dict[Role, Evaluation | None] = {before: facts.champion, "candidate": facts.candidate}
        self._before, self._measured = before, {role: found for role, found in measured.items() if found is not None}
        self._by_role = {role: store.rows(found.evaluation_id) for role, found in self._measured.items()}
        self._errors = {role: error_matrix(rows, task) for role, rows in self._by_role.items()}

    @property
    def _role(self) -> Role | None:
        """Whose predictions are shown: the candidate's, or the champion's where there is no candidate."""
        roles: tuple[Role, ...] = ("candidate", self._before)
        return next((role for role in roles if role in self._by_role), None)

    @property
    def _clusters(self) -> Labels:
        """Near-copy group of each row; one row of a group tells as much as all of it."""
        texts = [row.text for row in next(iter(self._by_role.values()))]
        return groups(texts, self._facts.card.near_copy_threshold, max_share=1.0).labels

    def after(self) -> Mapping[str, dict[str, float]]:
        """The candidate's valid answers by the text's example."""
        rows = self._by_role.get("candidate", [])
        return {row.example_id: row.predicted_vector for row in rows if row.predicted_vector is not None}

    def examples(self) -> Mapping[str, str]:
        """Example of each trace of whatever was in service."""
        return {row.trace_id: row.example_id for row in self._by_role.get(self._before, [])}

    def predictions(self) -> PredictionsShown | None:
        """Truth and answer of each row that was answered validly."""
        if self._role is None:
            return None
        valid = _valid(self._by_role[self._role])
        return PredictionsShown(
            role=self._role,
            model=self._measured[self._role].model,
            by_dimension={
                name: Pairs(true=[true[name] for true, _ in valid], predicted=[found[name] for _, found in valid])
                for name in self._task.names
            },
        )

    def biases(self) -> dict[str, Estimate]:
        """By dimension, mean of answer minus target with its interval."""
        valid = _valid(self._by_role[self._role]) if self._role else []
        if len(valid) < 2:
            return {}
        return {name: _mean(np.array([found[name] - true[name] for true, found in valid])) for name in self._task.names}

    def differences(self) -> list[DifferenceShown]:
        """The candidate's error minus the champion's, paired by row: all together, then by dimension."""
        ours, theirs = self._errors.get("candidate"), self._errors.get(self._before)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            return []
        clusters = self._clusters
        if len(np.unique(clusters)) < 2:
            return []
        columns = [("vector_mae", ours.mean(axis=1), theirs.mean(axis=1))]
        columns += [(name, ours[:, k], theirs[:, k]) for k, name in enumerate(self._task.names)]
        found = [(name, compare(new, old, clusters)) for name, new, old in columns]
        return [DifferenceShown(name=name, difference=one.difference, ci=one.ci) for name, one in found]

    def by_length(self) -> list[SliceShown]:
        """Errors by the number of words in the text, in parts of about equal size."""
        if self._role is None:
            return []
        words = np.array([len(row.text.split()) for row in self._by_role[self._role]])
        parts = max(1, min(LENGTH_BINS, len(words) // FEWEST_IN_A_BIN))
        edges = np.unique(np.quantile(words, np.linspace(0, 1, parts + 1)[1:-1], method="nearest"))
        part = np.searchsorted(edges, words)  # an edge belongs to the part below it
        found = []
        for k in np.unique(part):
            inside = part == k
            low, high = int(words[inside].min()), int(words[inside].max())
            found.append(self._slice(f"{low} words" if low == high else f"{low} to {high} words", inside))
        return found

    def by_source(self) -> list[SliceShown]:
        """Errors by where the rows came from, the largest source first."""
        if self._role is None:
            return []
        opening = self._facts.opening
        sources = {
            e.id: e.source for e in DatasetStore(self._workspace).diagnose(opening.dataset, opening.dataset_version)
        }
        of_row = np.array([sources.get(row.example_id, "unknown") for row in self._by_role[self._role]])
        names, counts = np.unique(of_row, return_counts=True)
        largest = [str(names[k]) for k in np.argsort(-counts, kind="stable")[:MOST_SOURCES]]
        return [self._slice(name, of_row == name) for name in largest]

    def _slice(self, name: str, inside: Labels) -> SliceShown:
        errors = {
            str(role): _mean(found.mean(axis=1)[inside])
            for role, found in self._errors.items()
            if len(found) == len(inside)
        }
        return SliceShown(name=name, n=int(inside.sum()), errors=errors)


def _valid(rows: Sequence[ScoredRow]) -> list[tuple[dict[str, float], dict[str, float]]]:
    return [(row.target_vector, row.predicted_vector) for row in rows if row.predicted_vector is not None]


def _mean(values: Floats) -> Estimate:
    """A mean with its standard error; one value has none."""
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(value=float(values.mean()), se=error)
