"""A cycle's playbook: what was changed for which failure, and what was learned, every figure tied to its source.

`playbook.json` grows by merging: a remedy for the same trace and a lesson of the same title take the place of the
earlier ones. A remedy names a failure that came back through W&B in this cycle; its error before is the champion's on
that row, its error after the candidate's, once there is one. These rows chose the remedy, so they prove nothing.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from servers.core.cycle_files import needs_open
from servers.core.dataset import DatasetStore
from servers.core.disk import now, read_json, write_json
from servers.core.evaluations import EvaluationStore, ScoredRow
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.playbook.claims import Claim, check_claims, check_text
from servers.playbook.facts import Facts, facts_of
from servers.playbook.learning import learned_in
from servers.playbook.policies import Policy
from servers.playbook.snapshot import recorded_failures
from servers.playbook.sources import Sources

PROVES_NOTHING = "these rows chose the remedy; they prove nothing"
CHANGE_CHARS, TITLE_CHARS, TEXT_CHARS = 300, 120, 2000
MAX_REMEDIES, MAX_LESSONS, MAX_CLAIMS = 50, 20, 20


class RemedyGiven(Wire):
    """What is changed for one failure."""

    trace_id: str
    dimension: str
    change: Annotated[str, Field(min_length=1, max_length=CHANGE_CHARS)]
    """Words without figures."""


class Lesson(Wire):
    """Something learned."""

    title: Annotated[str, Field(min_length=1, max_length=TITLE_CHARS)]
    text: Annotated[str, Field(min_length=1, max_length=TEXT_CHARS)]
    """Figures only as {claim:id}."""
    claims: Annotated[list[Claim], Field(max_length=MAX_CLAIMS)]


class Remedy(RemedyGiven):
    """A remedy with what came of it on its own row."""

    example_id: str
    error_before: float
    """The champion's on this row and dimension, points."""
    error_after: float | None
    """The candidate's; null before it was measured."""


class Playbook(Wire):
    """`playbook.json`."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    cycle: str
    note: str = PROVES_NOTHING
    """About the errors before and after."""
    candidate: str | None
    """Whose errors stand under error_after."""
    remedies: list[Remedy]
    lessons: list[Lesson]
    policies: list[Policy] = []
    """What the ways of making a candidate did; written when the cycle is closed."""
    updated_at: str


def playbook_of(workspace: Workspace, cycle: str) -> Playbook:
    """The playbook of a cycle; an empty one before anything was written."""
    path = workspace.cycle_dir(cycle) / "playbook.json"
    if not path.exists():
        return Playbook(cycle=cycle, candidate=None, remedies=[], lessons=[], updated_at=now())
    return Playbook.model_validate(read_json(path))


def write_down(
    workspace: Workspace, task: Task, cycle: str, remedies: Sequence[RemedyGiven], lessons: Sequence[Lesson]
) -> Playbook:
    """Check remedies and lessons, and merge them into the playbook.

    Raises:
        ValueError: a trace, dimension, claim or figure does not hold, or the cycle is closed. Nothing is written then.
    """
    needs_open(workspace, cycle)
    facts = facts_of(workspace, cycle)
    names = _known_names(workspace, task, facts)
    checked = [_checked_remedy(workspace, task, facts, remedy, names) for remedy in remedies]
    sources = Sources(workspace)
    lessons = [_in_lines(lesson) for lesson in lessons]
    for lesson in lessons:
        what = f"lesson {lesson.title!r}"
        check_claims(sources, lesson.claims)
        check_text(f"title of {what}", lesson.title, (), names)
        check_text(what, lesson.text, lesson.claims, names)
    before = playbook_of(workspace, cycle)
    merged = before.model_copy(
        update={
            "remedies": list({r.trace_id: r for r in [*before.remedies, *checked]}.values()),
            "lessons": list({lesson.title: lesson for lesson in [*before.lessons, *lessons]}.values()),
        }
    )
    for what, found, most in (("remedies", merged.remedies, MAX_REMEDIES), ("lessons", merged.lessons, MAX_LESSONS)):
        if len(found) > most:
            raise ValueError(f"{cycle} would have {len(found)} {what}, at most {most}; keep those that matter")
    return _save(workspace, facts, merged)


def bring_up_to_date(workspace: Workspace, cycle: str) -> Playbook:
    """Fill in the candidate's errors on the remedied rows, and what the cycle taught about its ways."""
    facts = facts_of(workspace, cycle)
    policies = learned_in(workspace, facts)
    return _save(workspace, facts, playbook_of(workspace, cycle).model_copy(update={"policies": policies}))


