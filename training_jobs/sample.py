"""Let a saved student answer texts: `python -m training_jobs.sample JOB_DIR`.

`predictions.jsonl` gets one answer a row of the texts file, and nothing is scored. The first `timed` texts are requests
of their own, timed after one to warm up.
"""

import sys
import time
from pathlib import Path

from servers.core.answers import Answer
from servers.core.arms import StudentArm
from servers.core.disk import read_jsonl, write_jsonl
from servers.core.job_files import PREDICTIONS, SampleResult, SampleSpec
from servers.core.models import model_digest
from servers.core.student import FAMILY, Student
from training_jobs.job import VERSIONS, Job, run


def sample(job: Job[SampleSpec]) -> None:
    spec = job.spec
    if spec.arm != FAMILY or spec.model_dir is None:
        raise ValueError(f"this program lets a saved {FAMILY} answer, not {spec.arm!r} from {spec.model_dir!r}")
    job.say("loading the model", of=2)
    folder = job.file(spec.model_dir)
    digest = model_digest(folder)
    arm = StudentArm(spec.task, spec.model_id, Student.load(folder), digest)
    if model_digest(folder) != digest:  # the digest beside every row is that of the bytes that answer
        raise ValueError(f"the model in {folder} changed while it was loaded; start the job again")
    rows = _texts(job.file(spec.texts_file))

    job.say(f"answering {len(rows)} texts", of=2)
    texts = [text for _, text in rows]
    timed = _one_by_one(arm, texts[: spec.timed]) if spec.timed else []
    if left := texts[spec.timed :]:
        timed += [(words, None) for words in arm.answer(left)]
    answers = [
        Answer(id=name, text=words, latency_ms=latency_ms, served_by=arm.served_by)
        for (name, _), (words, latency_ms) in zip(rows, timed, strict=True)
    ]
    write_jsonl(job.folder / PREDICTIONS, answers)

    job.finish(
        SampleResult(
            job_id=spec.job_id,
            model_id=spec.model_id,
            digest=arm.served_by.digest,
            rows=len(answers),
            seconds=job.seconds,
            versions=VERSIONS,
        )
    )


def _texts(path: Path) -> list[tuple[str, str]]:
    """Id and text of each row."""
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("text"), str)):
            raise ValueError(f"{path}, row {number}, has no texts under 'id' and 'text'")
        rows.append((row["id"], row["text"]))
    if not rows:
        raise ValueError(f"{path} has no rows to answer")
    return rows


def _one_by_one(arm: StudentArm, texts: list[str]) -> list[tuple[str, float | None]]:
    """Words and milliseconds of each request."""
    arm.answer(texts[:1])
    timed: list[tuple[str, float | None]] = []
    for text in texts:
        started = time.perf_counter()
        words = arm.answer([text])[0]
        timed.append((words, 1000 * (time.perf_counter() - started)))
    return timed


if __name__ == "__main__":
    sys.exit(run(SampleSpec, sample))
