"""A campaign's runs in one table, failures included, and the dimensions in which all of its candidates err most.

`campaign_validation_snapshot.json` and `.csv`: a row for every run on the diagnose rows, baselines and champion first,
and for every candidate that never came to be. `campaign_hard_dims.json`: errors by dimension, over all rows and over
each candidate's hardest. They are for reading; the choice is made from the evaluations themselves.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from servers.core.campaign import Arm, Campaign
from servers.core.cycle_files import document
from servers.core.disk import now, write_json, write_text
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.jobs import JobStore
from servers.core.wire import Wire
from servers.core.workspace import Workspace

SNAPSHOT, HARD_DIMS = "campaign_validation_snapshot", "campaign_hard_dims.json"
HARD_CASES = 80  # of a run, as the first project kept them
MAX_FOCUS = 2
DIGITS = 6

Figures = dict[str, float | None]


class _Run(Wire):
    """One line of the table; a failed run has no figures."""

    run_id: str
    run_name: str
    group: str
    state: Literal["finished", "failed"]
    url: str | None
    created_at: str
    arm: str
    """Way and seed of a candidate; else which arm answered, such as 'constant'."""
    error: str | None
    figures: Figures
    """mae_raw, mse_raw, and mae_raw_<dim> for every dimension."""

    @property
    def line(self) -> dict[str, object]:
        return {**self.model_dump(exclude={"figures"}), **self.figures}


def write_campaign_snapshot(workspace: Workspace, campaign: Campaign) -> None:
    """Write the three files into the cycle's folder; the same again changes nothing but the time.

    Raises:
        ValueError: an evaluation is invalid, or the cycle was not diagnosed.
    """
    store = EvaluationStore(workspace)
    of_cycle = {e.model: e for e in store.all() if e.cycle == campaign.cycle}  # the newest of each model
    arms = {arm.model_id: arm for arm in campaign.arms}
    others = [evaluation for model, evaluation in of_cycle.items() if model not in arms]
    candidates = [of_cycle[model] for model in arms if model in of_cycle]
    names = _dimensions([*others, *candidates])
    runs = [
        *(_finished(evaluation, evaluation.arm, names) for evaluation in others),
        *(
            _finished(of_cycle[arm.model_id], arm.arm, names)
            if arm.model_id in of_cycle
            else _failed(workspace, campaign, arm, names)
            for arm in campaign.arms
        ),
    ]
    folder = workspace.cycle_dir(campaign.cycle)
    lines = [run.line for run in runs]
    about = {"schema": 1, "cycle_id": campaign.cycle, "plan_id": campaign.plan_id, "generated_at": now()}
    write_json(folder / f"{SNAPSHOT}.json", about | {"runs": lines})
    write_text(folder / f"{SNAPSHOT}.csv", _csv(lines))
    everywhere = _mean([_by_dimension(evaluation, names) for evaluation in candidates], names)
    hard = _mean([_hardest(store, evaluation, names) for evaluation in candidates], names)
    signals = document(workspace, campaign.cycle, "diagnosis.json", "diagnose_dataset").get("dimensions", {})
    constant = of_cycle.get("constant")
    focus = _focus(hard, {} if constant is None else _by_dimension(constant, names), signals)
    found = {
        "runs": len(candidates),
        "hard_cases_per_run": HARD_CASES,
        "aggregate_dim_mae_raw": everywhere,
        "aggregate_hard_case_dim_mae_raw": hard,
        "recommended_focus_dims": focus,
    }
    write_json(folder / HARD_DIMS, about | found)


def _dimensions(evaluations: Sequence[Evaluation]) -> list[str]:
    prefix = "mae_raw_"
    found = [name.removeprefix(prefix) for e in evaluations for name in e.metrics if name.startswith(prefix)]
    return list(dict.fromkeys(found))


def _by_dimension(evaluation: Evaluation, names: Sequence[str]) -> Figures:
    return {name: evaluation.metrics.get(f"mae_raw_{name}") for name in names}


def _finished(evaluation: Evaluation, arm: str, names: Sequence[str]) -> _Run:
    metrics = evaluation.metrics
    return _Run(
        run_id=evaluation.run_id,
        run_name=f"eval-{evaluation.cycle}-{evaluation.model}",
        group=evaluation.cycle,
        state="finished",
        url=evaluation.run_url,
        created_at=evaluation.created_at,
        arm=arm,
        error=None,
        figures={
            "mae_raw": metrics.get("vector_mae"),
            "mse_raw": metrics.get("mse_raw"),
            **{f"mae_raw_{name}": value for name, value in _by_dimension(evaluation, names).items()},
        },
    )


def _failed(workspace: Workspace, campaign: Campaign, arm: Arm, names: Sequence[str]) -> _Run:
    """A candidate that there is none of: its rows did not survive, or its training failed."""
    jobs = JobStore(workspace)
    job = jobs.status(arm.job_id) if jobs.exists(arm.job_id) else None
    made = campaign.version(arm) is not None
    why = "its training did not begin" if made else "no new row survived"
    return _Run(
        run_id=arm.job_id,
        run_name=f"train-{campaign.cycle}-{arm.model_id}",
        group=campaign.cycle,
        state="failed",
        url=None,
        created_at=campaign.planned_at if job is None else job.started_at,
        arm=arm.arm,
        error=why if job is None else job.error or f"its training {job.state}",
        figures=dict.fromkeys(["mae_raw", "mse_raw", *(f"mae_raw_{name}" for name in names)]),
    )


def _hardest(store: EvaluationStore, evaluation: Evaluation, names: Sequence[str]) -> Figures:
    """Mean error by dimension over a run's hardest rows, points."""
    rows = sorted(store.rows(evaluation.evaluation_id), key=lambda row: row.mae_raw, reverse=True)[:HARD_CASES]
    return {name: sum(row.abs_error_by_dim[name] for row in rows) / len(rows) for name in names}


def _mean(by_run: Sequence[Figures], names: Iterable[str]) -> Figures:
    """Mean over runs, by dimension; None where no run has the figure."""
    found = {name: [value for run in by_run if (value := run[name]) is not None] for name in names}
    return {name: round(sum(values) / len(values), DIGITS) if values else None for name, values in found.items()}


def _focus(hard: Figures, constant: Figures, signals: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The dimensions to aim at next: of those that the texts speak about, the worst against the constant.

    Not those of the largest error: that would choose what nobody can learn.
    """
    ratios = {
        name: error / theirs
        for name, error in hard.items()
        if error is not None and (theirs := constant.get(name)) and signals.get(name, {}).get("signal") != "none"
    }
    return sorted(ratios, key=lambda name: -ratios[name])[:MAX_FOCUS]


def _csv(lines: Sequence[Mapping[str, object]]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return table.getvalue()
