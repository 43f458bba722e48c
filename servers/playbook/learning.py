"""What a cycle taught about the ways it took: its policy entries, from evaluations and the gate alone."""

from typing import Any

from servers.core.campaign import CampaignResult, Way, WayResult
from servers.core.dataset import DatasetStore
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.models import trained_model
from servers.core.workspace import Workspace
from servers.playbook.facts import Facts
from servers.playbook.policies import Policy


def learned_in(workspace: Workspace, facts: Facts) -> list[Policy]:
    """The policy entries of a cycle that is about to be closed; none for a beginning, or where nothing was measured.

    A campaign has one for each way, as `choose_candidate` compared them; a cycle of one candidate has one, with one
    seed, compared here.
    """
    if facts.opening.kind == "begin":
        return []
    if facts.campaign_result is not None:
        found = CampaignResult.model_validate(facts.campaign_result)
        judged = found.chosen.way if found.chosen else None
        return [
            _entry(workspace, facts, way, found.champion_evaluation, facts.outcome if way.way == judged else None)
            for way in found.ways
        ]
    champion, candidate = facts.champion, facts.candidate
    if facts.opening.campaign or champion is None or candidate is None:
        return []
    way = _compared(workspace, facts, candidate, champion)
    return [_entry(workspace, facts, way, champion.evaluation_id, facts.outcome)]


def _entry(workspace: Workspace, facts: Facts, way: WayResult, champion: str, outcome: str | None) -> Policy:
    return Policy.model_validate(
        way.model_dump()
        | {
            "cycle": facts.cycle,
            "dataset": facts.opening.dataset,
            "task": facts.card.task,
            "teacher": facts.opening.backends.teacher if way.rows_added else None,
            "held_over": _held_over(workspace, facts),
            "champion_evaluation": champion,
            "gate": outcome,
        }
    )


def _held_over(workspace: Workspace, facts: Facts) -> int:
    """How many train rows the champion has not seen yet when the cycle opens."""
    try:
        made = trained_model(workspace, facts.opening.champion)
    except ValueError:  # a constant or rules: they learn no rows
        return 0
    return facts.card.rows.train - DatasetStore(workspace).card(made.dataset, made.dataset_version).rows.train


def _compared(workspace: Workspace, facts: Facts, candidate: Evaluation, champion: Evaluation) -> WayResult:
    # Here, because the numbers need numpy and serving does not.
    import numpy as np

    from servers.core.effects import effect, worked
    from servers.core.near_copies import groups

    rows, others = (EvaluationStore(workspace).rows(e.evaluation_id) for e in (candidate, champion))
    clusters = groups([row.text for row in rows], facts.card.near_copy_threshold, max_share=1.0).labels
    ours, theirs = (np.array([[row.mae_raw for row in found]]) for found in (rows, others))  # (1, rows)
    found = effect(ours, theirs, clusters)
    outcome: dict[str, Any] = facts.augmentation["outcome"] if facts.augmentation and facts.augmented else {}
    added, replayed = outcome.get("added", 0), outcome.get("replayed", 0)
    focus = facts.augmentation["focus_dimensions"] if facts.augmentation and added else []
    changes = {change.name: change.after for change in facts.changes}
    return WayResult(
        way=_way(added > 0, bool(focus), replayed > 0, bool(changes)),
        focus_dimensions=focus,
        rows_added=added,
        rows_replayed=replayed,
        changes=changes,
        seeds=1,
        difference=found.difference,
        standard_error=found.standard_error,
        p=found.p,
        worked=worked(found.difference, found.p),
        cause=None,
        evaluations=[candidate.evaluation_id],
    )


def _way(added: bool, aimed: bool, replayed: bool, changed: bool) -> Way:
    """The name of what was done; a mixture that has none is `other`."""
    names: dict[tuple[bool, bool, bool, bool], Way] = {
        (True, False, False, False): "more",
        (True, True, False, False): "focused",
        (True, True, True, False): "focused_replay",
        (True, True, False, True): "hyperparameters",
        (False, False, False, False): "no_new_data",
        (False, False, False, True): "no_new_data",
    }
    return names.get((added, aimed, replayed, changed), "other")
