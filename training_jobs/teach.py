"""Have a language model write examples: `python -m training_jobs.teach JOB_DIR`.

For each intent it writes one text. Then it reads every text twice, as the `teacher` arm would: the text alone, without
a word of what it was meant to say, and neither reading knows the other. `drafts.jsonl` gets one row an intent, usable
or not; what becomes of them is decided by the filters of whoever asked. A job that was killed goes on, and nothing is
paid for twice.
"""

import os
import sys
from functools import partial
from importlib.metadata import version

import anyio

from servers.core.answers import InvalidAnswer, parse_answer
from servers.core.disk import read_jsonl, write_jsonl
from servers.core.job_files import ANSWERS, DRAFTS, DraftRow, TeachResult, TeachSpec
from servers.core.mistral.asker import Asker, Sleep
from servers.core.mistral.chat import Question
from servers.core.mistral.journal import Journal
from servers.core.prompting import ANSWER_TOKENS, answer_schema, messages_for
from servers.core.services import MISTRAL_KEY
from servers.core.task import Task
from servers.core.teaching import TEXT_SCHEMA, Intent, writing_messages, written_text
from training_jobs.job import VERSIONS, Job, run

WRITING_TEMPERATURE = 0.9
READING_TEMPERATURES = (0.2, 0.7)  # one each: two readings at 0 would be one
SEEDS = 1_000_000  # some servers take no larger ones
TELL_EVERY = 10  # answers


def teach(job: Job[TeachSpec], sleep: Sleep = anyio.sleep) -> None:
    """Do a teacher's job.

    Args:
        job: The job; its journal may hold answers of an earlier attempt.
        sleep: Waits between two tries.

    Raises:
        ValueError: the service fails, asking on would cost too much, or it wrote no text at all; one line.
    """
    intents = [Intent.model_validate(row) for row in read_jsonl(job.file(job.spec.intents_file))]
    journal = Journal(job.file(ANSWERS))
    anyio.run(partial(_ask_all, job, intents, journal, sleep))

    drafts = [_draft(job.spec.task, intent, journal) for intent in intents]
    if not any(draft.text for draft in drafts):
        raise ValueError(
            f"{job.spec.endpoint.model} wrote no text that can be read, in {len(drafts)} answers; set model in "
            "[teacher] of etude.toml to one that answers in JSON"
        )
    write_jsonl(job.folder / DRAFTS, drafts)
    job.finish(
        TeachResult(
            job_id=job.spec.job_id,
            rows=len(drafts),
            read=sum(bool(draft.readings) for draft in drafts),
            teacher=journal.models[0],
            seconds=job.seconds,
            usage=journal.usage(),
            versions=VERSIONS | {"mistralai": version("mistralai")},
        )
    )


async def _ask_all(job: Job[TeachSpec], intents: list[Intent], journal: Journal, sleep: Sleep) -> None:
    spec, steps = job.spec, len(intents) * (1 + len(READING_TEMPERATURES))
    done = 0

    def answered() -> None:
        nonlocal done
        done += 1
        if done % TELL_EVERY == 0:
            job.say(f"{done} of {steps} answers", of=steps, step=done)

    def left(questions: list[Question]) -> list[Question]:
        nonlocal done
        unanswered = [question for question in questions if journal.outcome(question.key) is None]
        done += len(questions) - len(unanswered)
        return unanswered

    async with Asker(spec.endpoint, journal, os.environ.get(MISTRAL_KEY) or None, sleep) as asker:
        writing = left([_write(spec, number, intent) for number, intent in enumerate(intents)])
        job.say(f"writing {len(writing)} texts", of=steps, step=done)
        await asker.ask_all(writing, answered=answered)
        texts = {intent.id: text for intent in intents if (text := _text(intent, journal))}
        reading = left(
            [
                _read(spec, name, text, which)
                for name, text in texts.items()
                for which in range(len(READING_TEMPERATURES))
            ]
        )
        job.say(f"reading {len(texts)} texts twice", of=steps, step=done)
        await asker.ask_all(reading, answered=answered)


def _write(spec: TeachSpec, number: int, intent: Intent) -> Question:
    return Question(
        key=f"{intent.id} write",
        messages=writing_messages(spec.task, intent),
        max_tokens=spec.text_tokens,
        schema=TEXT_SCHEMA,
        temperature=WRITING_TEMPERATURE,
        seed=(spec.seed + number) % SEEDS,
    )


def _read(spec: TeachSpec, name: str, text: str, which: int) -> Question:
    return Question(
        key=f"{name} read {which + 1}",
        messages=messages_for(spec.task, text),
        max_tokens=ANSWER_TOKENS,
        schema=answer_schema(spec.task),
        temperature=READING_TEMPERATURES[which],
        seed=which + 1,
    )


def _text(intent: Intent, journal: Journal) -> str | None:
    line = journal.outcome(f"{intent.id} write")
    return written_text(line.text) if line is not None and line.outcome == "answered" else None


def _draft(task: Task, intent: Intent, journal: Journal) -> DraftRow:
    text = _text(intent, journal) or ""
    readings = [_reading(task, f"{intent.id} read {which + 1}", journal) for which in range(len(READING_TEMPERATURES))]
    valid = [reading for reading in readings if reading is not None]
    made_from = {"teacher": journal.models[0], "intent": intent.told(task)}
    return DraftRow(text=text, readings=valid if len(valid) == len(readings) else [], made_from=made_from)


def _reading(task: Task, key: str, journal: Journal) -> dict[str, float] | None:
    line = journal.outcome(key)
    if line is None or line.outcome != "answered":
        return None
    try:
        return parse_answer(line.text, task)
    except InvalidAnswer:
        return None


if __name__ == "__main__":
    sys.exit(run(TeachSpec, teach))
