"""A cycle as the report shows it, read from disk: the same page whether the cycle has just ended or ended long ago."""

from collections.abc import Mapping
from typing import Any

from servers.core.arms import FINE_TUNED
from servers.core.budget import BudgetState
from servers.core.definitions import definitions_for
from servers.core.disk import digest, now, read_json
from servers.core.evaluations import Evaluation
from servers.core.student import FAMILY
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook import viewing_work as work
from servers.playbook.book import playbook_of
from servers.playbook.conclusion import ROLES, by_role
from servers.playbook.cycles import all_cycles
from servers.playbook.facts import Facts
from servers.playbook.outlook import Plan
from servers.playbook.report.view import BackendShown, DatasetShown, DefinitionShown, PlanShown, ReportView
from servers.playbook.report.view_base import Role
from servers.playbook.report.view_results import ArmShown, CheckShown, GateShown
from servers.playbook.viewing_costs import budget_shown, costs_shown, ledger_shown, times_shown
from servers.playbook.viewing_path import Path, curve_shown, estimate, loss_shown
from servers.playbook.viewing_rows import DiagnoseRows

OTHER_METRICS = (
    "mse_norm",
    "r2_score",
    "json_valid_rate",
    "intent_score_mean",
    "constraint_match_rate",
    "slot_exact_match",
    "output_sanity_score",
    "p50_inference_latency_ms",
    "p95_inference_latency_ms",
    "cost_per_100_requests_usd",
)
DEFINED = ("vector_mae", "mae_raw_<dimension>", *OTHER_METRICS)


def view_of(
    workspace: Workspace,
    task: Task,
    facts: Facts,
    summary: Mapping[str, Any] | None,
    plan: Plan,
    budget: BudgetState | None = None,
) -> ReportView:
    """Everything the page shows.

    Args:
        workspace: The artifacts folder.
        task: What the numbers are.
        facts: The cycle.
        summary: Its summary, also one that is about to be written; None while it is open.
        plan: The planned next cycle.
        budget: Where the budget stands; None where nobody asked.
    """
    playbook = playbook_of(workspace, facts.cycle)
    path, rows = Path(workspace, summary), DiagnoseRows(workspace, task, facts)
    history = path.cycles()
    this = next(cycle for cycle in history if cycle.cycle == facts.cycle)
    return ReportView(
        title=facts.cycle,
        task_title=task.title,
        dimensions=task.dimensions,
        scale=task.scale,
        rules=task.gate,
        dataset=DatasetShown(
            name=facts.card.name,
            version=facts.card.fingerprint,
            train_rows=facts.card.rows.train,
            diagnose_rows=facts.card.rows.diagnose,
            gate_rows=facts.card.rows.gate,
            synthetic=facts.card.synthetic,
        ),
        this=this,
        generated_at=now(),
        wandb_report=None if facts.wandb_report is None else facts.wandb_report["url"],
        history=history,
        backends=_backends(facts),
        warnings=_warnings(facts),
        arms=_arms(task, facts),
        predictions=rows.predictions(),
        differences=rows.differences(),
        by_length=rows.by_length(),
        by_source=rows.by_source(),
        biases=rows.biases(),
        failures=work.failures_shown(facts, rows),
        failures_of=facts.opening.champion if facts.snapshot else None,
        gate=None if facts.gate is None else _gate_shown(facts.gate),
        begin_gate=_begin_gate(workspace, facts),
        diagnosis=work.diagnosis_shown(facts),
        augmentation=work.augmentation_shown(workspace, facts),
        campaign=work.campaign_shown(facts),
        training=work.training_shown(workspace, facts),
        curve=curve_shown(workspace, facts),
        loss=loss_shown(workspace, facts),
        versions=path.versions(facts.opening.dataset),
        lineage=path.lineage(facts.opening.dataset),
        costs=costs_shown(workspace, facts),
        budget=budget_shown(budget),
        times=times_shown(workspace, facts),
        remedies=work.remedies_shown(facts, playbook),
        lessons=work.lessons_shown(playbook),
        next_cycle=[PlanShown(what=what, words=words) for what, words in plan],
        context=work.context_shown(facts),
        ledger=ledger_shown(workspace, facts),
        definitions=_definitions(task),
        provenance=_provenance(task, facts),
    )


def _backends(facts: Facts) -> list[BackendShown]:
    """What did the work, and whether it is embedded."""
    backends = facts.opening.backends
    shown = [
        BackendShown(part=part, label=label, embedded=backends.is_embedded(part))
        for part, label in backends.model_dump(exclude_none=True).items()
    ]
    if facts.snapshot is not None:
        server = facts.snapshot["server"]
        label = f"{server['name']} {server['version']}"
        shown.append(BackendShown(part="W&B MCP", label=label, embedded=server["kind"] == "stand-in"))
    return shown


