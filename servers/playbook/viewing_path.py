"""The parts of a report that look back: the dataset's cycles, what each model learned from, and where all came from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from servers.core.cycle_files import Opening, document_so_far
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import read_jsonl
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.job_files import METRICS, TrainResult
from servers.core.models import trained_model, trained_models
from servers.core.registry import Registry
from servers.core.workspace import Workspace
from servers.playbook.cycles import all_cycles
from servers.playbook.facts import Facts
from servers.playbook.report.view_base import CycleShown, Estimate
from servers.playbook.report.view_results import CurvePoint, CurveShown, LossPoint, VersionShown
from servers.playbook.report.view_work import EdgeShown, LineageShown, NodeShown
from servers.playbook.rounding import rounded

ID_CHARS = 6  # of a digest: enough to tell a handful apart


class Path:
    """Every cycle of an artifacts folder, as reports and the site show them.

    Args:
        workspace: The artifacts folder.
        about_to_be: Summary of the cycle that is about to be closed, if one is.
    """

    def __init__(self, workspace: Workspace, about_to_be: Mapping[str, Any] | None = None) -> None:
        self._workspace = workspace
        self._evaluations = {(e.cycle, e.model): e for e in EvaluationStore(workspace).all()}  # the newest of a cycle
        self._opened = all_cycles(workspace)
        self._summaries = {opened.cycle: self._summary(opened.cycle, about_to_be) for opened in self._opened}

    def cycles(self) -> list[CycleShown]:
        """All cycles, oldest first."""
        return [self._shown(opened) for opened in self._opened]

    def versions(self, dataset: str) -> list[VersionShown]:
        """The candidates of a dataset's cycles, each as it was measured in its own cycle."""
        found = []
        for cycle, made in self._candidates(dataset):
            evaluation = self._evaluations.get((cycle.cycle, made.model_id))
            error = None if evaluation is None else estimate(evaluation, "vector_mae")
            if error is not None:
                promoted = cycle.champion_after == made.model_id
                found.append(
                    VersionShown(
                        model=made.model_id,
                        cycle=cycle.cycle,
                        train_rows=made.train_rows,
                        error=error,
                        promoted=promoted,
                    )
                )
        return found

    def lineage(self, dataset: str) -> LineageShown | None:
        """How a dataset's versions and models came from one another; None where there is no such dataset."""
        cards = {card.fingerprint: card for card in DatasetStore(self._workspace).versions(dataset)}
        cycles = [cycle for cycle in self.cycles() if cycle.dataset == dataset]
        if not cards or not cycles:
            return None
        candidates = self._candidates(dataset)
        used = {made.dataset_version for _, made in candidates} | {o.dataset_version for o in self._of(dataset)}
        used |= {DatasetStore(self._workspace).head(dataset).fingerprint}
        shown = _with_ancestors(used, cards)
        nodes = [self._data_node(card, cycles, dataset) for key, card in cards.items() if key in shown]
        edges = [
            EdgeShown(start=card.parent, end=key, kind="grew")
            for key, card in cards.items()
            if key in shown and card.parent in shown
        ]
        champion = Registry(self._workspace).champion(dataset)
        before = None
        for cycle, made in candidates:
            promoted = cycle.champion_after == made.model_id
            nodes.append(self._model_node(cycle, made, promoted, champion))
            if made.dataset_version in shown:
                edges.append(EdgeShown(start=made.dataset_version, end=made.model_id, kind="trained"))
            if promoted:
                if before is not None:
                    edges.append(EdgeShown(start=before, end=made.model_id, kind="followed"))
                before = made.model_id
        columns = [cycle.cycle for cycle in cycles if any(node.column == cycle.cycle for node in nodes)]
        return LineageShown(columns=columns, nodes=nodes, edges=edges)

    def _summary(self, cycle: str, about_to_be: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if about_to_be is not None and about_to_be["cycle"] == cycle:
            return about_to_be
        return document_so_far(self._workspace, cycle, "summary.json")

    def _of(self, dataset: str) -> list[Opening]:
        return [opened for opened in self._opened if opened.dataset == dataset]

    def _candidates(self, dataset: str) -> list[tuple[CycleShown, TrainResult]]:
        """What each cycle of a dataset put forward; a cycle without a candidate has none."""
        made = {found.model_id: found for found in trained_models(self._workspace, dataset)}
        cycles = [cycle for cycle in self.cycles() if cycle.dataset == dataset]
        return [(cycle, made[cycle.candidate]) for cycle in cycles if cycle.candidate in made]

    def _shown(self, opened: Opening) -> CycleShown:
        summary = self._summaries[opened.cycle]
        if summary is None:
            now = self._error(opened.cycle, opened.champion)
            constant = self._error(opened.cycle, "constant")
            return CycleShown(cycle=opened.cycle, dataset=opened.dataset, served=now, constant=constant)
        gate, diagnose = summary["gate"] or {}, summary["diagnose"]
        return CycleShown(
            cycle=opened.cycle,
            dataset=opened.dataset,
            verdict=summary["verdict"],
            reason=summary["reason"],
            champion_before=summary["champion_before"],
            champion_after=summary["champion_after"],
            candidate=summary["candidate"],
            focus=summary["focus_dimensions"],
            new_rows=summary["rows_added"],
            level=gate.get("level"),
            difference=gate.get("difference"),
            ci=gate.get("ci"),
            mae_before=(diagnose["champion"] or {}).get("vector_mae"),
            mae_after=(diagnose["candidate"] or {}).get("vector_mae"),
            served=self._error(opened.cycle, summary["champion_after"]),
            tried=self._error(opened.cycle, summary["candidate"]),
            constant=self._error(opened.cycle, "constant"),
        )

    def _error(self, cycle: str, model: str | None) -> Estimate | None:
        found = None if model is None else self._evaluations.get((cycle, model))
        return None if found is None else estimate(found, "vector_mae")

    def _data_node(self, card: Card, cycles: Sequence[CycleShown], dataset: str) -> NodeShown:
        named = {cycle.cycle for cycle in cycles}
        column = card.recipe.get("cycle")
        if column not in named:  # imported, or sealed anew: it belongs to the first cycle that could work on it
            later = [opened.cycle for opened in self._of(dataset) if opened.opened_at >= card.created_at]
            column = later[0] if later else cycles[-1].cycle
        added = card.recipe.get("added")
        return NodeShown(
            id=card.fingerprint,
            kind="data",
            column=column,
            label=f"{card.rows.train:,} rows",
            words=f"version {card.fingerprint}" + (f", {added} rows added" if added else ""),
            now=card.fingerprint == DatasetStore(self._workspace).head(dataset).fingerprint,
        )

    def _model_node(self, cycle: CycleShown, made: TrainResult, promoted: bool, champion: str | None) -> NodeShown:
        error = "" if cycle.tried is None else f"error {_brief(cycle.tried)} on diagnose"
        return NodeShown(
            id=made.model_id,
            kind="model" if promoted else "refused",
            column=cycle.cycle,
            label=made.model_id.rpartition("-")[2][:ID_CHARS]
            + ("" if cycle.tried is None else f": {_brief(cycle.tried)}"),
            words=", ".join(filter(None, [made.model_id, f"{made.train_rows:,} train rows", error])),
            now=made.model_id == champion,
        )


def _brief(found: Estimate) -> float:
    return rounded(found.value)


def estimate(evaluation: Evaluation, metric: str) -> Estimate | None:
    """A figure of an evaluation with its interval; None where it was not measured."""
    value = evaluation.metrics.get(metric)
    if value is None:
        return None
    return Estimate(value=value, se=evaluation.standard_errors.get(metric), ci=evaluation.intervals.get(metric))


def curve_shown(workspace: Workspace, facts: Facts) -> CurveShown | None:
    """The newest training with ever more of its rows; None where it kept no such record."""
    model, lines = _training_record(workspace, facts)
    points = [
        CurvePoint(
            train_rows=int(line["data/train_rows"]),
            diagnose=line["iter_eval/mae_raw"],
            left_out=line.get("left_out/mae_raw"),
        )
        for line in lines
        if line.get("data/train_rows") and line.get("iter_eval/mae_raw") is not None
    ]
    return CurveShown(model=model, points=points) if len(points) > 1 else None


def loss_shown(workspace: Workspace, facts: Facts) -> list[LossPoint]:
    """The loss of the newest training by step of its optimizer."""
    _, lines = _training_record(workspace, facts)
    return [LossPoint(step=int(line["_step"]), loss=line["train/loss"]) for line in lines if _has_loss(line)]


def _has_loss(line: Mapping[str, Any]) -> bool:
    return line.get("train/loss") is not None and line.get("_step") is not None


def _training_record(workspace: Workspace, facts: Facts) -> tuple[str, list[dict[str, Any]]]:
    """The lines that the candidate's training logged, or the champion's where there is no candidate."""
    model = facts.candidate.model if facts.candidate else facts.opening.champion
    try:
        made = trained_model(workspace, model)
    except ValueError:  # an arm that was never trained, or whose files are gone
        return model, []
    return model, list(read_jsonl(workspace.job_dir(made.job_id) / METRICS))


def _with_ancestors(versions: set[str], cards: Mapping[str, Card]) -> set[str]:
    return {key for version in versions for key in _line_of(version, cards)}


def _line_of(version: str | None, cards: Mapping[str, Card]) -> Iterator[str]:
    while version is not None and version in cards:
        yield version
        version = cards[version].parent
