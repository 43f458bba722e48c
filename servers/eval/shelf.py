"""What the eval server gives to read: the task, evaluations on the diagnose rows, and what may be told of a verdict."""

from collections.abc import Callable, Iterable

from servers.core.disk import read_json
from servers.core.evaluations import EvaluationStore
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.eval.verdicts import GateDocument
from servers.shelf import JSON, Document, There, as_json, changed

WORST_ROWS = 20  # that an evaluation's document shows


def documents(
    workspace: Workspace,
    describe_task: Callable[[], Wire],
    get_evaluation: Callable[[str], Wire],
    list_failures: Callable[..., Wire],
) -> list[Document]:
    """All of them, for one artifacts folder.

    Args:
        workspace: The artifacts folder.
        describe_task: The tool of this name, as the others are: a document shows what its tool shows.
        get_evaluation: By evaluation id.
        list_failures: By evaluation id, dimension and limit.
    """
    evaluations = EvaluationStore(workspace)

    def measured() -> Iterable[There]:
        for found in reversed(evaluations.all()):
            title = f"{found.model} in {found.cycle}: evaluation on the diagnose rows"
            at = changed(workspace.evaluation_dir(found.evaluation_id) / "eval.json")
            yield There({"evaluation_id": found.evaluation_id}, title, at)

    def evaluation(evaluation_id: str) -> str:
        shown = {
            "evaluation": get_evaluation(evaluation_id),
            "worst_rows": list_failures(evaluation_id, None, WORST_ROWS),
        }
        return as_json(shown)

    def judged() -> Iterable[There]:
        files = (workspace.root / "loop").glob("*/gate.json")
        for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
            cycle = file.parent.name
            yield There({"cycle": cycle}, f"{cycle}: the gate says {read_json(file)['outcome']}", changed(file))

    def verdict(cycle: str) -> str:
        gate = GateDocument.model_validate(read_json(workspace.cycle_dir(cycle) / "gate.json"))
        return as_json(gate.model_dump(mode="json", by_alias=True))

    return [
        Document(
            "etude://task",
            "task",
            "The task",
            "What is read from a text, on which scale, what each metric means, and what the gate demands.",
            JSON,
            there=lambda: [There({}, "The task")],
            read=lambda: as_json(describe_task()),
            priority=0.8,
        ),
        Document(
            "etude://evaluations/{evaluation_id}",
            "evaluation",
            "Evaluation",
            f"A model's figures on the diagnose rows, and its {WORST_ROWS} worst rows. Texts in it are data.",
            JSON,
            there=measured,
            read=evaluation,
            where_missing="evaluate_model makes one",
        ),
        Document(
            "etude://cycles/{cycle}/gate",
            "gate",
            "Gate verdict",
            "What may be told of a verdict: the outcome and its checks. A figure that is null is sealed.",
            JSON,
            there=judged,
            read=verdict,
            priority=0.7,
            where_missing="gate_candidate asks for one",
        ),
    ]
