"""What lies in a job's folder, and the lock that shows whether its process lives.

`spec.json` goes in; `status.json`, `metrics.jsonl`, `predictions.jsonl`, `model/` and `log.txt` come out, and last
`result.json`, which alone means success. Paths in a specification are relative to the job's folder: an
artifacts folder can be moved. Both sides use this module: the servers that start jobs and the jobs themselves.
"""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from servers.core.disk import now, open_or_create, read_json, write_json
from servers.core.task import Task
from servers.core.wire import Wire

ArmKind = Literal["student", "prompt", "teacher", "fine_tuned"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

SPEC, STATUS, RESULT, CANCELLED = "spec.json", "status.json", "result.json", "cancelled.json"
METRICS, PREDICTIONS, MODEL, LOG = "metrics.jsonl", "predictions.jsonl", "model", "log.txt"
BASE_PREDICTIONS = "base_predictions.jsonl"
ANSWERS = "answers.jsonl"  # of an endpoint, as they came; kept from attempt to attempt
DRAFTS = "drafts.jsonl"
TRACKED = "tracked.json"  # which end of the job the tracker knows
LOCK = "job.lock"
LOCK_WAIT_S = 2.0  # another look at the lock takes microseconds


PACE = {"timeout_s", "concurrency"}  # of an endpoint: how it is asked, and not what
PRICED = {"remote", "recipe"}  # of a training: where and by which code it is done, as quoted


class EndpointSpec(Wire):
    """A language model at an endpoint of Mistral's API; its key, if any, is in the environment."""

    model: str
    server_url: str | None
    """Null for Mistral's own server."""
    timeout_s: float
    concurrency: int
    usd_per_million_input: float
    usd_per_million_output: float
    max_usd: float
    """The job ends, with what it has, before it could spend more than this."""


class RemoteSpec(Wire):
    """Where a job runs that does not run on this machine: one Hugging Face Job."""

    namespace: str
    flavor: str
    image: str
    timeout_s: int
    usd_per_minute: float
    """Of the flavor, as the service listed it when the job was quoted."""


class Usage(Wire):
    """What an endpoint was asked, as it counted it."""

    requests: int
    input_tokens: int
    output_tokens: int
    usd: float


class RemoteUse(Wire):
    """What a job took where it ran."""

    seconds: float
    """That are paid for."""
    usd: float


class TrainSpec(Wire):
    """Train a model on one dataset version."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    kind: Literal["train"] = "train"
    job_id: str
    model_id: str
    """What the model will be called."""
    family: str
    hparams: dict[str, Any]
    """The whole recipe, as the family reads it."""
    seed: int
    """Draws the order in which rows come into a student's learning curve, which is not random itself; of an adapter the
    first weights, what is dropped, and the order of the rows."""
    task: Task
    dataset: str
    dataset_version: str
    cycle: str
    plan_id: str
    train_file: str
    """Examples to learn from."""
    texts_file: str
    """Examples to follow the training on, never learned from."""
    base: str | None = None
    """What an adapter is trained on: a repository of the Hub, or a folder; null for a family that has none."""
    base_revision: str | None = None
    remote: RemoteSpec | None = None
    """Null where it runs on this machine."""
    recipe: str | None = None
    """Digest of family, base, image, code and flavor, for a job that runs elsewhere."""
    smoke: bool = False
    """Whether it is a small run that tries the recipe out; its model is no candidate."""


class SampleSpec(Wire):
    """Let a model answer texts."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    kind: Literal["sample"] = "sample"
    job_id: str
    model_id: str
    task: Task
    cycle: str | None = None
    plan_id: str | None = None
    arm: ArmKind = "student"
    model_dir: str | None = None
    """The weights of an arm that has any."""
    base: str | None = None
    """What the adapter in `model_dir` was trained on."""
    base_revision: str | None = None
    endpoint: EndpointSpec | None = None
    """Who answers, for an arm without weights here."""
    shots_file: str | None = None
    """Examples that are shown before the question."""
    texts_file: str
    """Rows with `id` and `text`; anything else in them is not looked at."""
    with_base: bool = False
    """Whether an adapter's base answers too, into `base_predictions.jsonl`: it shows that the adapter is at work."""
    timed: int = 0
    """How many of the first texts are requests of their own, one after the other, and timed after a warm-up."""
    remote: RemoteSpec | None = None


class CampaignSpec(Wire):
    """Train several models, one after the other, each in a job folder of its own."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    kind: Literal["campaign"] = "campaign"
    job_id: str
    cycle: str
    plan_id: str
    arms: list[TrainSpec]
    """Their folders stand beside this job's."""


class TeachSpec(Wire):
    """Have a language model write examples, and read each of them twice."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    kind: Literal["teach"] = "teach"
    job_id: str
    cycle: str
    plan_id: str
    task: Task
    endpoint: EndpointSpec
    """Who writes and reads."""
    intents_file: str
    """What the texts are to say, one a row (`teaching.Intent`)."""
    text_tokens: int
    """The most that a text may take."""
    seed: int


JobSpec = TrainSpec | SampleSpec | CampaignSpec | TeachSpec
_JOB_SPEC: TypeAdapter[JobSpec] = TypeAdapter(Annotated[JobSpec, Field(discriminator="kind")])


class Progress(Wire):
    """`status.json`: written by whoever starts the job, then by the job, then by whoever finds that it ended."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    state: State
    attempt: int
    """Counts the starts; a job that failed or was cancelled may be started again."""
    pid: int | None
    asked_at: str
    """When the job was first asked for."""
    started_at: str
    """When this attempt began."""
    updated_at: str
    step: int
    of: int
    """How many steps there are; 0 until the job has said so."""
    message: str
    error: str | None = None
    """Why it failed."""


class TrainResult(Wire):
    """`result.json` of a training."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    job_id: str
    model_id: str
    digest: str
    """Of the files in `model/`."""
    family: str
    hparams: dict[str, Any]
    dataset: str
    dataset_version: str
    cycle: str
    train_rows: int
    base: str | None = None
    """What an adapter was trained on: a repository of the Hub, or the name of a folder."""
    base_revision: str | None = None
    """Commit of the repository."""
    seconds: float
    remote: RemoteUse | None = None
    """Null where it ran on this machine."""
    versions: dict[str, str]
    """Of Python and the libraries."""


class SampleResult(Wire):
    """`result.json` of a sampling."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    job_id: str
    model_id: str
    digest: str
    rows: int
    seconds: float
    usage: Usage | None = None
    """Null for an arm that costs nothing."""
    remote: RemoteUse | None = None
    """Null where it ran on this machine."""
    versions: dict[str, str]


class CampaignTrained(Wire):
    """`result.json` of a campaign's trainings."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    job_id: str
    models: list[str]
    """What was trained, in the order of the arms."""
    failed: dict[str, str]
    """Jobs that could not do their work, and why."""
    seconds: float
    """Of this attempt."""
    versions: dict[str, str]


class DraftRow(Wire):
    """One row of `drafts.jsonl`."""

    text: str
    """Empty where the teacher's answer was no text."""
    readings: list[dict[str, float]]
    """Of the text alone, each without a look at the other; empty where one of them was not valid."""
    made_from: dict[str, str]


class TeachResult(Wire):
    """`result.json` of a teacher's job."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    job_id: str
    rows: int
    """Of `drafts.jsonl`: as many as were asked for."""
    read: int
    """Those with a text and two valid readings."""
    teacher: str
    """As its server calls it."""
    seconds: float
    """Of this attempt."""
    usage: Usage
    """Of all attempts."""
    versions: dict[str, str]


def is_same_work(one: JobSpec, other: JobSpec) -> bool:
    """Whether two specifications ask for the same. The next attempt may ask an endpoint at another pace; arms of a
    campaign and samplings, whose ids do not follow from a price, may be done at another one.
    """
    besides: dict[str, Any] = {"endpoint": PACE, "arms": {"__all__": PRICED}}
    if isinstance(one, SampleSpec):
        besides["remote"] = True
    left, right = (spec.model_dump(exclude=besides) for spec in (one, other))
    return left == right


def read_spec(folder: Path) -> JobSpec:
    """What a job is to do.

    Raises:
        ValueError: the file is missing or is no specification; the message names it.
    """
    path = folder / SPEC
    if not path.exists():
        raise ValueError(f"{path} is missing; jobs are started by start_retrain")
    try:
        return _JOB_SPEC.validate_python(read_json(path))
    except ValidationError as error:
        raise ValueError(f"{path} is not a job specification: {problem_in(error)}") from error


def read_progress(folder: Path) -> Progress:
    """How far a job is, in its own words or those of whoever started it.

    Raises:
        ValueError: the file is missing or damaged; the message names it.
    """
    path = folder / STATUS
    try:
        return Progress.model_validate(read_json(path))
    except (FileNotFoundError, ValidationError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({problem_in(error)})"
        raise ValueError(f"{path} is {reason}; delete {folder} and start the job again") from error


def write_wire(path: Path, value: Wire) -> None:
    """Write a document of this module."""
    write_json(path, value.model_dump(mode="json", by_alias=True))


def begin_attempt(folder: Path) -> Progress:
    """Clear away what an earlier attempt left and note that the next one begins. The caller holds the job's lock."""
    before = read_progress(folder) if (folder / STATUS).exists() else None
    for name in (CANCELLED, METRICS, PREDICTIONS, BASE_PREDICTIONS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    moment = now()
    progress = Progress(
        state="queued",
        attempt=1 if before is None else before.attempt + 1,
        pid=None,
        asked_at=moment if before is None else before.asked_at,
        started_at=moment,
        updated_at=moment,
        step=0,
        of=0,
        message="starting",
    )
    write_wire(folder / STATUS, progress)
    return progress


def log_header(attempt: int) -> str:
    """How the part of `log.txt` begins that an attempt wrote."""
    return f"--- attempt {attempt},"


def ending(attempt: int, state: State) -> dict[str, Any]:
    """`tracked.json`: how the attempt ended whose run was saved in the tracker."""
    return {"schema": 1, "attempt": attempt, "state": state}


def is_alive(folder: Path) -> bool:
    """Whether a process holds the job's lock."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def try_lock(folder: Path) -> int | None:
    """Take the lock that stands for the job's process; the open handle, or None where a process holds it.

    Whoever inherits the handle keeps the lock, and the kernel lets go of it when the last of them has ended.
    """
    handle = open_or_create(folder / LOCK, os.O_RDWR)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody who only looks holds a shared lock for a moment; a process that lives holds the lock itself.
            if is_alive(folder) or time.monotonic() > deadline:
                os.close(handle)
                return None
            time.sleep(0.001)
        else:
            return handle


def write_pid(handle: int, pid: int | None) -> None:
    """Note in the lock which process it stands for; None while there is none yet."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, b"" if pid is None else str(pid).encode(), 0)


def locked_pid(folder: Path) -> int | None:
    """The process that the lock stands for; meaningless unless `is_alive`."""
    words = (folder / LOCK).read_text(encoding="ascii", errors="replace")
    return int(words) if words.isdecimal() else None


def problem_in(error: ValidationError) -> str:
    """The first thing that is wrong with a document, and where in it."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
