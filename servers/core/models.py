"""The models that training jobs made: found from the jobs' results, never listed a second time."""

import re
from pathlib import Path

from pydantic import ValidationError

from servers.core.disk import digest, file_digest, read_json
from servers.core.job_files import MODEL, RESULT, TrainResult, problem_in
from servers.core.workspace import Workspace


class Gone(ValueError):
    """What is asked for is not there, or no longer; another fault of it is an ordinary ValueError."""


TRAINED_ID = re.compile(r"[a-z_]+-([0-9a-f]{12})")


def model_digest(folder: Path) -> str:
    """The digest of a saved model: of the names and bytes of all files in its folder, 64 hexadecimal digits.

    Raises:
        ValueError: there is no such folder, or nothing in it.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise ValueError(f"no model files in {folder}")
    return digest({path.relative_to(folder).as_posix(): file_digest(path) for path in files})


def trained_models(workspace: Workspace, dataset: str) -> list[TrainResult]:
    """Every model that was trained on some version of a dataset, by model id."""
    files = (workspace.root / "jobs").glob(f"train-*/{RESULT}")
    return sorted((made for file in files if (made := _read(file)).dataset == dataset), key=lambda made: made.model_id)


def trained_model(workspace: Workspace, model_id: str) -> TrainResult:
    """What is known of one trained model.

    Raises:
        ValueError: no job made it.
    """
    number = TRAINED_ID.fullmatch(model_id)
    file = None if number is None else workspace.job_dir(f"train-{number[1]}") / RESULT
    if file is None or not file.exists() or (made := _read(file)).model_id != model_id:
        made_ids = sorted(_read(path).model_id for path in (workspace.root / "jobs").glob(f"train-*/{RESULT}"))
        known = ", ".join(["constant", "rule", *made_ids[:8], *(["…"] if len(made_ids) > 8 else [])])
        raise Gone(f"no model {model_id!r}; known: {known}; list_models shows all")
    return made


def intact_folder(workspace: Workspace, made: TrainResult) -> Path:
    """The folder of a model's files, after a look at every byte of them.

    Raises:
        ValueError: the files are gone, or not those that were trained.
    """
    folder = workspace.job_dir(made.job_id) / MODEL
    way_out = "restore them, or call rollback_model if this model serves"
    try:
        found = model_digest(folder)
    except ValueError:
        raise Gone(f"the files of {made.model_id!r} are gone from {folder}; {way_out}") from None
    if found != made.digest:
        raise ValueError(f"the files of {made.model_id!r} in {folder} are not those that were trained; {way_out}")
    return folder


def _read(file: Path) -> TrainResult:
    try:
        return TrainResult.model_validate(read_json(file))
    except ValidationError as error:
        raise ValueError(f"{file} is not the result of a training ({problem_in(error)}); delete its job") from error
