"""The eval server: measures on the open split, judges on the sealed one, and is the only one that opens it."""

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from servers.core.arms import kind_of, load_arm
from servers.core.campaign import CampaignResult
from servers.core.cycle_files import needs_open
from servers.core.dataset import DatasetStore
from servers.core.definitions import definitions_for, in_a_line
from servers.core.diagnosis import STEPS, Diagnosis, diagnose
from servers.core.disk import read_json, write_json
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.paging import page
from servers.core.progress import tell
from servers.core.services import Services
from servers.core.source_splits import splits_of_source
from servers.core.student import FAMILY
from servers.core.task import Dimension, Task
from servers.core.tracking import coordinates, tracker_for
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.eval import wording
from servers.eval.asking import Asking, Sampled
from servers.eval.choosing import Choosing
from servers.eval.comparing import ModelComparison, compare_evaluations, one_champion
from servers.eval.custody import Custody
from servers.eval.judging import Judge
from servers.eval.measuring import Measuring
from servers.eval.prompts import offer_prompts
from servers.eval.results import EvaluationResult, Failure, Failures, PreparedDataset, TaskDescription
from servers.eval.sampling import Sampling
from servers.eval.shelf import documents
from servers.eval.verdicts import GateDocument
from servers.room import CycleId, DatasetName, EvaluationId, ModelId, Offset, Room

INSTRUCTIONS = (
    "Measures models on the diagnose split, diagnoses data, and judges a candidate on the sealed gate split. "
    "Begin with describe_task and prepare_dataset."
)
SHOWN_TEXT_CHARS = 300
MAX_CANDIDATES = 30  # to be compared at once


