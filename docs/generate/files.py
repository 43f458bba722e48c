"""The page of what a run leaves on disk: every file, what it means, and the version of its layout.

tests/test_documented.py holds the table against the files of a real run: none of these is left out of the page, and
no file that the page says every run has is missing.
"""

from dataclasses import dataclass
from typing import Literal

from docs.generate.page import page, table

OPENING = """\
Everything that a run knows lies in one folder, `artifacts/` unless `--artifacts` names another. Deleting it forgets
everything. JSON documents carry the version of their layout as `schema`, shown here where there is one. Files appear
by write and rename, so a half-written one is never read; lines are only ever added to `.jsonl` ledgers. *Always*
means after every completed cycle; *sometimes*, where what makes it was used. A name that begins with a dot is a lock,
or a draft that a killed process left behind. An example of the tree stands in
[artifacts/README.md](../../artifacts/README.md)."""


@dataclass(frozen=True)
class File:
    """One kind of file."""

    place: str
    """Below the artifacts folder, `*` for a name."""
    meaning: str
    schema: int | None = None
    when: Literal["always", "sometimes"] = "always"


GROUPS: dict[str, tuple[File, ...]] = {
    "datasets: the rows that may be read": (
        File("datasets/*/head.json", "which version is the newest", 1),
        File("datasets/*/*/train.jsonl", "rows to learn from; grows from version to version"),
        File("datasets/*/*/diagnose.jsonl", "rows to look for failures on; the same in all versions of a name"),
        File("datasets/*/*/card.json", "how the version came to be: recipe, counts, fingerprints, whether synthetic"),
    ),
    "sealed: the rows that judge": (
        File("sealed/*/*/gate.jsonl", "the sealed rows; only the eval server opens this folder"),
        File("sealed/*/*/sketch.npz", "keyed hashes of their texts, so that copies of them are left out elsewhere"),
        File("sealed/*/*/verdicts.jsonl", "each verdict that was asked for, and the level it spent"),
        File("sealed/*/*/evidence/*.jsonl", "what each model answered for a verdict: candidate, champion, constant"),
        File("sealed/*/*/jobs/*/*", "there while a job answers sealed rows", when="sometimes"),
    ),
    "eval: measurements on diagnose rows": (
        File("eval/runs/*/eval.json", "one evaluation: figures, intervals, definitions, whose they are", 1),
        File("eval/runs/*/rows.jsonl", "the error of each row, and its trace"),
        File("eval/runs/*/predictions.jsonl", "each answer, as it came"),
        File("eval/summary/latest_summary.json", "the newest evaluation in the first project's form", 1),
    ),
    "jobs: trainings, and models that answer": (
        File("jobs/*/spec.json", "everything that the job is told", 1),
        File("jobs/*/status.json", "how far it is", 1),
        File("jobs/*/result.json", "how it ended, and with what", 1),
        File("jobs/*/metrics.jsonl", "losses and steps as they came"),
        File("jobs/*/predictions.jsonl", "what the model answers on diagnose rows"),
        File("jobs/*/log.txt", "its own words"),
        File("jobs/*/tracked.json", "what of it was logged as a run", 1),
        File("jobs/*/model/*", "the model: the student's weights, or an adapter"),
        File("jobs/*/*.lock", "who works at it"),
        File(
            "jobs/*/answers.jsonl",
            "each request to a language model, before it is sent and when answered",
            when="sometimes",
        ),
        File("jobs/*/drafts.jsonl", "rows that a language model wrote, before the filters", when="sometimes"),
        File("jobs/*/remote.json", "the job elsewhere: address, stage, cost", when="sometimes"),
        File("jobs/*/checkpoints/*", "what the next attempt of a killed training goes on with", when="sometimes"),
    ),
    "loop: one folder for each cycle": (
        File("loop/*/cycle.json", "dataset, champion, configuration and what the cycle works with", 1),
        File("loop/*/ledger.jsonl", "each call that the agent made, and what came of it"),
        File("loop/*/mcp_eval_snapshot.json", "what was read back from W&B or its stand-in, word for word", 1),
        File("loop/*/mcp_decision_input.json", "what of it the decisions rest on", 1),
        File("loop/*/diagnosis.json", "what the data can teach, by dimension", 2),
        File("loop/*/augmentation_spec.json", "the plan of new rows: aim, counts, teacher, filters", 1, "sometimes"),
        File("loop/*/generated_augmented_pairs.jsonl", "the new rows that passed", when="sometimes"),
        File("loop/*/refused_augmented_pairs.jsonl", "those that did not, each with its reason", when="sometimes"),
        File("loop/*/hparam_patch.json", "the recipe of the training, and what it changes", 1, "sometimes"),
        File("loop/*/campaign*", "a campaign's ways, figures and choice", when="sometimes"),
        File("loop/*/gate.json", "the verdict: checks, thresholds, and figures where it promoted", 1, "sometimes"),
        File("loop/*/before_after_metrics.csv", "champion and candidate, metric by metric"),
        File("loop/*/picture.png", "the error in service and the errors by dimension, as a chat client shows them"),
        File("loop/*/decision_log.md", "what was decided, when and why"),
        File("loop/*/playbook.json", "failures with their remedies, and lessons with their claims", 1),
        File("loop/*/summary.json", "the end of the cycle; a cycle that has it is closed", 1),
        File("loop/*/brain.jsonl", "what each answer of a language model took", when="sometimes"),
        File("loop/*/results/*", "long results that the model may read again", when="sometimes"),
        File("loop/*/sampled/*", "which job answered for which model", when="sometimes"),
    ),
    "the rest": (
        File("models/registry.json", "the champion of each dataset, and how it came to be", 1),
        File("tracking/local.db", "runs and traces, in SQLite"),
        File("tracking/uploads.jsonl", "what of them W&B has", when="sometimes"),
        File("wandb/report.html", "the newest report, one file that needs nothing else"),
        File("wandb/report_draft.md", "the same as text, in the outline of the first project"),
        File("wandb/weave_failure_cases.json", "the worst failures with their traces", 1),
        File("wandb/weave_failure_playbook.md", "the same for reading"),
        File("ledger/*.jsonl", "each call that a server answered, whoever asked"),
        File("log/*.log", "what each server said on stderr"),
        File("budget.jsonl", "what was reserved, settled and given back", when="sometimes"),
        File("published/*", "dataset versions and models as they go to the Hub", when="sometimes"),
        File("run.json", "which cycles the last run worked on; an unfinished one is finished by the same command", 1),
        File("*.lock", "who works in this folder"),
    ),
}


def files_page() -> str:
    parts = [OPENING]
    for title, files in GROUPS.items():
        rows = [(f"`{one.place}`", one.meaning, str(one.schema or ""), one.when) for one in files]
        parts += [f"## {title}", table(("file", "what it is", "schema", "when"), rows)]
    return page("Files", *parts)
