"""Have a model answer in a job of its own: one that needs a framework, or is asked over a network.

The job gets ids and texts, never a label. On the diagnose rows its folder lies with all the others, and is found again
by whoever asks the same of the same model: in the next cycle the untrained base model answers for nothing. On the
sealed rows it lies in the sealed folder (sealed_sampling.py).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from servers.core.answers import Answer, ServedBy
from servers.core.arms import LORA, PROMPT, TEACHER
from servers.core.asked_costs import reserve_next, settle_ended
from servers.core.budget import Budget
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import digest, read_json, read_jsonl, write_jsonl
from servers.core.families import family_named
from servers.core.job_files import (
    BASE_PREDICTIONS,
    PREDICTIONS,
    RESULT,
    RemoteSpec,
    SampleResult,
    SampleSpec,
    TrainSpec,
    read_spec,
)
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import intact_folder, trained_model
from servers.core.prompting import ANSWER_TOKENS
from servers.core.quotes import Quotes, most_usd, remote_of
from servers.core.remote_note import open_note
from servers.core.services import Endpoint, Services
from servers.core.shots import draw_shots
from servers.core.task import Task
from servers.core.telling import tell_failure_once
from servers.core.workspace import Workspace
from servers.eval.measuring import TIMED_REQUESTS, WARM_UP_REQUESTS, Asked

Purpose = Literal["diagnose", "sealed"]

TEXTS, SHOTS = "texts.jsonl", "shots.jsonl"
CHARS_PER_TOKEN = 3  # fewer than of plain English: an estimate should err on the safe side
DIMENSION_CHARS = 120
MAX_ATTEMPTS = 3  # that nobody is told of: a process may be killed for no fault of its own, but not for ever
HALF_A_CENT = 0.005
START_S, ROW_S = 900, 5  # of a machine far away: libraries and weights come first


@dataclass(frozen=True)
class Sampling:
    """Makes the jobs of one artifacts folder that let models answer."""

    workspace: Workspace
    task: Task
    services: Services

    def begin(
        self,
        jobs: JobStore,
        root: Path,
        model: str,
        card: Card,
        rows: Sequence[Example],
        purpose: Purpose,
        approve_usd: float | None = None,
    ) -> JobStatus:
        """Start the job that asks a model about rows, or find it; its cost is set aside in the budget first.

        Args:
            jobs: The jobs of `root`.
            root: The folder that the job's folder lies in.
            model: 'prompt', 'teacher' or the id of a fine-tuned model.
            card: The dataset whose first train rows are shown to the base model, where any are.
            rows: What is asked about; their labels go nowhere.
            purpose: What for.
            approve_usd: What a person typed back of a cost that was told.

        Raises:
            ValueError: there is no such model here, the configuration names no endpoint for it, nobody approved what it
                can cost, the budget does not allow it, or the attempt before failed, which is told once; the next call
                begins anew.
        """
        job_id = self.job_id(root, model, card, rows, purpose)
        folder = root / job_id
        if jobs.exists(job_id):
            spec, job = sample_spec(folder), jobs.status(job_id)
            self.settle(jobs, root)
            if purpose == "diagnose" or job.attempt >= MAX_ATTEMPTS:
                tell_failure_once(folder, job, sealed=purpose == "sealed")
            if job.state not in ("failed", "cancelled"):
                return job
            if spec.endpoint is not None:
                spec = spec.model_copy(update={"endpoint": self._endpoint(model).paced(spec.endpoint)})
            elif spec.arm == "fine_tuned" and open_note(folder) is None:  # at the price of now, where it is configured
                spec = spec.model_copy(update={"remote": self._machine(card, LORA, len(rows))})
        else:
            spec = self._spec(job_id, root, model, card, rows, purpose)
        refuse_unapproved(spec, approve_usd, self.services.settings.budget.approve_usd)
        write_jsonl(folder / TEXTS, [{"id": row.id, "text": row.text} for row in rows])
        if spec.shots_file is not None:
            write_jsonl(folder / spec.shots_file, self._shots(model, card))
        what = f"{model} answers {len(rows)} {purpose} rows"
        reserve_next(self._budget, jobs, folder, highest_cost(spec), what)
        return jobs.start(spec)

    def job_id(self, root: Path, model: str, card: Card, rows: Sequence[Example], purpose: Purpose) -> str:
        """The id follows from what is asked of whom, not from prices or machines.

        Raises:
            ValueError: there is no such model here, or the configuration names no endpoint for it.
        """
        asked = [[row.id, row.text] for row in rows]
        who: list[Any]
        if model in (PROMPT, TEACHER):
            endpoint = self._endpoint(model)
            who = [model, endpoint.model, endpoint.server_url, self._shots(model, card)]
        else:
            who = [model, trained_model(self.workspace, model).digest, self._weights(model, root)]
        return "sample-" + digest([*who, self.task, asked, purpose])[:12]

    def settle(self, jobs: JobStore, root: Path) -> None:
        """Note in the budget what the jobs of `root` took whose attempts have ended."""
        settle_ended(self._budget, jobs, root)

    def begin_on_diagnose(self, card: Card, model: str, approve_usd: float | None = None) -> JobStatus:
        """Start or find the job that asks a model about the diagnose rows."""
        root, rows = self.workspace.jobs_root, self._diagnose(card)
        return self.begin(JobStore(self.workspace), root, model, card, rows, "diagnose", approve_usd)

    def asked_on_diagnose(self, card: Card, model: str) -> Asked:
        """What it brought.

        Raises:
            ValueError: it was not started, or has not ended well.
        """
        jobs = JobStore(self.workspace)
        job_id = self.job_id(self.workspace.jobs_root, model, card, self._diagnose(card), "diagnose")
        state = jobs.status(job_id).state if jobs.exists(job_id) else "not started"
        if state != "succeeded":
            raise ValueError(
                f"{model!r} answers in a job, which is {state}; call sample_model with it until it has ended"
            )
        folder = self.workspace.job_dir(job_id)
        answers = [Answer.model_validate(row) for row in read_jsonl(folder / PREDICTIONS)]
        if not answers:
            raise ValueError(f"{job_id} brought no answers; delete {folder} and call sample_model again")
        return Asked(sample_spec(folder).arm, answers, _base(folder), cost_of(folder))

    @property
    def _budget(self) -> Budget:
        return Budget(self.workspace, self.services)

    def _diagnose(self, card: Card) -> list[Example]:
        return DatasetStore(self.workspace).diagnose(card.name, card.fingerprint)

    def _spec(
        self, job_id: str, root: Path, model: str, card: Card, rows: Sequence[Example], purpose: Purpose
    ) -> SampleSpec:
        timed = TIMED_REQUESTS if purpose == "diagnose" else 0
        if model not in (PROMPT, TEACHER):
            made = trained_model(self.workspace, model)
            trained = read_spec(self.workspace.job_dir(made.job_id))
            assert isinstance(trained, TrainSpec)  # or no model would be found there
            is_adapter = trained.family == LORA
            return SampleSpec(
                job_id=job_id,
                model_id=model,
                task=self.task,
                arm="fine_tuned" if is_adapter else "student",
                model_dir=self._weights(model, root),
                base=trained.base,
                base_revision=made.base_revision or trained.base_revision,  # a branch may have moved on since
                texts_file=TEXTS,
                with_base=is_adapter and purpose == "diagnose",
                timed=timed,
                remote=self._machine(card, trained.family, len(rows)),
            )
        longest = max(len(row.text) for row in rows)
        shots = self._shots(model, card)
        chars = len(self.task.prompt) + DIMENSION_CHARS * len(self.task.dimensions) + longest
        read = (1 + len(shots)) * chars // CHARS_PER_TOKEN
        return SampleSpec(
            job_id=job_id,
            model_id=model,
            task=self.task,
            arm="prompt" if model == PROMPT else "teacher",
            endpoint=self._endpoint(model).spec(len(rows) + WARM_UP_REQUESTS, read, ANSWER_TOKENS),
            shots_file=SHOTS if shots else None,
            texts_file=TEXTS,
            timed=timed,
        )

    def _machine(self, card: Card, family: str, rows: int) -> RemoteSpec | None:
        """Where a trained model answers: an adapter on Hugging Face where trainings run there, else here."""
        if family != LORA:
            return None
        resolved = Quotes(self.workspace, self.services, family_named(LORA)).resolved(card.fingerprint)
        return None if resolved is None else remote_of(resolved, START_S + ROW_S * rows)

    def _weights(self, model: str, root: Path) -> str:
        """A trained model's folder as seen from a job's, so that both can be moved together."""
        return os.path.relpath(intact_folder(self.workspace, trained_model(self.workspace, model)), root / "job")

    def _endpoint(self, model: str) -> Endpoint:
        found = self.services.prompt if model == PROMPT else self.services.teacher
        if found is None:
            raise ValueError(
                f"no endpoint answers as {model!r}; set MISTRAL_API_KEY, or MISTRAL_SERVER_URL and model in [{model}]"
            )
        return found

    def _shots(self, model: str, card: Card) -> list[Example]:
        wanted = self.services.settings.prompt.shots if model == PROMPT else 0
        # Of the first version, so that the arm stays what it was while the dataset grows.
        return draw_shots(DatasetStore(self.workspace).train(card.name, card.root), wanted, self.task) if wanted else []


def sample_spec(folder: Path) -> SampleSpec:
    """What a sampling was told.

    Raises:
        ValueError: the folder holds another job.
    """
    spec = read_spec(folder)
    if not isinstance(spec, SampleSpec):
        raise ValueError(f"{folder} holds a {spec.kind} job, no sampling")
    return spec


def highest_cost(spec: SampleSpec) -> float:
    """USD that a job can cost at most."""
    if spec.endpoint is not None:
        return spec.endpoint.max_usd
    return 0.0 if spec.remote is None else most_usd(spec.remote)


def cost_of(folder: Path) -> float:
    """USD that a job which ended well has cost."""
    spec, result = sample_spec(folder), SampleResult.model_validate(read_json(folder / RESULT))
    if spec.endpoint is not None:
        return result.usage.usd if result.usage else highest_cost(spec)
    if spec.remote is None:
        return 0.0
    return highest_cost(spec) if result.remote is None else result.remote.usd


def refuse_unapproved(spec: SampleSpec, approve_usd: float | None, stands_for_it: float) -> None:
    """Refuse a job on hardware that costs money and that nobody approved.

    Args:
        spec: What is to be started.
        approve_usd: The most that it can cost, typed back by a person.
        stands_for_it: What needs nobody's approval.

    Raises:
        ValueError: nobody did; the message has the amount.
    """
    if spec.remote is None or (most := most_usd(spec.remote)) <= stands_for_it:
        return
    if approve_usd is None or not abs(approve_usd - most) < HALF_A_CENT:  # so, and NaN is no approval
        raise ValueError(
            f"{spec.model_id!r} answers on {spec.remote.flavor}, which can cost up to {most:.2f} USD; a person "
            f"approves it: sample_model again with approve_usd={most:.2f}, or approve_usd in [budget] of etude.toml"
        )


def _base(folder: Path) -> tuple[ServedBy, list[str]] | None:
    rows = [Answer.model_validate(row) for row in read_jsonl(folder / BASE_PREDICTIONS)]
    return (rows[0].served_by, [row.text for row in rows]) if rows else None
