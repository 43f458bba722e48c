"""The parts of a report that say what was tried: data, training, remedies, lessons, and the calls that did it."""

import re
from collections import Counter
from itertools import islice

from servers.core.campaign import WAYS, CampaignResult
from servers.core.dataset import DatasetStore, Example
from servers.core.disk import read_jsonl
from servers.core.models import trained_model
from servers.core.workspace import Workspace
from servers.playbook.book import Playbook
from servers.playbook.facts import Facts
from servers.playbook.prose import filled, sources_of
from servers.playbook.report.view import ContextShown
from servers.playbook.report.view_results import DiagnosisShown, FailureShown, SignalShown
from servers.playbook.report.view_work import (
    AugmentationShown,
    CampaignShown,
    DroppedExample,
    LessonShown,
    NewExample,
    RemedyShown,
    SettingChange,
    TrainingShown,
    WayShown,
)
from servers.playbook.viewing_rows import DiagnoseRows

SHOWN_EXAMPLES = 5
SHOWN_DROPPED = 2  # for each reason
WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]{1,500}")


def diagnosis_shown(facts: Facts) -> DiagnosisShown | None:
    """What the data can teach."""
    found = facts.diagnosis
    if found is None:
        return None
    return DiagnosisShown(
        verdict=found["verdict"],
        reason=found["reason"],
        dimensions=[
            SignalShown(
                dimension=name,
                signal=one["signal"],
                r2=one["r2"],
                text_model_mae=one["text_model_mae"],
                constant_mae=one["constant_mae"],
                ratio=one["ratio"],
                ceiling_mae=one["ceiling_mae"],
                verdict=one["verdict"],
                words=one["words"],
            )
            for name, one in found["dimensions"].items()
        ],
        copies=found["copies"],
        leakage=found["leakage"],
        outliers=found["outliers"],
        # The page says diagnose less train, the diagnosis train less diagnose.
        label_shift={name: -shift for name, shift in found["label_shift"].items()},
        warnings=found["warnings"],
    )


def augmentation_shown(workspace: Workspace, facts: Facts) -> AugmentationShown | None:
    """The rows that were added, if the plan was carried out."""
    spec = facts.augmentation
    if spec is None or not facts.augmented:
        return None
    outcome = spec["outcome"]
    version = spec["versions"]["to_version"] or spec["versions"]["from_version"]
    new = read_jsonl(workspace.cycle_dir(facts.cycle) / "generated_augmented_pairs.jsonl")
    rows = [Example.model_validate(row) for row in islice(new, SHOWN_EXAMPLES)]
    return AugmentationShown(
        teacher=spec["teacher"],
        focus=spec["focus_dimensions"],
        why=spec["rationale"],
        added=outcome["added"],
        replayed=outcome["replayed"],
        dropped=outcome["dropped"],
        dropped_examples=[
            DroppedExample(text=text, reason=reason)
            for reason, texts in outcome.get("examples_of_dropped", {}).items()
            for text in texts[:SHOWN_DROPPED]
        ],
        nothing_came=None if outcome["added"] else outcome.get("distrusted") or outcome.get("refused"),
        rows_before=facts.card.rows.train,
        rows_after=DatasetStore(workspace).card(facts.opening.dataset, version).rows.train,
        version_after=version,
        examples=[NewExample(text=row.text, target=row.target, source=row.source) for row in rows],
    )


def campaign_shown(facts: Facts) -> CampaignShown | None:
    """The ways that a campaign compared."""
    if facts.campaign_result is None:
        return None
    found = CampaignResult.model_validate(facts.campaign_result)
    return CampaignShown(
        n=found.n,
        chosen=found.chosen.way if found.chosen else None,
        reason=found.reason,
        left_out=(facts.campaign or {}).get("left_out", {}),
        ways=[
            WayShown(
                way=way.way,
                words=WAYS.get(way.way, ""),
                seeds=way.seeds,
                rows_added=way.rows_added,
                difference=way.difference,
                se=way.standard_error,
                p=way.p,
                worked=way.worked,
                against=way.cause.against if way.cause else None,
                part=way.cause.difference if way.cause else None,
                part_worked=way.cause.worked if way.cause else None,
            )
            for way in found.ways
        ],
    )


def training_shown(workspace: Workspace, facts: Facts) -> TrainingShown | None:
    """The job that made the candidate."""
    job = next((job for job in facts.jobs if facts.candidate and facts.candidate.model in job.models), None)
    if job is None or facts.candidate is None:
        return None
    made = trained_model(workspace, facts.candidate.model)
    changes = facts.changes if facts.plan and facts.plan["plan_id"] == job.plan_id else []
    return TrainingShown(
        job=made.job_id,
        model=made.model_id,
        family=made.family,
        train_rows=made.train_rows,
        seconds=made.seconds,
        changes=[
            SettingChange(name=c.name, before=f"{c.before:g}", after=f"{c.after:g}", reason=c.reason) for c in changes
        ],
    )


def failures_shown(facts: Facts, rows: DiagnoseRows) -> list[FailureShown]:
    """The champion's failures as they came back through W&B, with what the candidate answered to each."""
    if facts.snapshot is None:
        return []
    examples, after = rows.examples(), rows.after()
    return [
        FailureShown(
            trace=row["trace_id"],
            text=row["request_text"],
            target=row["target_vector"],
            prediction=row["predicted_vector"],
            errors=row["abs_error_by_dim"],
            mae=row["mae_raw"],
            parse_error=row["parse_error"],
            after=after.get(examples.get(row["trace_id"], "")),
            trace_url=_web_address(row.get("trace_url")),
        )
        for row in facts.snapshot["failures_top_k"]
    ]


def remedies_shown(facts: Facts, playbook: Playbook) -> list[RemedyShown]:
    """What was changed for which failure."""
    failures = {row["trace_id"]: row for row in (facts.snapshot or {}).get("failures_top_k", [])}
    return [
        RemedyShown(
            trace=remedy.trace_id,
            dimension=remedy.dimension,
            change=remedy.told,
            text=failures.get(remedy.trace_id, {}).get("request_text", ""),
            error_before=remedy.error_before,
            error_after=remedy.error_after,
            trace_url=_web_address(failures.get(remedy.trace_id, {}).get("trace_url")),
        )
        for remedy in playbook.remedies
    ]


def _web_address(found: str | None) -> str | None:
    """A trace's address if a browser can open it: one in the artifacts folder has none."""
    return found if found is not None and WEB_ADDRESS.fullmatch(found) else None


def lessons_shown(playbook: Playbook) -> list[LessonShown]:
    """The lessons with their figures filled in."""
    return [
        LessonShown(
            title=lesson.title,
            text=filled(lesson.text, lesson.claims),
            sources=sources_of(lesson.claims),
        )
        for lesson in playbook.lessons
    ]


def context_shown(facts: Facts) -> ContextShown | None:
    """What came back through the W&B MCP server."""
    snapshot = facts.snapshot
    if snapshot is None:
        return None
    server = snapshot["server"]
    return ContextShown(
        server=f"{server['name']} {server['version']}",
        kind=server["kind"],
        calls=dict(Counter(call["tool"] for call in snapshot["calls"])),
        failures=snapshot["failures_len"],
        fetched_at=snapshot["fetched_at"],
    )