def build_room(workspace: Workspace, task: Task, services: Services | None = None) -> Room:
    """The eval server over one artifacts folder, for one task."""
    room, services = Room("eval", INSTRUCTIONS, workspace), services or Services()
    datasets, evaluations = DatasetStore(workspace), EvaluationStore(workspace)
    custody, judge = Custody(workspace, task), Judge(workspace, task, services)
    sampling = Sampling(workspace, task, services)
    asking = Asking(workspace, custody, sampling, judge)
    choosing = Choosing(workspace)
    tracker = tracker_for(workspace, services)

    @cache
    def place() -> tuple[str, str]:
        """Entity and project; with a key's own entity, W&B is asked for it once."""
        return coordinates(workspace, services, task.name)

    measuring = Measuring(task, evaluations, tracker, place)

    @room.reads(told=wording.task)
    def describe_task() -> TaskDescription:
        """Say what is read from a text, on which scale, what each metric means, and what the gate demands.
        Next: prepare_dataset.
        """
        entity, project = place()
        return TaskDescription(
            task=task.name,
            title=cleaned(task.title),
            text_name=task.text_name,
            scale=task.scale,
            dimensions=[_in_words(dimension) for dimension in task.dimensions],
            metrics={name: in_a_line(definition) for name, definition in definitions_for(task).items()},
            gate=task.gate,
            augment=task.augment,
            datasets=datasets.names(),
            entity=entity,
            project=project,
            next="prepare_dataset",
        )

    @room.writes(told=wording.prepared)
    def prepare_dataset(dataset: DatasetName) -> PreparedDataset:
        """Make a built-in dataset ready ('demo'), or find an imported one. Next: open_cycle."""
        card = custody.ensure(dataset)
        return PreparedDataset(
            dataset=card.name,
            dataset_version=card.fingerprint,
            rows=card.rows.model_dump(),
            synthetic=card.synthetic,
            backends=services.backends(card),
            next="open_cycle",
        )

    @room.writes(told=wording.diagnosis, locked=False)  # thousands of rows take seconds, nobody has to wait
    def diagnose_dataset(cycle: CycleId) -> Diagnosis:
        """Say what the cycle's data can teach, by dimension, and whether to train at all; writes diagnosis.json.
        Next: plan_augmentation (at a beginning plan_retrain), or write_report with a stop_reason.
        """
        opened = needs_open(workspace, cycle)
        path = workspace.cycle_dir(cycle) / "diagnosis.json"
        if path.exists():
            return Diagnosis.model_validate(read_json(path))
        card = datasets.card(opened.dataset, opened.dataset_version)
        custody.refuse_other_task(card)
        train = datasets.train(card.name, card.fingerprint)
        rows = datasets.diagnose(card.name, card.fingerprint)
        train_texts = [row.text for row in train]
        tell(0, STEPS, f"comparing {len(train)} train rows with the sealed ones")
        near = custody.count_near(card, train_texts)
        tell(1, STEPS, f"looking for train rows among the sealed ones, word for word: {len(train)}")
        exact = custody.count_near(card, train_texts, 1.0)
        tell(2, STEPS, f"comparing {len(rows)} diagnose rows with the sealed ones")
        found = diagnose(
            card,
            task,
            train,
            rows,
            near,
            exact_sealed=exact,
            diagnose_near_sealed=custody.count_near(card, [row.text for row in rows]),
            source_splits=splits_of_source(datasets.card(card.name, card.root)),
        )
        with workspace.writing("eval.diagnose_dataset"):
            write_json(path, found.model_dump(mode="json", by_alias=True))
        return found

    @room.writes(told=wording.sampled, locked=False, reaches_out=True)  # it waits for a job
    def sample_model(
        cycle: CycleId,
        model: Annotated[str, Field(description="'prompt', 'teacher' or the id of a fine-tuned model")],
        split: Literal["diagnose", "gate"],
        approve_usd: Annotated[float | None, Field(description="a quoted amount, typed back by who pays")] = None,
    ) -> Sampled:
        """Have a model that answers in a job answer a split's rows, within the budget; sealed answers stay sealed.
        While it runs, call again, which waits. Next: evaluate_model, for the gate gate_candidate.
        """
        ask = asking.on_diagnose if split == "diagnose" else asking.on_gate
        return ask(cycle, model, approve_usd)

    @room.writes(told=wording.evaluation, locked=False, reaches_out=True)  # W&B may be slow
    def evaluate_model(
        cycle: CycleId,
        model: Annotated[str, Field(description="model id, 'constant', 'rule', 'student', 'prompt' or 'champion'")],
    ) -> EvaluationResult:
        """Measure a model on the diagnose split and log the run and one trace a row.
        Next: the W&B tools, which read it back; for a candidate compare_models, then gate_candidate.
        """
        opened = needs_open(workspace, cycle)
        card = datasets.card(opened.dataset, opened.dataset_version)
        custody.refuse_other_task(card)
        model = opened.champion if model == "champion" else model
        examples = datasets.diagnose(card.name, card.fingerprint)
        place()
        with workspace.writing("eval.evaluate_model"):
            if kind_of(model) is not None:
                asked = sampling.asked_on_diagnose(card, model)
                made = measuring.evaluate_asked(cycle, card, examples, asked)
            else:
                # The baseline of a fine-tuned model learns from the rows that this one learned from.
                version = card.fingerprint if model == FAMILY else card.root
                arm = load_arm(model, workspace, task, datasets.train(card.name, version))
                made = measuring.evaluate(cycle, card, examples, arm)
        return _result(made, tracker.publish(made.entity, made.project))

    @room.reads(told=wording.evaluation)
    def get_evaluation(evaluation_id: EvaluationId) -> EvaluationResult:
        """Show one evaluation again. Next: list_failures."""
        return _result(evaluations.verified(evaluation_id), None)

    @room.reads(told=wording.failures)
    def list_failures(
        evaluation_id: EvaluationId,
        dimension: Annotated[str | None, Field(description="sort by this dimension's error")] = None,
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
        offset: Offset = 0,
    ) -> Failures:
        """Show the diagnose rows with the largest errors, worst first.
        Next: plan_augmentation for what they share; read_evidence shows a trace whole.
        """
        if dimension is not None and dimension not in task.names:
            raise ValueError(f"no dimension {dimension!r}; this task has {', '.join(task.names)}")
        found = evaluations.get(evaluation_id)
        custody.refuse_other_task(datasets.card(found.dataset, found.dataset_version))
        rows = evaluations.rows(evaluation_id)
        rows.sort(key=lambda row: row.mae_raw if dimension is None else row.abs_error_by_dim[dimension], reverse=True)
        shown = page(rows, limit, offset)
        return Failures(
            failures=[
                Failure(
                    trace_id=row.trace_id,
                    trace_url=row.trace_url,
                    example_id=cleaned(row.example_id),
                    text=cleaned(row.text, SHOWN_TEXT_CHARS),
                    target=row.target_vector,
                    predicted=row.predicted_vector,
                    abs_error_by_dim=row.abs_error_by_dim,
                    mae_raw=row.mae_raw,
                )
                for row in shown.items
            ],
            total=shown.total,
            next_offset=shown.next_offset,
        )

    @room.reads(told=wording.comparison)
    def compare_models(
        champion_evaluation: EvaluationId,
        candidate_evaluations: Annotated[list[EvaluationId], Field(min_length=1, max_length=MAX_CANDIDATES)],
    ) -> ModelComparison:
        """Compare candidates with the champion on the same diagnose rows, paired, and corrected for their number.
        These rows chose the remedy, so this proves nothing. Next: gate_candidate, which does.
        """
        champion, *candidates = one_champion(evaluations, champion_evaluation, candidate_evaluations)
        card = datasets.card(champion.dataset, champion.dataset_version)
        custody.refuse_other_task(card)
        return compare_evaluations(evaluations, task, card, champion, candidates)

    @room.writes(told=wording.choice)
    def choose_candidate(cycle: CycleId) -> CampaignResult:
        """Compare a campaign's ways on the diagnose rows, corrected for their number, and choose the one candidate that
        goes on; writes campaign_result.json. Next: gate_candidate, or write_report where the verdict is saved.
        """
        return choosing.choose(cycle)

    @room.writes(told=wording.verdict, locked=False, reaches_out=True)  # as evaluate_model
    def gate_candidate(cycle: CycleId, candidate: ModelId) -> GateDocument:
        """Judge a candidate against the champion on the sealed split; writes gate.json and spends one verdict.
        Asking again for the same pair is free. Next: promote_model if it says promote, else write_playbook.
        """
        where = place()
        with workspace.writing("eval.gate_candidate"):
            document = judge.gate(cycle, candidate)
        tracker.publish(*where)
        return document

    room.shelf.add(*documents(workspace, describe_task, get_evaluation, list_failures))
    offer_prompts(room, workspace, task, list_failures)
    return room


def _in_words(dimension: Dimension) -> Dimension:
    return dimension.model_copy(update={"low": cleaned(dimension.low), "high": cleaned(dimension.high)})


def _result(evaluation: Evaluation, tracking_note: str | None) -> EvaluationResult:
    return EvaluationResult(
        evaluation_id=evaluation.evaluation_id,
        model=evaluation.model,
        arm=evaluation.arm,
        served_by_digest=evaluation.served_by.digest,
        split=evaluation.split,
        n=evaluation.n,
        n_invalid=evaluation.n_invalid,
        metrics=evaluation.metrics,
        standard_errors=evaluation.standard_errors,
        intervals=evaluation.intervals,
        differs_from_base=evaluation.differs_from_base,
        run_id=evaluation.run_id,
        run_url=evaluation.run_url,
        tracking_note=tracking_note,
        next="compare_models or gate_candidate for a candidate; list_failures for the worst rows",
    )
