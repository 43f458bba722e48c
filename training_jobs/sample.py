"""Let a saved student answer texts: `python -m training_jobs.sample JOB_DIR`.

`spec.json` names the model folder and a file of `{"id", "text"}` rows; `predictions.jsonl` gets one answer a row, and
nothing is scored. With `"single": true` each row is a request of its own and is timed.
"""

import sys
import time
from pathlib import Path

from servers.core.answers import Answer, ServedBy, vector_text
from servers.core.disk import read_jsonl, write_jsonl
from servers.core.student import FAMILY, Student, model_digest
from training_jobs.folder import JobFolder


def main(folder: Path) -> None:
    job = JobFolder(folder, steps=2)
    spec = job.spec
    started = time.perf_counter()

    job.say("loading the model")
    model = Path(spec["model_dir"])
    student = Student.load(model)
    served_by = ServedBy(backend=FAMILY, model_id=spec["model_id"], digest=model_digest(model))
    rows = list(read_jsonl(Path(spec["texts_file"])))

    job.say(f"answering {len(rows)} texts")
    answers = timed(student, rows, served_by) if spec.get("single") else together(student, rows, served_by)
    write_jsonl(folder / "predictions.jsonl", answers)
    job.finish({"model_id": spec["model_id"], "rows": len(answers), "seconds": round(time.perf_counter() - started, 3)})


def together(student: Student, rows: list[dict[str, str]], served_by: ServedBy) -> list[Answer]:
    """All rows in one go, untimed."""
    predicted = student.predict([row["text"] for row in rows])  # (rows, dimensions)
    return [
        Answer(id=row["id"], text=words(student, vector), latency_ms=None, served_by=served_by)
        for row, vector in zip(rows, predicted, strict=True)
    ]


def timed(student: Student, rows: list[dict[str, str]], served_by: ServedBy) -> list[Answer]:
    """Row by row, each with its milliseconds; the first row is asked once more beforehand to warm up."""
    student.predict([row["text"] for row in rows[:1]])
    answers = []
    for row in rows:
        started = time.perf_counter()
        text = words(student, student.predict([row["text"]])[0])
        latency = 1000 * (time.perf_counter() - started)
        answers.append(Answer(id=row["id"], text=text, latency_ms=latency, served_by=served_by))
    return answers


def words(student: Student, vector: object) -> str:
    """The strict JSON text of one prediction."""
    return vector_text(dict(zip(student.names, vector, strict=True)))  # type: ignore[call-overload]  # a row of an array


if __name__ == "__main__":
    main(Path(sys.argv[1]))
