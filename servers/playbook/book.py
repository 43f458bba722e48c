"""A cycle's playbook: what was changed for which failure, and what was learned, every figure tied to its source.

`playbook.json` grows by merging: a remedy for the same trace and a lesson of the same title take the place of the
earlier ones. A remedy names a failure that came back through W&B in this cycle, and a dimension on which that row errs
by its mean error or more. Its error before is the champion's on that row, its error after the candidate's, once there
is one. These rows chose the remedy, so they prove nothing. What was remedied before the verdict stands; a remedy
written afterwards changed nothing for the candidate, and says so.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from servers.core.cycle_files import needs_open, verdict_of
from servers.core.dataset import DatasetStore
from servers.core.disk import now, read_json, write_json
from servers.core.evaluations import EvaluationStore, ScoredRow
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.playbook.claims import Claim, KeptClaim, check_claims
from servers.playbook.facts import Facts, facts_of
from servers.playbook.learning import learned_in
from servers.playbook.policies import Policy
from servers.playbook.prose import check_text
from servers.playbook.snapshot import erring_dimensions, recorded_failures
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


class KeptLesson(Wire):
    """A lesson whose claims held."""

    title: str
    text: str
    """Figures only as {claim:id}."""
    claims: list[KeptClaim]


class Remedy(RemedyGiven):
    """A remedy with what came of it on its own row."""

    example_id: str
    error_before: float
    """The champion's on this row and dimension, points."""
    error_after: float | None
    """The candidate's; null before it was measured."""
    after_verdict: bool = False
    """Whether it was written when the verdict was known."""

    @property
    def told(self) -> str:
        """The change, with a word where it came too late to be one."""
        return f"{self.change} (written after the verdict)" if self.after_verdict else self.change


class Playbook(Wire):
    """`playbook.json`."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    cycle: str
    note: str = PROVES_NOTHING
    """About the errors before and after."""
    candidate: str | None
    """Whose errors stand under error_after."""
    remedies: list[Remedy]
    lessons: list[KeptLesson]
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
    before = playbook_of(workspace, cycle)
    judged = verdict_of(workspace, cycle) is not None
    standing = {remedy.trace_id: remedy for remedy in before.remedies}
    rows = _failed_rows(workspace, facts) if remedies else {}
    checked = [_checked_remedy(task, cycle, rows, remedy, names, judged) for remedy in remedies]
    if judged:
        checked = [_unchanged(standing.get(remedy.trace_id), remedy) for remedy in checked]
    sources = Sources(workspace)
    kept = [_checked_lesson(sources, task, lesson, names) for lesson in lessons]
    merged = before.model_copy(
        update={
            "remedies": list((standing | {remedy.trace_id: remedy for remedy in checked}).values()),
            "lessons": list({lesson.title: lesson for lesson in [*before.lessons, *kept]}.values()),
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


def _failed_rows(workspace: Workspace, facts: Facts) -> dict[str, ScoredRow | None]:
    """The cycle's recorded failures by trace, worst first; None where it is not of the champion's newest evaluation."""
    rows = _rows(workspace, facts.opening.champion, facts)
    return {trace: rows.get(trace) for trace in recorded_failures(workspace, facts.cycle)}


def _checked_remedy(
    task: Task,
    cycle: str,
    rows: Mapping[str, ScoredRow | None],
    given: RemedyGiven,
    names: Sequence[str],
    judged: bool,
) -> Remedy:
    what = f"remedy for trace {cleaned(given.trace_id, 64)!r}"
    if given.dimension not in task.names:
        raise ValueError(f"{what}: no dimension {given.dimension!r}; this task has {', '.join(task.names)}")
    if given.trace_id not in rows:
        known = ", ".join(list(rows)[:5])
        raise ValueError(f"{what}: not among this cycle's recorded failures; the worst are {known}")
    row = rows[given.trace_id]
    if row is None:
        raise ValueError(f"{what}: no diagnose row of the champion's evaluation in {cycle}; measure it again")
    if given.dimension not in (erring := erring_dimensions(row.abs_error_by_dim)):
        raise ValueError(
            f"{what}: this row errs by {row.abs_error_by_dim[given.dimension]:.2f} points on {given.dimension}, less "
            f"than its mean of {row.mae_raw:.2f}; it errs on {', '.join(erring)}"
        )
    change = cleaned(given.change, CHANGE_CHARS)
    check_text(what, change, (), names)
    return Remedy(
        trace_id=given.trace_id,
        dimension=given.dimension,
        change=change,
        example_id=row.example_id,
        error_before=row.abs_error_by_dim[given.dimension],
        error_after=None,
        after_verdict=judged,
    )


def _unchanged(standing: Remedy | None, given: Remedy) -> Remedy:
    """A remedy given when the verdict was known: a new one, or one that says what it said.

    Raises:
        ValueError: it would change one that stands.
    """
    if standing is None:
        return given
    if (standing.dimension, standing.change) != (given.dimension, given.change):
        raise ValueError(
            f"remedy for trace {given.trace_id!r}: the verdict is known, and what was remedied before it stands"
        )
    return standing


def _checked_lesson(sources: Sources, task: Task, lesson: Lesson, names: Sequence[str]) -> KeptLesson:
    title, text = cleaned(lesson.title, TITLE_CHARS), cleaned(lesson.text, TEXT_CHARS)
    what = f"lesson {title!r}"
    try:
        claims = check_claims(sources, lesson.claims, task.names)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    check_text(f"title of {what}", title, (), names)
    check_text(what, text, claims, names)
    return KeptLesson(title=title, text=text, claims=claims)


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
    """Names that may hold digits: dimensions, datasets, cycles, models, metrics, checks, files, hyperparameters."""
    measured = facts.evaluations.values()
    metrics = {name for evaluation in measured for name in evaluation.metrics}
    models = {name for evaluation in measured for name in (evaluation.model, evaluation.served_by.model_id)}
    checks = {check["name"] for check in facts.gate["checks"]} if facts.gate else set()
    settings = set(facts.plan["next_hparams"]) if facts.plan else set()
    cycles = {path.name for path in (workspace.root / "loop").glob("*")}
    files = {path.name for path in workspace.cycle_dir(facts.cycle).glob("*")}
    datasets = DatasetStore(workspace)
    versions = {card.fingerprint for card in datasets.versions(facts.opening.dataset)}
    return [*task.names, *models, *metrics, *checks, *settings, *cycles, *files, *datasets.names(), *versions]
