"""Plan new training rows and make them: one plan, one dataset version."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from servers.augment.aim import Aim, ThinRange, ThinWord
from servers.augment.making import Made, Making, Outcome
from servers.augment.mistral_teacher import MistralTeacher, Order
from servers.augment.replay import refuse_too_many
from servers.augment.teachers import LARGEST_DISAGREEMENT, MEAN_DISTANCE_OF_CHECK, Teacher
from servers.core.campaign import PAIRS_FILE, refuse_campaign
from servers.core.cycle_files import Opening, document, needs_unjudged
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest, now, read_json, write_json, write_jsonl
from servers.core.evaluations import EvaluationStore
from servers.core.families import worked_with
from servers.core.jobs import JobStatus
from servers.core.progress import tell
from servers.core.quotes import Quotes
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

MAX_NEW_SHARE = 1.0  # a cycle never adds more rows than train has
FILTERS = [
    "answers of the teacher that cannot be read",
    "length",
    "another language than train's",
    "label out of range",
    "a number in the text gives a label away",
    f"two readings of the teacher further apart than {LARGEST_DISAGREEMENT:g} of the scale on a dimension",
    f"another reader further from the label than {MEAN_DISTANCE_OF_CHECK:g} of the scale on the mean",
    "near-copies of train, diagnose, held-out and other new rows",
    "labels, lengths or words that as a whole differ too much from train's and diagnose's",
]


class Versions(Wire):
    from_version: str
    to_version: str | None
    """Null until the rows are made, or where none survived the filters."""


class AugmentationSpec(Wire):
    """`augmentation_spec.json`."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    plan_id: str
    cycle: str
    dataset: str
    versions: Versions
    source_run: str | None
    """Evaluation of the champion that the aim was taken from."""
    focus_dimensions: list[str]
    value_ranges: dict[str, list[float]]
    """By focus dimension, lowest and highest value that new rows should reach: the diagnose rows' 5 % and 95 %."""
    thin_words: list[ThinWord] = []
    """Words of badly answered diagnose rows that train seldom has; no text of diagnose is used."""
    thin_ranges: list[ThinRange] = []
    """Parts of a focus dimension's scale where train has few rows and diagnose has more."""
    new_rows: int
    replay_rows: int
    add_ratio: float
    """New rows / train rows."""
    hard_case_replay_ratio: float
    """Replayed rows / new rows."""
    filters: list[str]
    teacher: str
    cost_usd: float = 0.0
    """The most that the teacher can cost."""
    rationale: str
    planned_at: str
    outcome: Outcome | None
    """Null until the rows are made."""

    @property
    def aim(self) -> Aim:
        """What the teacher is asked for."""
        return Aim(focus_dimensions=self.focus_dimensions, thin_words=self.thin_words, thin_ranges=self.thin_ranges)


