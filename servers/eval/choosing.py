"""Choose which arm of a campaign goes on, from the diagnose rows, before anybody looks at sealed ones.

The rule is fixed beforehand: the way with the lowest mean difference from the champion over its seeds, and of that way
the first seed. Not the luckiest seed: its figure is the best of several draws and would promise more than it keeps. It
goes to the gate only if it is itself shown better than the champion, after correction for as many candidates as there
are ways. Else the verdict is saved, because each one that is asked makes the next harder to pass; new rows of a way
that errs less are kept for the next cycle.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from servers.core.campaign import (
    PAIRS_FILE,
    RESULT_FILE,
    Arm,
    Campaign,
    CampaignResult,
    Chosen,
    Way,
    WayResult,
    campaign_of,
)
from servers.core.cycle_files import needs_unjudged
from servers.core.dataset import DatasetStore
from servers.core.disk import now, read_json, write_json, write_jsonl
from servers.core.effects import compare_ways, effect, worked
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.jobs import JobStore
from servers.core.near_copies import groups
from servers.core.progress import tell
from servers.core.recipes import PLAN_FILE, RetrainPlan, champions_recipe, changed, patch
from servers.core.statistics import Floats
from servers.core.workspace import Workspace
from servers.eval.campaign_snapshot import write_campaign_snapshot


class Choosing:
    """The choice in the campaigns of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._datasets, self._evaluations = DatasetStore(workspace), EvaluationStore(workspace)

    def choose(self, cycle: str) -> CampaignResult:
        """Compare the ways and write `campaign_result.json`; a campaign is decided once.

        The chosen rows become the newest version of the dataset, and the cycle's plans are the chosen arm's.

        Raises:
            ValueError: the cycle is no campaign or has its verdict, or a step of it is missing.
        """
        needs_unjudged(self._workspace, cycle)
        campaign = campaign_of(self._workspace, cycle)
        path = self._workspace.cycle_dir(cycle) / RESULT_FILE
        if path.exists():
            return CampaignResult.model_validate(read_json(path))
        result = self._decided(campaign, self._measured(campaign), self._evaluation(cycle, campaign.from_model))
        if result.chosen is not None:
            self._adopt(campaign, next(arm for arm in campaign.arms if arm.arm == result.chosen.arm))
        tell(2, 3, "writing the choice down")
        write_campaign_snapshot(self._workspace, campaign)
        # Last: a process that stops before it decides again, and the same way.
        write_json(path, result.model_dump(mode="json", by_alias=True))
        return result

    def _measured(self, campaign: Campaign) -> list[tuple[Arm, Evaluation]]:
        """The arms that were trained, with their evaluations."""
        jobs = JobStore(self._workspace)
        if not jobs.exists(campaign.plan_id) or (job := jobs.status(campaign.plan_id)).state != "succeeded":
            raise ValueError(f"{campaign.plan_id} is not trained; call start_retrain with it and wait with get_job")
        trained = [arm for arm in campaign.arms if arm.model_id in job.models]
        return [(arm, self._evaluation(campaign.cycle, arm.model_id)) for arm in trained]

    def _evaluation(self, cycle: str, model: str) -> Evaluation:
        found = self._evaluations.find(cycle, model)
        if found is None:
            raise ValueError(f"{model!r} is not measured in {cycle}; call evaluate_model with it first")
        return found

    def _decided(
        self, campaign: Campaign, measured: Sequence[tuple[Arm, Evaluation]], champion: Evaluation
    ) -> CampaignResult:
        rows = self._evaluations.rows(champion.evaluation_id)
        card = self._datasets.card(campaign.dataset, campaign.dataset_version)
        clusters = groups([row.text for row in rows], card.near_copy_threshold, max_share=1.0).labels
        errors: dict[Way, dict[int, Floats]] = {}
        tell(0, 3, f"reading the errors of {len(measured)} candidates on {len(rows)} rows")
        for arm, evaluation in measured:
            errors.setdefault(arm.way, {})[arm.seed] = self._errors(evaluation, champion)
        tell(1, 3, f"comparing {len(errors)} ways")
        compared = compare_ways(errors, self._errors(champion, champion), clusters)
        ways = [
            WayResult(
                way=way,
                **_made_of(campaign, [arm for arm, _ in measured if arm.way == way]),
                seeds=len(errors[way]),
                difference=found.difference,
                standard_error=found.standard_error,
                p=found.p,
                worked=worked(found.difference, found.p),
                cause=cause,
                evaluations=[evaluation.evaluation_id for arm, evaluation in measured if arm.way == way],
            )
            for way, (found, cause) in compared.items()
        ]
        ways.sort(key=lambda way: way.difference)
        chosen = _chosen(campaign, ways[0], measured)
        first = errors[ways[0].way][min(errors[ways[0].way])]
        own = effect(first[None], self._errors(champion, champion)[None], clusters)
        p = min(1.0, len(ways) * own.p)  # one candidate of each way might have been the one
        to_gate = chosen is not None and worked(own.difference, p) == "helped"
        return CampaignResult(
            plan_id=campaign.plan_id,
            cycle=campaign.cycle,
            champion_evaluation=champion.evaluation_id,
            n=len(rows),
            clusters=len(np.unique(clusters)),
            ways=ways,
            chosen=chosen,
            to_gate=to_gate,
            reason=_reason(ways, chosen, to_gate, f"{own.difference:+.2f} points, p {p:.2g}", len(rows))
            + _fell_away(campaign, measured),
            decided_at=now(),
        )

    def _errors(self, evaluation: Evaluation, champion: Evaluation) -> Floats:
        """Mean error of each diagnose row, shape (rows,), points."""
        if evaluation.diagnose_fingerprint != champion.diagnose_fingerprint:
            raise ValueError(
                f"{evaluation.model!r} and {champion.model!r} were measured on different rows; measure both anew"
            )
        return np.array([row.mae_raw for row in self._evaluations.rows(evaluation.evaluation_id)], dtype=float)

    def _adopt(self, campaign: Campaign, arm: Arm) -> None:
        """Leave the documents that a cycle of this one candidate would have, and make its rows the newest version."""
        folder = self._workspace.cycle_dir(campaign.cycle)
        version = campaign.version(arm)
        assert version is not None  # it was trained
        card = self._datasets.card(campaign.dataset, version)
        if arm.rows is not None:
            spec = campaign.rows_of(arm).spec
            new = [
                row
                for row in self._datasets.train(card.name, card.fingerprint)
                if row.provenance.get("plan_id") == spec["plan_id"]
            ]
            write_jsonl(folder / PAIRS_FILE, new)
            write_json(folder / "augmentation_spec.json", spec)
            self._datasets.move_head(card)
        before = champions_recipe(self._workspace, campaign.from_model, campaign.family)[0]
        recipe = changed(before, arm.changes)
        plan = RetrainPlan(
            plan_id=campaign.plan_id,
            cycle=campaign.cycle,
            dataset=card.name,
            dataset_version=card.fingerprint,
            model_family=campaign.family.name,
            from_model=campaign.from_model,
            hparam_patch=patch(before, recipe),
            next_hparams=recipe.model_dump(),
            changes=arm.changes,
            cost_usd=0.0 if campaign.quote is None else campaign.quote.usd,
            seconds_estimate=0.0 if campaign.quote is None else campaign.quote.seconds,
            task_digest=campaign.task_digest,
            planned_at=campaign.planned_at,
        )
        write_json(folder / PLAN_FILE, plan.model_dump(mode="json", by_alias=True))


