"""What answers cost that a model gives in a job: approved, set aside, and put right however the job ended."""

import math
import os
from pathlib import Path

import pytest

from servers.core.asked_costs import reserve_next, settle_ended
from servers.core.budget import Budget
from servers.core.dataset import Example
from servers.core.disk import append_jsonl, write_json
from servers.core.job_files import (
    EndpointSpec,
    JobSpec,
    RemoteSpec,
    RemoteUse,
    SampleSpec,
    TrainResult,
    TrainSpec,
    begin_attempt,
    is_same_work,
    try_lock,
    write_wire,
)
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import model_digest
from servers.core.remote_note import note_for_next_attempt, read_note, write_note
from servers.core.services import Services
from servers.core.settings import BudgetSettings, JobsSettings, ModelSettings, Settings
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.sampling import Sampling, cost_of, refuse_unapproved
from tests.doubles.price_list import PriceList

pytestmark = pytest.mark.services

TASK = load_task("kotone")
REMOTE = RemoteSpec(namespace="ada", flavor="t4-small", image="uv", timeout_s=60, usd_per_minute=0.6)


def elsewhere(job_id: str = "sample-1") -> SampleSpec:
    """What an adapter is told that answers on Hugging Face, for up to 0.60 USD."""
    return SampleSpec(
        job_id=job_id, model_id="lora-1", task=TASK, arm="fine_tuned", texts_file="texts.jsonl", remote=REMOTE
    )


@pytest.mark.parametrize("given", [None, math.nan, math.inf, -0.6, 0.0, 0.59, 0.61, 6.0])
def test_only_the_amount_that_was_told_approves(given: float | None):
    """Bug: NaN is no further from an amount than any number is, and stood for a person's word."""
    with pytest.raises(ValueError, match=r"up to 0\.60 USD; a person approves it"):
        refuse_unapproved(elsewhere(), given, stands_for_it=0.0)

    refuse_unapproved(elsewhere(), 0.6, stands_for_it=0.0)
    refuse_unapproved(elsewhere(), None, stands_for_it=0.6)


class Desk:
    """A budget of 2 USD, and a job in it whose attempts the test begins and ends; no process runs."""

    def __init__(self, folder: Path, spec: SampleSpec, most: float) -> None:
        self.workspace, self.spec, self.most = Workspace(folder), spec, most
        settings = Settings(budget=BudgetSettings(usd=2.0))
        self.budget, self.jobs = Budget(self.workspace, Services(settings)), JobStore(self.workspace)
        self.folder = self.workspace.job_dir(spec.job_id)

    def begins(self) -> None:
        """Reserve and begin the next attempt."""
        self.folder.mkdir(parents=True, exist_ok=True)
        reserve_next(self.budget, self.jobs, self.folder, self.most, "answers")
        if self.spec.remote is not None:
            note_for_next_attempt(self.folder)
        self.lock = try_lock(self.folder)
        begin_attempt(self.folder)
        write_wire(self.folder / "spec.json", self.spec)

    def ends(self, usd: float | None = None) -> None:
        """The attempt ends without a result; elsewhere it took so much, or goes on."""
        if usd is not None:
            note = read_note(self.folder)
            assert note is not None
            write_note(self.folder, note.model_copy(update={"use": RemoteUse(seconds=1.0, usd=usd)}))
        assert self.lock is not None
        os.close(self.lock)

    @property
    def figures(self) -> tuple[float, float]:
        settle_ended(self.budget, self.jobs, self.workspace.jobs_root)
        state = self.budget.state()
        return state.spent, state.reserved


def test_every_attempt_elsewhere_is_paid_for_and_counted(tmp_path: Path):
    """Bug: attempts that failed were never counted, so a job that was begun again and again could pass any budget."""
    desk = Desk(tmp_path, elsewhere("sample-ab12"), most=0.6)
    desk.begins()
    assert desk.figures == (0.0, 0.6)
    desk.ends(usd=0.5)
    assert desk.figures == (0.5, 0.0)
    desk.begins()
    desk.ends()  # whoever followed it was killed: it goes on there
    assert desk.figures == (0.5, 0.6)
    desk.begins()
    assert desk.figures == (0.5, 0.6)
    desk.ends(usd=0.55)
    assert desk.figures == (1.05, 0.0)
    desk.begins()
    desk.ends(usd=0.6)

    with pytest.raises(ValueError, match=r"can cost up to 0\.60 USD, and 0\.35 of the 2\.00 USD"):
        desk.begins()
    assert desk.figures == (1.65, 0.0)


