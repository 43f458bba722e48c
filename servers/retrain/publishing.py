"""Publish a trained model on the Hugging Face Hub: its files, and a card with how well it does."""

from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.hub import resolved_namespace
from servers.core.hub_repos import Uploaded, upload
from servers.core.model_card import model_card
from servers.core.models import intact_folder, trained_model
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace


def publish_model_files(workspace: Workspace, task: Task, services: Services, model: str) -> Uploaded:
    """Upload a model into `<namespace>/etude-<task>-<model>`, private unless that is public already.

    Raises:
        ValueError: no job made the model, its files are not those that were trained, its evaluation is invalid, or the
            Hub refuses.
    """
    made = trained_model(workspace, model)
    folder = intact_folder(workspace, made)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    card = model_card(task, made, _newest_evaluation(workspace, model, made.digest))
    return upload(
        services,
        "model",
        f"{resolved_namespace(services)}/etude-{task.name}-{model}",
        {**files, "README.md": card.encode()},
        f"{model}, trained for {made.cycle}",
    )


def _newest_evaluation(workspace: Workspace, model: str, digest: str) -> Evaluation | None:
    store = EvaluationStore(workspace)
    found = [one for one in store.all() if (one.model, one.served_by.digest) == (model, digest)]
    return store.verified(found[-1].evaluation_id) if found else None  # what is published is looked at row by row