def _made_of(campaign: Campaign, arms: Sequence[Arm]) -> Mapping[str, object]:
    """What a way's candidates were made of."""
    specs = [campaign.rows_of(arm).spec for arm in arms if arm.rows is not None]
    outcomes = [spec["outcome"] for spec in specs]

    def mean(name: str) -> int:
        return round(sum(outcome[name] for outcome in outcomes) / len(outcomes)) if outcomes else 0

    return {
        "focus_dimensions": specs[0]["focus_dimensions"] if specs else [],
        "rows_added": mean("added"),
        "rows_replayed": mean("replayed"),
        "changes": {change.name: change.value for change in arms[0].changes},
    }


def _chosen(campaign: Campaign, best: WayResult, measured: Sequence[tuple[Arm, Evaluation]]) -> Chosen | None:
    """The first seed of the best way; none where even that errs no less than the champion."""
    if best.difference >= 0:
        return None
    arm, evaluation = next((arm, evaluation) for arm, evaluation in measured if arm.way == best.way)
    version = campaign.version(arm)
    assert version is not None  # it was trained
    return Chosen(
        arm=arm.arm,
        way=arm.way,
        model=arm.model_id,
        evaluation_id=evaluation.evaluation_id,
        dataset_version=version,
    )


def _fell_away(campaign: Campaign, measured: Sequence[tuple[Arm, Evaluation]]) -> str:
    """How many planned candidates there are none of, and why, where that is known."""
    missing = len(campaign.arms) - len(measured)
    if not missing:
        return ""
    outcomes = [rows.spec["outcome"] for rows in campaign.rows]
    said = next((o[why] for o in outcomes for why in ("distrusted", "refused") if o and o.get(why)), None)
    because = said or "no new rows, or training failed"
    return f"; {missing} of {len(campaign.arms)} planned candidates fell away: {because}"


def _reason(ways: Sequence[WayResult], chosen: Chosen | None, to_gate: bool, own: str, n: int) -> str:
    best = ways[0]
    figures = (
        f"{best.way} {best.difference:+.2f} ± {best.standard_error:.2f} points against the champion on {n} diagnose "
        f"rows over {best.seeds} {'seed' if best.seeds == 1 else 'seeds'}"
    )
    corrected = f"{own} after correction for {len(ways)} ways"
    if chosen is None:
        return f"no way errs less than the champion, the best is {figures}; nothing is kept and the verdict is saved"
    if to_gate:
        return f"the best way is {figures}; its first seed goes to the gate ({corrected})"
    kept = "its rows are kept for the next cycle, and " if best.rows_added else ""
    return (
        f"the best way is {figures}, but its first seed is not shown better ({corrected}); {kept}the verdict is saved"
    )