def test_what_is_paid_elsewhere_is_what_the_service_counts(tmp_path: Path):
    """Bug: the seconds that the answering took were counted, without the machine's start, which is paid for as well."""
    desk = Desk(tmp_path, elsewhere("sample-ab12"), most=0.6)
    desk.begins()
    result = {"job_id": "sample-ab12", "model_id": "lora-1", "digest": "0", "rows": 1, "seconds": 1.0, "versions": {}}
    write_json(desk.folder / "result.json", result | {"remote": {"seconds": 50.0, "usd": 0.5}})
    os.close(desk.lock or 0)

    assert desk.figures == (0.5, 0.0) and cost_of(desk.folder) == 0.5


def test_an_endpoint_that_failed_keeps_nothing_reserved_and_its_journal_is_counted_once(tmp_path: Path):
    """Bug: a model's name that was mistyped held its reservation for ever, and the right one found no money left."""
    to = EndpointSpec(
        model="m", server_url=None, timeout_s=1.0, concurrency=1, usd_per_million_input=1.0,
        usd_per_million_output=1.0, max_usd=1.5,
    )  # fmt: skip
    spec = SampleSpec(job_id="sample-ab12", model_id="prompt", task=TASK, arm="prompt", texts_file="t", endpoint=to)
    desk = Desk(tmp_path, spec, most=1.5)
    desk.begins()
    for number, usd in ((1, 0.4), (2, 0.4), (2, 0.1)):  # of one request the later line holds
        append_jsonl(desk.folder / "answers.jsonl", {"number": number, "usd": usd})
    append_jsonl(desk.folder / "answers.jsonl", {"note": "unstructured"})
    assert desk.figures == (0.0, 1.5)
    desk.ends()
    assert desk.figures == (0.5, 0.0)

    desk.begins()
    assert desk.figures == (0.5, 1.0)  # of all attempts together it can cost no more
    append_jsonl(desk.folder / "answers.jsonl", {"number": 3, "usd": 0.2})
    desk.ends()
    assert desk.figures == (0.7, 0.0)


class Noted(JobStore):
    """Notes what is started, and lets it fail."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace, self.started = workspace, list[SampleSpec]()

    def start(self, spec: JobSpec) -> JobStatus:
        assert isinstance(spec, SampleSpec)
        folder = self._workspace.job_dir(spec.job_id)
        assert not self.started or is_same_work(self.started[-1], spec)
        self.started.append(spec)
        begin_attempt(folder)
        write_wire(folder / "spec.json", spec)
        return self.status(spec.job_id)


def test_an_adapter_answers_at_the_price_of_now_on_the_base_that_it_was_trained_on(tmp_path: Path):
    """Bug: another attempt ran at the price that was told first, and a branch of the base that had moved on served."""
    workspace = Workspace(tmp_path)
    folder = workspace.job_dir("train-0123456789ab")
    write_json(folder / "model" / "weights.json", {})
    names = {"family": "lora", "hparams": {}, "dataset": "small", "dataset_version": "v1", "cycle": "c", "base": "a/b"}
    train = TrainSpec.model_validate(
        names
        | {
            "job_id": "train-0123456789ab",
            "model_id": "lora-0123456789ab",
            "seed": 0,
            "task": TASK,
            "plan_id": "p",
            "base_revision": "main",
        }
        | {"train_file": "r", "texts_file": "t"}
    )
    write_wire(folder / "spec.json", train)
    made = names | {
        "job_id": "train-0123456789ab",
        "model_id": "lora-0123456789ab",
        "digest": model_digest(folder / "model"),
    }
    made |= {"train_rows": 1, "seconds": 1.0, "versions": {}, "base_revision": "c0ffee"}
    write_wire(folder / "result.json", TrainResult.model_validate(made))
    rows = [Example(id=f"r{n}", text="calm", target=dict.fromkeys(TASK.names, 1.0), source="import") for n in range(60)]
    card = Custody(workspace, TASK).create("small", _texts(rows), recipe={"kind": "import"})
    jobs = Noted(workspace)

    with PriceList({"t4-small": 0.01}) as prices:
        settings = Settings(jobs=JobsSettings(flavor="t4-small"), model=ModelSettings(base="a/b"))
        sampling = Sampling(workspace, TASK, Services(settings, prices.environment))

        def begin(usd: float | None) -> JobStatus:
            return sampling.begin(jobs, workspace.jobs_root, "lora-0123456789ab", card, rows, "diagnose", usd)

        begin(0.2)
        with pytest.raises(ValueError, match="failed"):  # which is told once
            begin(None)
        prices.prices["t4-small"] = 0.02
        with pytest.raises(ValueError, match=r"up to 0\.40 USD"):
            begin(0.2)
        begin(0.4)

    assert [spec.remote.usd_per_minute for spec in jobs.started if spec.remote] == [0.01, 0.02]
    assert {spec.base_revision for spec in jobs.started} == {"c0ffee"}


def _texts(rows: list[Example]) -> list[Example]:
    """The rows with a text of their own each."""
    return [row.model_copy(update={"text": f"word{n * 7919} and word{n * 104729} go"}) for n, row in enumerate(rows)]
