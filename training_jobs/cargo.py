"""What a job on Hugging Face needs: our code, the libraries to install, and its own files under plain names.

Nothing else leaves this machine. Rows to train on come from the open splits of the artifacts folder or from the job's
own folder; of texts to answer, only `id` and `text` go, whatever else their file holds.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import Field

from servers.core.disk import canonical, digest, file_digest, read_jsonl
from servers.core.job_files import SPEC, SampleSpec, TrainSpec
from servers.core.jobs import SOURCE_ROOT
from servers.core.wire import Wire

CODE = ("servers/__init__.py", "servers/core", "training_jobs")
BOARDING, REQUIREMENTS = "boarding.json", "requirements.txt"
TRAIN, TEXTS, SHOTS, SERVED = "train.jsonl", "texts.jsonl", "shots.jsonl", "served_model"
ALWAYS = ("httpx2", "huggingface_hub", "numpy", "pydantic", "scipy")  # in the versions that are installed here
# What language models are trained with, in the versions that this was tested with.
LANGUAGE_MODELS = (
    "accelerate==1.15.0",
    "datasets==5.2.0",
    "peft==0.21.2",
    "safetensors==0.8.0",
    "tokenizers==0.23.3",
    "torch==2.13.0",
    "transformers==5.23.0",
    "trl==1.16.0",
)

Work = TrainSpec | SampleSpec
Contents = bytes | Path


class Place(Wire):
    """A folder in a repository of the Hub."""

    type: Literal["model", "dataset"]
    repo: str
    folder: str


class Boarding(Wire):
    """`boarding.json`: what the program that does the job there needs to know besides the specification."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    results: Place
    log: Place
    """Where the log of a job that failed goes."""
    checkpoint_s: float
    """Between two looks for a checkpoint to save."""


def code_files() -> dict[str, Contents]:
    """Our code by its path; nothing of tests and agent."""
    found: dict[str, Contents] = {}
    for part in CODE:
        place = SOURCE_ROOT / part
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
                found[file.relative_to(SOURCE_ROOT).as_posix()] = file
    return found


def code_name(files: dict[str, Contents]) -> str:
    """A name that follows from what the code is."""
    return digest({name: file_digest(file) for name, file in files.items() if isinstance(file, Path)})[:16]


def requirements(spec: Work) -> bytes:
    """What is installed before the job begins, each in one version."""
    needs_more = spec.family != "student" if isinstance(spec, TrainSpec) else spec.arm == "fine_tuned"
    pins = [f"{name}=={version(name)}" for name in ALWAYS]
    return "".join(f"{pin}\n" for pin in sorted([*pins, *(LANGUAGE_MODELS if needs_more else ())])).encode()


def job_files(folder: Path, spec: Work, boarding: Boarding) -> dict[str, Contents]:
    """A job's files by the names that they have there, the specification with those names in it.

    Args:
        folder: Of the job here.
        spec: Its specification.
        boarding: Goes along.

    Raises:
        ValueError: a file is missing, lies where no job's files do, or the base model is a folder of this machine.
    """
    if spec.base is not None and Path(spec.base).is_dir():
        raise ValueError(
            f"the base model {spec.base!r} is a folder of this machine, which Hugging Face cannot see; set base in "
            "[model] to a repository of the Hub, or backend in [jobs] to 'local'"
        )
    if isinstance(spec, SampleSpec) and spec.model_dir is None:
        raise ValueError(f"arm {spec.arm!r} answers at an endpoint, which is asked from this machine; leave remote out")
    names: dict[str, str | None] = {"texts_file": TEXTS}
    files: dict[str, Contents]
    if isinstance(spec, TrainSpec):
        names |= {"train_file": TRAIN}
        files = {
            TRAIN: _open_rows(folder, spec.train_file),
            TEXTS: _open_rows(folder, spec.texts_file),
        }
    else:
        files = {TEXTS: _texts_alone(folder / spec.texts_file)}
        if spec.shots_file is not None:
            names |= {"shots_file": SHOTS}
            files[SHOTS] = _open_rows(folder, spec.shots_file)
        assert spec.model_dir is not None  # it was refused above
        names |= {"model_dir": SERVED}
        model = folder / spec.model_dir
        files |= {
            f"{SERVED}/{file.relative_to(model).as_posix()}": file
            for file in sorted(model.rglob("*"))
            if file.is_file()
        }
    there = spec.model_copy(update={**names, "remote": None})
    files[SPEC] = _json(there.model_dump(mode="json", by_alias=True))
    files[BOARDING] = _json(boarding.model_dump(mode="json", by_alias=True))
    files[REQUIREMENTS] = requirements(spec)
    return files


def _open_rows(folder: Path, path: str) -> Path:
    """A file of rows that may leave this machine."""
    file, root = (folder / path).resolve(), folder.resolve().parent.parent
    if not any(file.is_relative_to(place) for place in (folder.resolve(), root / "datasets")):
        raise ValueError(f"{file} is no file of the job or of a dataset's open splits, so it is not uploaded")
    if not file.is_file():
        raise ValueError(f"{file} is missing; plan again")
    return file


def _texts_alone(path: Path) -> bytes:
    """The rows of a texts file with nothing but id and text."""
    lines = []
    for number, row in enumerate(read_jsonl(path), start=1):
        if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("text"), str)):
            raise ValueError(f"{path}, row {number}, has no texts under 'id' and 'text'")
        lines.append(canonical({"id": row["id"], "text": row["text"]}) + "\n")
    return "".join(lines).encode()


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
