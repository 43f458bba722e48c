"""Jobs that ask a language model: the real SDK against the double on the loopback, in this process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servers.core.answers import Answer
from servers.core.demo_world.world import World
from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import (
    PREDICTIONS,
    RESULT,
    SPEC,
    EndpointSpec,
    SampleResult,
    SampleSpec,
    TeachSpec,
    begin_attempt,
    write_wire,
)
from servers.core.task import load_task
from servers.core.teaching import Intent
from training_jobs.asking import ask
from training_jobs.job import Job
from training_jobs.teach import teach

KOTONE = load_task("kotone")
KEY = "the-key-that-nobody-may-see"
TEXTS = [row.text for row in World(0).splits()["diagnose"]]
PRICES = (2.0, 6.0)


def endpoint(url: str, **fields: Any) -> EndpointSpec:
    """The double as a job is told of it."""
    read, written = PRICES
    return EndpointSpec(
        **{
            "model": "mistral-large-latest",
            "server_url": url,
            "timeout_s": 5.0,
            "concurrency": 4,
            "usd_per_million_input": read,
            "usd_per_million_output": written,
            "max_usd": 1.0,
            **fields,
        }
    )


def sample_job(folder: Path, to: EndpointSpec, texts: Sequence[str] = TEXTS[:8], **fields: Any) -> Path:
    """A folder in which a sampling can begin."""
    spec = SampleSpec(
        **{"job_id": "sample-1", "model_id": "teacher", "arm": "teacher", "task": KOTONE, "texts_file": "texts.jsonl"}
        | {"endpoint": to}
        | fields
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "texts.jsonl", [{"id": f"d{k}", "text": text} for k, text in enumerate(texts)])
    write_wire(folder / SPEC, spec)
    return folder


def teach_job(folder: Path, to: EndpointSpec, n: int = 6) -> Path:
    """A folder in which a teacher's job can begin."""
    intents = [
        Intent(id=f"t{k}", about={"nostalgia": 10.0 * k, "energy": 50.0}, words=["attic"], shown=TEXTS[k : k + 2])
        for k in range(n)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "intents.jsonl", intents)
    spec = TeachSpec(
        job_id="teach-1", cycle="cycle_1", plan_id="augment-1", task=KOTONE, endpoint=to, intents_file="intents.jsonl",
        text_tokens=300, seed=7,
    )  # fmt: skip
    write_wire(folder / SPEC, spec)
    return folder


class Waits:
    """Notes what is waited for, and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def done(folder: Path, waits: Waits | None = None) -> tuple[SampleResult, list[Answer]]:
    """What a sampling brings that is done in this process.

    Raises:
        ValueError: it failed.
    """
    begin_attempt(folder)
    ask(Job(folder, SampleSpec.model_validate(read_json(folder / SPEC))), waits or Waits())
    answers = [Answer.model_validate(row) for row in read_jsonl(folder / PREDICTIONS)]
    return SampleResult.model_validate(read_json(folder / RESULT)), answers


def taught(folder: Path) -> list[dict[str, Any]]:
    """The drafts of a teacher's job that is done in this process.

    Raises:
        ValueError: it failed.
    """
    begin_attempt(folder)
    teach(Job(folder, TeachSpec.model_validate(read_json(folder / SPEC))), Waits())
    return list(read_jsonl(folder / "drafts.jsonl"))