class Augmenting:
    """Plans and their execution for one task."""

    def __init__(
        self, workspace: Workspace, task: Task, services: Services | None = None, teacher: Teacher | None = None
    ) -> None:
        self._workspace, self._task, self._services = workspace, task, services or Services()
        self._datasets = DatasetStore(workspace)
        self._evaluations = EvaluationStore(workspace)
        self._making = Making(workspace, task, self._services, teacher)

    def plan(self, cycle: str, focus: Sequence[str], new_rows: int | None, replay_rows: int | None) -> AugmentationSpec:
        """Write down what is to be made.

        Raises:
            ValueError: a step is missing, the aim is at a dimension without signal, more rows are to be replayed than
                may be, there is a plan already that was carried out, or the cycle has its verdict.
        """
        opened = needs_unjudged(self._workspace, cycle)
        refuse_campaign(opened)
        spec = self.draft(opened, focus, new_rows, replay_rows)
        found = self._found(cycle)
        if found and found.plan_id == spec.plan_id:
            return found
        if found and found.outcome is not None:
            raise ValueError(f"{cycle} has carried out {found.plan_id} already; its rows are in the next version")
        # Before a teacher is paid: what is trained elsewhere has to have a price, and somebody who may pay it.
        Quotes(self._workspace, self._services, worked_with(opened, self._services)).resolved(
            spec.versions.from_version
        )
        self._write(spec)
        return spec

    def draft(
        self,
        opened: Opening,
        focus: Sequence[str],
        new_rows: int | None,
        replay_rows: int | None,
        plan_id: str | None = None,
    ) -> AugmentationSpec:
        """What would be made, as a plan that is not written down yet.

        Args:
            opened: An open cycle without a verdict.
            focus: Dimensions to aim at; none asks for more of the same.
            new_rows: Drafts to write; the task's number where not given.
            replay_rows: Hard train rows to weigh double; the task's number where not given.
            plan_id: Where it is a part of a larger plan; else the id follows from what is made.

        Raises:
            ValueError: a step is missing, or the aim is at a dimension without signal.
        """
        cycle = opened.cycle
        if opened.kind == "begin":
            raise ValueError(f"{cycle} trains on the data as imported; call plan_retrain")
        document(self._workspace, cycle, "mcp_decision_input.json", "record_context")
        diagnosis = document(self._workspace, cycle, "diagnosis.json", "diagnose_dataset")
        self._refuse_focus(focus, diagnosis)
        card = self._datasets.card(opened.dataset, opened.dataset_version)
        n_new = self._task.augment.new_rows if new_rows is None else new_rows
        n_new = min(n_new, int(card.rows.train * MAX_NEW_SHARE))
        n_replay = self._task.augment.replay_rows if replay_rows is None else replay_rows
        refuse_too_many(n_replay, self._datasets.train(card.name, card.fingerprint))
        teacher = self._services.backends(card).teacher
        made_of = [cycle, card.name, card.fingerprint, list(focus), n_new, n_replay, teacher]
        aim = self._making.aim(opened, card, focus)
        asked = self._making.asked_teacher(card)
        return AugmentationSpec(
            plan_id=plan_id or "augment-" + digest(made_of)[:12],
            cycle=cycle,
            dataset=card.name,
            versions=Versions(from_version=card.fingerprint, to_version=None),
            source_run=self._champion_run(opened),
            focus_dimensions=list(focus),
            value_ranges=self._ranges(card, focus),
            thin_words=aim.thin_words,
            thin_ranges=aim.thin_ranges,
            new_rows=n_new,
            replay_rows=n_replay,
            add_ratio=n_new / card.rows.train,
            hard_case_replay_ratio=n_replay / n_new if n_new else 0.0,
            filters=FILTERS,
            teacher=teacher,
            cost_usd=asked.cost_usd(Order(n_new, aim, seed=0)) if asked else 0.0,
            rationale="; ".join(filter(None, [self._rationale(opened, focus, diagnosis), aim.why()])),
            planned_at=now(),
            outcome=None,
        )

    def writing(self, plan_id: str, until: float) -> JobStatus | None:
        """The job in which a teacher still writes for a plan, begun where there was none; None where all is written.

        Args:
            plan_id: A plan.
            until: How long to wait for it, as a moment of the monotonic clock.

        Raises:
            ValueError: as `carry_out`, or the teacher cannot be paid or failed.
        """
        spec = self.plan_named(plan_id)
        if spec.outcome is not None:
            return None
        return self.teacher_at_work(needs_unjudged(self._workspace, spec.cycle), spec, _seed(plan_id), until)

    def teacher_at_work(self, opened: Opening, spec: AugmentationSpec, seed: int, until: float) -> JobStatus | None:
        """As `writing`, for a plan that is a part of a larger one."""
        if (teacher := self._asked_teacher(spec)) is None:
            return None
        job = teacher.begin(Order(spec.new_rows, spec.aim, seed), opened.cycle, spec.plan_id)
        job = teacher.waited_for(job, until)
        return None if job.state == "succeeded" else job

    def teacher_job(self, spec: AugmentationSpec, seed: int) -> str | None:
        """The id of the job in which a teacher writes for a plan, which plans may share; None where none has to."""
        teacher = self._asked_teacher(spec)
        return None if teacher is None else teacher.job_id(Order(spec.new_rows, spec.aim, seed))

    def _asked_teacher(self, spec: AugmentationSpec) -> MistralTeacher | None:
        return self._making.asked_teacher(self._datasets.card(spec.dataset, spec.versions.from_version))

    def carry_out(self, plan_id: str) -> AugmentationSpec:
        """Make the rows of a plan and the dataset version that holds them; a plan is carried out once.

        Raises:
            ValueError: there is no such plan, or its cycle is closed or has its verdict.
        """
        spec = self.plan_named(plan_id)
        if spec.outcome is not None:
            return spec
        opened = needs_unjudged(self._workspace, spec.cycle)
        tell(0, 2, f"{spec.teacher} writes {spec.new_rows} rows, and the filters look at each")
        done, made = self.fulfil(opened, spec, seed=_seed(plan_id), moves_head=True)
        tell(1, 2, f"{len(made.new)} rows are new")
        folder = self._workspace.cycle_dir(spec.cycle)
        write_jsonl(folder / PAIRS_FILE, made.new)
        if made.refused:
            write_jsonl(folder / "refused_augmented_pairs.jsonl", made.refused)
        self._write(done)
        return done

    def fulfil(
        self, opened: Opening, spec: AugmentationSpec, seed: int, moves_head: bool
    ) -> tuple[AugmentationSpec, Made]:
        """Make the rows of a plan and save the version that holds them; the plan with its outcome, and the rows.

        Args:
            opened: The plan's cycle.
            spec: A plan that was not carried out.
            seed: Of the teacher.
            moves_head: Whether the version becomes the newest of its dataset.
        """
        parent = self._datasets.card(spec.dataset, spec.versions.from_version)
        made = self._making.make(
            opened, parent, spec.plan_id, spec.focus_dimensions, spec.new_rows, spec.replay_rows, seed, spec.aim
        )
        version = None
        if made.new:
            recipe: dict[str, Any] = {
                "kind": "augmentation",
                "plan_id": spec.plan_id,
                "cycle": spec.cycle,
                "teacher": spec.teacher,
            }
            recipe |= made.outcome.model_dump(exclude={"examples_of_dropped"})
            version = self._datasets.save_child(parent, made.train, recipe, moves_head).fingerprint
        versions = Versions(from_version=parent.fingerprint, to_version=version)
        return spec.model_copy(update={"outcome": made.outcome, "versions": versions}), made

    def _refuse_focus(self, focus: Sequence[str], diagnosis: dict[str, Any]) -> None:
        for name in focus:
            if name not in self._task.names:
                raise ValueError(f"no dimension {name!r}; this task has {', '.join(self._task.names)}")
            if diagnosis["dimensions"][name]["signal"] == "none":
                signal = [n for n, d in diagnosis["dimensions"].items() if d["signal"] != "none"]
                raise ValueError(
                    f"the texts carry no signal for {name!r}, so new rows cannot teach it; "
                    f"aim at {', '.join(signal) or 'nothing: close the cycle with write_report and a stop_reason'}"
                )
        if len(set(focus)) != len(focus):
            raise ValueError(f"focus_dimensions {list(focus)} names a dimension twice")

    def _champion_run(self, opened: Opening) -> str | None:
        found = self._evaluations.find(opened.cycle, opened.champion)
        return found.run_id if found else None

    def _ranges(self, card: Card, focus: Sequence[str]) -> dict[str, list[float]]:
        rows = self._datasets.diagnose(card.name, card.fingerprint)
        return {name: [float(v) for v in np.percentile([r.target[name] for r in rows], [5, 95])] for name in focus}

    def _rationale(self, opened: Opening, focus: Sequence[str], diagnosis: dict[str, Any]) -> str:
        if not focus:
            return "more of the same, without an aim"
        champion, constant = (self._evaluations.find(opened.cycle, model) for model in (opened.champion, "constant"))
        if champion is None or constant is None:
            return f"aimed at {', '.join(focus)}"

        def words(name: str) -> str:
            ours, theirs = champion.metrics[f"mae_raw_{name}"], constant.metrics[f"mae_raw_{name}"]
            ratio = f"{ours / theirs:.2f}" if ours is not None and theirs else "an unknown part"
            return f"{name}: error {ratio} of the constant's, signal {diagnosis['dimensions'][name]['signal']}"

        return "worst against the constant where the text carries signal: " + "; ".join(words(name) for name in focus)

    def _found(self, cycle: str) -> AugmentationSpec | None:
        path = self._workspace.cycle_dir(cycle) / "augmentation_spec.json"
        return AugmentationSpec.model_validate(read_json(path)) if path.exists() else None

    def plan_named(self, plan_id: str) -> AugmentationSpec:
        """A plan that was written down.

        Raises:
            ValueError: there is none of that id.
        """
        for path in (self._workspace.root / "loop").glob("*/augmentation_spec.json"):
            spec = AugmentationSpec.model_validate(read_json(path))
            if spec.plan_id == plan_id:
                return spec
        raise ValueError(f"no augmentation plan {plan_id!r}; call plan_augmentation first")

    def _write(self, spec: AugmentationSpec) -> None:
        path = self._workspace.cycle_dir(spec.cycle) / "augmentation_spec.json"
        write_json(path, spec.model_dump(mode="json", by_alias=True))


def _seed(plan_id: str) -> int:
    """Of the teacher."""
    return int(plan_id.removeprefix("augment-")[:8], 16)
