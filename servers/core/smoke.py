"""Smoke runs: the first job of a recipe elsewhere is a small one, so that what cannot work fails for cents.

The same code on the same hardware, with few rows and one pass. A recipe is family, base, image, code and flavor; once
any job of it has succeeded, no smoke run of it is needed.
"""

from functools import lru_cache

from servers.core.dataset import Example
from servers.core.disk import digest, file_digest, read_json, write_jsonl
from servers.core.families import family_named
from servers.core.job_files import RESULT, SPEC, TrainSpec
from servers.core.jobs import SOURCE_ROOT
from servers.core.workspace import Workspace

TRAIN_ROWS, TEXT_ROWS = 16, 4
TRAIN_FILE, TEXTS_FILE = "smoke_train.jsonl", "smoke_texts.jsonl"
CODE = ("servers/core", "training_jobs")  # what runs elsewhere


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Of the code that a job runs."""
    files = sorted(path for part in CODE for path in (SOURCE_ROOT / part).rglob("*.py"))
    return digest({path.relative_to(SOURCE_ROOT).as_posix(): file_digest(path) for path in files})


def recipe_digest(family: str, base: str | None, base_revision: str | None, image: str, flavor: str) -> str:
    """What a smoke run tries out."""
    return digest([family, base, base_revision, image, flavor, code_digest()])[:16]


def has_succeeded(workspace: Workspace, recipe: str) -> bool:
    """Whether a job of this recipe has, be it a smoke run or a training."""
    specs = (file.with_name(SPEC) for file in workspace.jobs_root.glob(f"*/{RESULT}"))
    return any(spec.exists() and read_json(spec).get("recipe") == recipe for spec in specs)


def smoke_spec(
    workspace: Workspace, training: TrainSpec, timeout_s: int, train: list[Example], texts: list[Example]
) -> TrainSpec:
    """The smoke run of a training, with its rows beside it.

    Args:
        workspace: The artifacts folder.
        training: The first training of the plan.
        timeout_s: Its time limit.
        train: Rows that the plan trains on; the first few are taken.
        texts: Rows that it is followed on; the first few are taken.
    """
    assert training.remote is not None  # nothing on this machine needs one
    family = family_named(training.family)
    job_id = smoke_job_id(training.plan_id)
    folder = workspace.job_dir(job_id)
    write_jsonl(folder / TRAIN_FILE, train[:TRAIN_ROWS])
    write_jsonl(folder / TEXTS_FILE, texts[:TEXT_ROWS])
    once = {} if family.passes is None else {family.passes: 1}
    return training.model_copy(
        update={
            "job_id": job_id,
            "model_id": family.model_id(job_id.removeprefix("smoke-")),
            "hparams": training.hparams | once,
            "train_file": TRAIN_FILE,
            "texts_file": TEXTS_FILE,
            "smoke": True,
            "remote": training.remote.model_copy(update={"timeout_s": timeout_s}),
        }
    )


def smoke_job_id(plan_id: str) -> str:
    """The job of a plan's smoke run."""
    return f"smoke-{plan_id.rpartition('-')[2]}"
