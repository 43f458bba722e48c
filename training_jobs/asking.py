"""Let a language model at an endpoint answer texts: the arms `prompt` and `teacher`.

The first `timed` texts are asked one after the other, after a warm-up; the rest several at once. Every answer is in the
journal when it is there, so a job that was killed goes on, and nothing is paid for twice. An answer is what the model
said, valid or not; a text that the server refuses has the refusal for an answer, which is not valid either.
"""

import os
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

import anyio

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Example
from servers.core.disk import digest, read_jsonl, write_jsonl
from servers.core.job_files import ANSWERS, PREDICTIONS, EndpointSpec, SampleResult, SampleSpec
from servers.core.mistral.asker import Asker, Sleep
from servers.core.mistral.chat import Question
from servers.core.mistral.journal import Journal, Line
from servers.core.prompting import ANSWER_TOKENS, answer_schema, messages_for
from servers.core.services import MISTRAL_KEY
from servers.core.task import Task
from training_jobs.answering import read_texts
from training_jobs.job import VERSIONS, Job

WARM_UP = 5
WARM_UP_AGAIN = 1  # when a job goes on: its connection is new, what the server loads is loaded
TOLD = 20  # times in a job, how far it is


def ask(job: Job[SampleSpec], sleep: Sleep = anyio.sleep) -> None:
    """Do a sampling job of an arm that has no weights here.

    Args:
        job: The job; its journal may hold answers of an earlier attempt.
        sleep: Waits between two tries.

    Raises:
        ValueError: no endpoint can be asked, it fails, or asking on would cost too much; one line.
    """
    spec = job.spec
    if spec.endpoint is None:
        raise ValueError(f"arm {spec.arm!r} has no endpoint to ask; call sample_model, which names one")
    rows = read_texts(job.file(spec.texts_file))
    shots = (
        [] if spec.shots_file is None else [Example.model_validate(r) for r in read_jsonl(job.file(spec.shots_file))]
    )
    journal = Journal(job.file(ANSWERS))
    questions = [_question(name, text, spec.task, shots) for name, text in rows]
    anyio.run(partial(_ask_all, job, spec.endpoint, questions, journal, sleep))

    if not journal.models:
        raise ValueError(f"{spec.endpoint.model} refuses every text ({_line(journal, questions[0]).text})")
    served_by = _served_by(spec, journal.models[0], shots)
    answers = [
        _answer(name, _line(journal, question), served_by, is_timed=place < spec.timed)
        for place, ((name, _), question) in enumerate(zip(rows, questions, strict=True))
    ]
    write_jsonl(job.folder / PREDICTIONS, answers)
    job.finish(
        SampleResult(
            job_id=spec.job_id,
            model_id=spec.model_id,
            digest=served_by.digest,
            rows=len(answers),
            seconds=job.seconds,
            usage=journal.usage(),
            versions=VERSIONS | {"mistralai": version("mistralai")},
        )
    )


async def _ask_all(
    job: Job[SampleSpec], endpoint: EndpointSpec, questions: Sequence[Question], journal: Journal, sleep: Sleep
) -> None:
    done = sum(journal.outcome(question.key) is not None for question in questions)
    tell_every = max(1, len(questions) // TOLD)

    def answered() -> None:
        nonlocal done
        done += 1
        if done % tell_every == 0:
            job.say(f"answered {done} texts", of=len(questions), step=done)

    job.say(f"answering {len(questions) - done} texts", of=len(questions), step=done)
    timed, rest = questions[: job.spec.timed], questions[job.spec.timed :]
    async with Asker(endpoint, journal, os.environ.get(MISTRAL_KEY) or None, sleep) as asker:
        if any(journal.outcome(question.key) is None for question in timed):
            await asker.ask_all(_warm_up(questions, journal), at_once=1)
            await asker.ask_all(timed, at_once=1, answered=answered)
        await asker.ask_all(rest, answered=answered)


def _question(name: str, text: str, task: Task, shots: Sequence[Example]) -> Question:
    shown = [(shot.text, shot.target) for shot in shots]
    return Question(f"row {name}", messages_for(task, text, shown), ANSWER_TOKENS, answer_schema(task))


def _warm_up(questions: Sequence[Question], journal: Journal) -> list[Question]:
    """What is asked before time is taken; its answers are not used."""
    before = 0
    while journal.outcome(f"warm-up {before + 1}") is not None:
        before += 1
    more = WARM_UP - before if before < WARM_UP else WARM_UP_AGAIN
    return [
        Question(f"warm-up {number}", like.messages, like.max_tokens, like.schema)
        for number in range(before + 1, before + 1 + more)
        for like in [questions[number % len(questions)]]
    ]


def _line(journal: Journal, question: Question) -> Line:
    line = journal.outcome(question.key)
    assert line is not None  # or asking would have failed
    return line


def _answer(name: str, line: Line, served_by: ServedBy, is_timed: bool) -> Answer:
    text = line.text if line.outcome == "answered" else f"(no answer: {line.text})"
    return Answer(id=name, text=text, latency_ms=line.latency_ms if is_timed else None, served_by=served_by)


def _served_by(spec: SampleSpec, model: str, shots: Sequence[Example]) -> ServedBy:
    """Who answered: the model as its server calls it, and what it was asked with."""
    assert spec.endpoint is not None
    server = "mistral" if spec.endpoint.server_url is None else "own"
    shown = [[shot.text, shot.target] for shot in shots]
    made_of = [spec.arm, model, server, spec.task.prompt_for(""), shown]
    return ServedBy(backend=spec.arm, model_id=spec.model_id, digest=digest(made_of))
