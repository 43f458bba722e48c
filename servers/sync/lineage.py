"""What a run was made of and what it made: dataset versions and models, as artifacts of W&B.

Nothing is recorded twice for this: a run's config names its dataset version and its models, and the artifacts folder
has them. A dataset artifact holds the open splits and the card; the sealed split lies elsewhere, and a file that leads
there is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest
from servers.core.job_files import MODEL, RESULT, TrainResult
from servers.core.models import Gone, trained_model
from servers.core.tracking import Run
from servers.core.workspace import Workspace

MAX_MODEL_BYTES = 512 * 2**20  # a student, and an adapter of some 100 MB; what is larger is named instead
OPEN_FILES = ("train.jsonl", "diagnose.jsonl", "card.json")


@dataclass(frozen=True)
class Piece:
    """One version of an artifact."""

    kind: Literal["dataset", "model"]
    name: str
    """Of the collection."""
    alias: str
    """Of the version."""
    metadata: dict[str, Any]
    files: dict[str, Path]
    """Name in the artifact to file."""

    @property
    def id(self) -> str:
        return f"{self.name}:{self.alias}"

    @property
    def digest(self) -> str:
        return digest(self.metadata)


@dataclass(frozen=True)
class Lineage:
    """The pieces around one run."""

    used: list[Piece]
    made: list[Piece]


def lineage_of(workspace: Workspace, run: Run) -> Lineage:
    """What the run's config names, as far as it is still there."""
    config = run.config
    dataset, version = config.get("dataset"), config.get("dataset/version")
    data = [_dataset(workspace, dataset, version)] if dataset and version else []
    if run.job_type == "train":
        made = [_model(workspace, config["model"])] if run.state == "finished" else []
        return Lineage(_there(data), _there(made))
    named = [config.get(name) for name in ("model", "candidate", "champion")]
    return Lineage(_there([*data, *(_model(workspace, model) for model in named if model)]), [])


def _there(pieces: list[Piece | None]) -> list[Piece]:
    return [piece for piece in pieces if piece is not None]


def _dataset(workspace: Workspace, name: str, version: str) -> Piece | None:
    try:
        card: Card = DatasetStore(workspace).card(name, version)
    except ValueError:
        return None  # deleted since
    folder = workspace.dataset_dir(name, version)
    facts = ("fingerprint", "parent", "root", "task", "created_at", "recipe", "synthetic", "diagnose_fingerprint")
    metadata = {**card.model_dump(mode="json", include=set(facts)), "rows": card.rows.model_dump()}
    files = {name: _open(workspace, folder / name) for name in OPEN_FILES}
    return Piece("dataset", f"etude-{name}", version, metadata, files)


def _model(workspace: Workspace, model_id: str) -> Piece | None:
    try:
        made: TrainResult = trained_model(workspace, model_id)
    except Gone:
        return None  # a constant, a rule, a language model at an endpoint; or deleted since
    folder = workspace.job_dir(made.job_id)
    weights = sorted(path for path in (folder / MODEL).rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in weights)
    files = {RESULT: _open(workspace, folder / RESULT)}  # always there, so that two models never look alike
    if size <= MAX_MODEL_BYTES:
        files |= {path.relative_to(folder).as_posix(): _open(workspace, path) for path in weights}
    facts = {"model", "digest", "family", "hparams", "dataset", "dataset_version", "cycle", "train_rows", "versions"}
    metadata = {
        "model": made.model_id,
        **made.model_dump(mode="json", include=facts),
        "bytes": size,
        "weights": "in this artifact"
        if size <= MAX_MODEL_BYTES
        else f"where they were made: jobs/{made.job_id}/{MODEL}",
    }
    return Piece("model", f"etude-{made.dataset}-model", made.model_id, metadata, files)


def _open(workspace: Workspace, path: Path) -> Path:
    if workspace.is_sealed(path):
        raise ValueError(f"{path} leads into the sealed folder, and nothing of it is sent; take the link away")
    return path
