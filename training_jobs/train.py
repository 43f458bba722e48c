"""Train a student: `python -m training_jobs.train JOB_DIR`.

Reads `spec.json` and the dataset version's rows, writes the model, what it learned about itself while training, and
its own answers on the diagnose rows. Those are for following a training; the scores of record are the eval server's.
"""

import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy

from servers.core.answers import Answer, ServedBy, vector_text
from servers.core.dataset import read_examples
from servers.core.disk import write_jsonl
from servers.core.student import FAMILY, Student, StudentHparams, model_digest
from servers.core.task import Task
from training_jobs.folder import JobFolder


def main(folder: Path) -> None:
    job = JobFolder(folder, steps=4)
    spec = job.spec
    started = time.perf_counter()

    job.say("reading the rows")
    task = Task.model_validate(spec["task"])
    hparams = StudentHparams.model_validate(spec["hparams"])
    train, diagnose = read_examples(Path(spec["train_file"])), read_examples(Path(spec["diagnose_file"]))
    targets = np.array([[row.target[name] for name in task.names] for row in train], dtype=float)  # (rows, dimensions)
    weights = np.array([row.weight for row in train])  # (rows,)

    job.say(f"training on {len(train)} rows")
    student = Student.fit(
        [row.text for row in train], targets, task.names, task.scale.low, task.scale.high, weights, hparams
    )
    student.save(folder / "model")
    digest = model_digest(folder / "model")

    job.say(f"answering {len(diagnose)} diagnose rows")
    served_by = ServedBy(backend=FAMILY, model_id=spec["model_id"], digest=digest)
    # The model that was saved answers, not the one in memory: it is the one that will serve.
    predicted = Student.load(folder / "model").predict([row.text for row in diagnose])  # (rows, dimensions)
    answers = [
        Answer(
            id=row.id,
            text=vector_text(dict(zip(task.names, vector, strict=True))),
            latency_ms=None,
            served_by=served_by,
        )
        for row, vector in zip(diagnose, predicted, strict=True)
    ]
    write_jsonl(folder / "predictions.jsonl", answers)

    job.say("measuring")
    truth = np.array([[row.target[name] for name in task.names] for row in diagnose], dtype=float)
    errors = np.abs(predicted - truth).mean(axis=0)  # (dimensions,)
    fits = student.description.dimensions
    metrics = {
        "objective/train_loss": float(np.mean([fit.left_out_error for fit in fits])),
        **{f"objective/left_out_error_{fit.name}": fit.left_out_error for fit in fits},
        "iter_eval/mae_raw": float(errors.mean()),
        **{f"iter_eval/mae_raw_{name}": float(error) for name, error in zip(task.names, errors, strict=True)},
    }
    job.log(0, metrics)
    job.finish(
        {
            "model_id": spec["model_id"],
            "digest": digest,
            "family": FAMILY,
            "hparams": hparams.model_dump(),
            "dataset": spec["dataset"],
            "dataset_version": spec["dataset_version"],
            "train_rows": len(train),
            "metrics": metrics,
            "seconds": round(time.perf_counter() - started, 3),
            "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        }
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