def _checked_remedy(workspace: Workspace, task: Task, facts: Facts, given: RemedyGiven, names: Sequence[str]) -> Remedy:
    what = f"remedy for trace {cleaned(given.trace_id, 64)!r}"
    if given.dimension not in task.names:
        raise ValueError(f"{what}: no dimension {given.dimension!r}; this task has {', '.join(task.names)}")
    failures = recorded_failures(workspace, facts.cycle)
    if given.trace_id not in failures:
        known = ", ".join(list(failures)[:5])
        raise ValueError(f"{what}: not among this cycle's recorded failures; the worst are {known}")
    row = _rows(workspace, facts.opening.champion, facts).get(given.trace_id)
    if row is None:
        raise ValueError(f"{what}: no diagnose row of the champion's evaluation in {facts.cycle}; measure it again")
    check_text(what, given.change, (), names)
    return Remedy(
        trace_id=given.trace_id,
        dimension=given.dimension,
        change=cleaned(given.change, CHANGE_CHARS),
        example_id=row.example_id,
        error_before=row.abs_error_by_dim[given.dimension],
        error_after=None,
    )


def _in_lines(lesson: Lesson) -> Lesson:
    return lesson.model_copy(
        update={"title": cleaned(lesson.title, TITLE_CHARS), "text": cleaned(lesson.text, TEXT_CHARS)}
    )


def _save(workspace: Workspace, facts: Facts, playbook: Playbook) -> Playbook:
    candidate = facts.candidate
    after = {} if candidate is None else _rows_by_example(workspace, candidate.evaluation_id)
    remedies = [
        remedy.model_copy(
            update={
                "error_after": after[remedy.example_id].abs_error_by_dim[remedy.dimension]
                if remedy.example_id in after
                else None
            }
        )
        for remedy in playbook.remedies
    ]
    update = {"remedies": remedies, "candidate": candidate and candidate.model, "updated_at": now()}
    saved = playbook.model_copy(update=update)
    write_json(workspace.cycle_dir(facts.cycle) / "playbook.json", saved.model_dump(mode="json", by_alias=True))
    return saved


def _rows(workspace: Workspace, model: str, facts: Facts) -> dict[str, ScoredRow]:
    """The scored rows of a model in this cycle by trace id; none where it was not measured."""
    found = facts.evaluations.get(model)
    rows = [] if found is None else EvaluationStore(workspace).rows(found.evaluation_id)
    return {row.trace_id: row for row in rows}


def _rows_by_example(workspace: Workspace, evaluation_id: str) -> dict[str, ScoredRow]:
    return {row.example_id: row for row in EvaluationStore(workspace).rows(evaluation_id)}


def _known_names(workspace: Workspace, task: Task, facts: Facts) -> list[str]:
    """Names that may hold digits: of dimensions, datasets, cycles, metrics, checks, files and hyperparameters."""
    metrics = {name for evaluation in facts.evaluations.values() for name in evaluation.metrics}
    checks = {check["name"] for check in facts.gate["checks"]} if facts.gate else set()
    settings = set(facts.plan["next_hparams"]) if facts.plan else set()
    cycles = {path.name for path in (workspace.root / "loop").glob("*")}
    files = {path.name for path in workspace.cycle_dir(facts.cycle).glob("*")}
    datasets = DatasetStore(workspace)
    versions = {card.fingerprint for card in datasets.versions(facts.opening.dataset)}
    return [*task.names, *metrics, *checks, *settings, *cycles, *files, *datasets.names(), *versions]