def _warnings(facts: Facts) -> list[str]:
    notes = []
    if facts.card.synthetic:
        notes.append("the data were written by the embedded demo world; nothing here speaks about real requests")
    candidate = facts.candidate
    if candidate is not None and candidate.n_invalid:
        notes.append(f"{candidate.n_invalid} of {candidate.n} answers of the candidate were not valid")
    if candidate is not None and candidate.metrics.get("p95_inference_latency_ms") is None:
        notes.append("the candidate's latency was not measured")
    student = facts.evaluations.get(FAMILY)
    served = candidate or facts.champion
    if student is not None and served is not None and served.arm == FINE_TUNED and not _is_below(served, student):
        notes.append(
            f"{served.model} is not better on the diagnose rows than a CPU student that learns from the same rows in a "
            f"second: {served.metrics['vector_mae']:.2f} against {student.metrics['vector_mae']:.2f} points"
        )
    if facts.snapshot is not None and facts.snapshot["truncated"]:
        notes.append("the W&B server left traces out of its reply")
    if facts.overtaken:
        notes.append(f"{facts.champion_now or 'nothing'} is in service, put there outside of this cycle")
    return notes


def _is_below(ours: Evaluation, theirs: Evaluation) -> bool:
    first, second = ours.metrics.get("vector_mae"), theirs.metrics.get("vector_mae")
    return first is not None and second is not None and first < second


def _arms(task: Task, facts: Facts) -> list[ArmShown]:
    evaluations = by_role(facts)
    if facts.opening.champion in ("constant", "rule"):
        evaluations["champion"] = None  # it stands under its own name
    return [_arm(task, role, found) for role in ROLES if (found := evaluations[role]) is not None]


def _arm(task: Task, role: Role, evaluation: Evaluation) -> ArmShown:
    overall = estimate(evaluation, "vector_mae")
    assert overall is not None  # an evaluation has rows, and every row has an error
    dimensions = {name: estimate(evaluation, f"mae_raw_{name}") for name in task.names}
    return ArmShown(
        role=role,
        model=evaluation.model,
        n=evaluation.n,
        n_invalid=evaluation.n_invalid,
        vector_mae=overall,
        by_dimension={name: found for name, found in dimensions.items() if found is not None},
        metrics={name: evaluation.metrics.get(name) for name in OTHER_METRICS},
        run=evaluation.evaluation_id,
    )


def _gate_shown(gate: Mapping[str, Any]) -> GateShown:
    checks = [
        CheckShown(name=c["name"], passed=_passed(c), detail=c["detail"], evidence=c.get("evidence", ""))
        for c in gate["checks"]
    ]
    kept = GateShown.model_fields.keys() & gate.keys() - {"checks"}
    return GateShown(**{key: gate[key] for key in kept}, checks=checks)


def _passed(check: Mapping[str, Any]) -> bool | None:
    """A check that does not apply passes at the gate, and is shown as neither passed nor failed."""
    detail = check["detail"]
    return None if detail.startswith(("not applicable", "not measured")) else bool(check["passed"])


def _begin_gate(workspace: Workspace, facts: Facts) -> GateShown | None:
    """The last verdict of the dataset's beginning, where this cycle is not it."""
    begun = [c.cycle for c in all_cycles(workspace) if c.kind == "begin" and c.dataset == facts.opening.dataset]
    files = [workspace.cycle_dir(cycle) / "gate.json" for cycle in begun if cycle != facts.cycle]
    found = [file for file in files if file.exists()]
    return _gate_shown(read_json(found[-1])) if found else None


def _definitions(task: Task) -> list[DefinitionShown]:
    return [
        DefinitionShown(metric=name, formula=found.formula, range=found.range, better=found.better)
        for name, found in definitions_for(task).items()
        if name in DEFINED
    ]


def _provenance(task: Task, facts: Facts) -> dict[str, str]:
    known = {
        "task": f"{task.name} {digest(task)[:16]}",
        "diagnose split": facts.card.diagnose_fingerprint,
        "sealed split": facts.card.gate_fingerprint,
        "near-copy threshold": f"{facts.card.near_copy_threshold:g}",
    }
    for role, evaluation in by_role(facts).items():
        if evaluation is not None:
            known[f"{role} digest"] = evaluation.served_by.digest[:16]
    return known
