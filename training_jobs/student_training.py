"""Train a student.

Trains on a fifth of the rows, two fifths, …, all of them, so that its metrics say what more rows were worth; the last
is the model. Its own answers on the diagnose rows are for following a training; scores of record are the eval server's.
"""

import numpy as np

from servers.core.answers import Answer
from servers.core.arms import StudentArm
from servers.core.dataset import read_examples
from servers.core.disk import write_jsonl
from servers.core.job_files import MODEL, PREDICTIONS, TrainResult, TrainSpec
from servers.core.models import model_digest
from servers.core.student import MIN_TEXTS, Student, StudentHparams
from training_jobs.job import VERSIONS, Job

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


def train(job: Job[TrainSpec]) -> None:
    """Do a training job of family `student`."""
    spec, task = job.spec, job.spec.task
    hparams = StudentHparams.model_validate(spec.hparams)
    names, low, high = task.names, task.scale.low, task.scale.high

    rows = read_examples(job.file(spec.train_file))
    texts = [row.text for row in rows]
    targets = np.array([[row.target[name] for name in names] for row in rows], dtype=float)  # (rows, dimensions)
    weights = np.array([row.weight for row in rows], dtype=float)  # (rows,)

    watched = read_examples(job.file(spec.texts_file))
    watched_texts = [row.text for row in watched]
    truth = np.array([[row.target[name] for name in names] for row in watched], dtype=float)

    order = np.random.default_rng(spec.seed).permutation(len(rows))
    sizes = sorted({max(round(share * len(rows)), min(MIN_TEXTS, len(rows))) for share in SHARES})
    of = len(sizes) + 1

    for step, size in enumerate(sizes, start=1):
        job.say(f"training on {size} of {len(rows)} rows", of)
        some = np.sort(order[:size])  # in the order of the file, so that all of them give the same model every time
        student = Student.fit([texts[row] for row in some], targets[some], names, low, high, weights[some], hparams)
        errors = student.predict([texts[row] for row in some]) - targets[some]
        fits = student.description.dimensions
        metrics = {
            "data/train_rows": float(size),
            # What the fit minimises but for the penalty: mean squared error on its own rows, in shares of the scale.
            "objective/train_loss": float(
                np.average((errors / (high - low)) ** 2, axis=0, weights=weights[some]).mean()
            ),
            "left_out/mae_raw": float(np.mean([fit.served_error for fit in fits])),
            **{f"left_out/mae_raw_{fit.name}": fit.served_error for fit in fits},
        }
        if watched:
            misses = np.abs(student.predict(watched_texts) - truth).mean(axis=0)  # (dimensions,)
            metrics["iter_eval/mae_raw"] = float(misses.mean())
            metrics |= {f"iter_eval/mae_raw_{name}": float(miss) for name, miss in zip(names, misses, strict=True)}
        job.log(step, metrics)

    job.say(f"answering {len(watched)} diagnose rows", of)
    student.save(job.folder / MODEL)
    digest = model_digest(job.folder / MODEL)
    # The model that was saved answers, not the one in memory: it is the one that will serve.
    arm = StudentArm(task, spec.model_id, Student.load(job.folder / MODEL), digest)
    answers = [
        Answer(id=row.id, text=words, latency_ms=None, served_by=arm.served_by)
        for row, words in zip(watched, arm.answer(watched_texts), strict=True)
    ]
    write_jsonl(job.folder / PREDICTIONS, answers)

    job.finish(
        TrainResult(
            job_id=spec.job_id,
            model_id=spec.model_id,
            digest=digest,
            family=spec.family,
            hparams=hparams.model_dump(),
            dataset=spec.dataset,
            dataset_version=spec.dataset_version,
            cycle=spec.cycle,
            train_rows=len(rows),
            seconds=job.seconds,
            versions=VERSIONS,
        )
    )
