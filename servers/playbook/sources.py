"""Evidence by reference: `kind:id` names a document that some tool wrote, never a path.

What a claim may rest on and what read_evidence may show are the same documents. Nothing here opens the sealed folder;
of a verdict there is only what left it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from servers.core.cycle_files import document, opening
from servers.core.dataset import DatasetStore
from servers.core.disk import read_json, read_jsonl
from servers.core.evaluations import EvaluationStore
from servers.core.workspace import Workspace

KINDS = {
    "evaluation": "evaluation:<evaluation id>",
    "compare": "compare:<candidate evaluation>:<champion evaluation>",
    "cycle": "cycle:<cycle>",
    "diagnosis": "diagnosis:<cycle>",
    "snapshot": "snapshot:<cycle>",
    "campaign": "campaign:<cycle>",
    "gate": "gate:<cycle>",
    "playbook": "playbook:<cycle>",
    "summary": "summary:<cycle>",
    "augmentation": "augmentation:<plan id>",
    "retrain": "retrain:<plan id>",
    "dataset": "dataset:<name>:<version>",
    "job": "job:<job id>",
    "trace": "trace:<trace id>",
}
_OF_A_CYCLE = {
    "diagnosis": ("diagnosis.json", "diagnose_dataset"),
    "snapshot": ("mcp_eval_snapshot.json", "record_context"),
    "campaign": ("campaign_result.json", "choose_candidate"),
    "gate": ("gate.json", "gate_candidate"),
    "playbook": ("playbook.json", "write_playbook"),
    "summary": ("summary.json", "write_report"),
}
_OF_A_PLAN = {"augmentation": "augmentation_spec.json", "retrain": "hparam_patch.json"}
_PLACES = ("_file", "_dir")  # endings of settings that hold a place on this machine


class Sources:
    """The documents of one artifacts folder, as they are when they are first asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._evaluations = EvaluationStore(workspace)
        self._datasets = DatasetStore(workspace)
        self._read: dict[str, dict[str, Any]] = {}

    def document(self, ref: str) -> dict[str, Any]:
        """What `ref` names.

        Raises:
            ValueError: the kind or the id is unknown; the message says which kinds there are.
        """
        # Many claims of one playbook rest on few documents, and a trace is looked for in every evaluation.
        if ref not in self._read:
            self._read[ref] = self._document(ref)
        return self._read[ref]

    def _document(self, ref: str) -> dict[str, Any]:
        kind, _, rest = ref.partition(":")
        parts = rest.split(":")
        readers: dict[str, tuple[int, Callable[..., dict[str, Any]]]] = {
            "evaluation": (1, self._evaluation),
            "compare": (2, self._comparison),
            "cycle": (1, self._cycle),
            "dataset": (2, self._dataset),
            "job": (1, self._job),
            "trace": (1, self._trace),
            **{name: (1, self._of_cycle(name)) for name in _OF_A_CYCLE},
            **{name: (1, self._of_plan(name)) for name in _OF_A_PLAN},
        }
        if kind not in readers:
            raise ValueError(f"no evidence of kind {kind!r}; known: {', '.join(KINDS.values())}")
        count, reader = readers[kind]
        if len(parts) != count or not all(parts):
            raise ValueError(f"{ref!r} is not of the form {KINDS[kind]}")
        return reader(*parts)

    def _evaluation(self, evaluation_id: str) -> dict[str, Any]:
        return self._evaluations.get(evaluation_id).model_dump(mode="json", by_alias=True)

    def _comparison(self, candidate: str, champion: str) -> dict[str, Any]:
        """Candidate minus champion, figure by figure; negative is better for errors."""
        first, second = self._evaluations.get(candidate), self._evaluations.get(champion)
        if first.diagnose_fingerprint != second.diagnose_fingerprint:
            raise ValueError(f"{candidate!r} and {champion!r} were measured on different rows and cannot be compared")
        differences = {
            name: None if value is None or (other := second.metrics.get(name)) is None else value - other
            for name, value in first.metrics.items()
        }
        return {"candidate": first.model, "champion": second.model, "n": first.n, "metrics": differences}

    def _cycle(self, cycle: str) -> dict[str, Any]:
        return opening(self._workspace, cycle).model_dump(mode="json", by_alias=True)

    def _of_cycle(self, kind: str) -> Callable[[str], dict[str, Any]]:
        def read(cycle: str) -> dict[str, Any]:
            opening(self._workspace, cycle)
            return document(self._workspace, cycle, *_OF_A_CYCLE[kind])

        return read

    def _of_plan(self, kind: str) -> Callable[[str], dict[str, Any]]:
        def read(plan_id: str) -> dict[str, Any]:
            plans = {plan["plan_id"]: plan for plan in self._plans(_OF_A_PLAN[kind])}
            if plan_id not in plans:
                raise ValueError(f"no {kind} plan {plan_id!r}; known: {', '.join(plans) or 'none'}")
            return plans[plan_id]

        return read

    def _plans(self, name: str) -> Iterator[dict[str, Any]]:
        for file in sorted((self._workspace.root / "loop").glob(f"*/{name}")):
            plan = read_json(file)
            if "plan_id" in plan:
                yield plan

    def _dataset(self, name: str, version: str) -> dict[str, Any]:
        return self._datasets.card(name, version).model_dump(mode="json")

    def _job(self, job_id: str) -> dict[str, Any]:
        folder = self._workspace.job_dir(job_id)
        if not (folder / "spec.json").exists():
            known = ", ".join(sorted(path.parent.name for path in folder.parent.glob("*/spec.json"))[-5:]) or "none"
            raise ValueError(f"no job {job_id!r}; known: {known}")
        found = {
            name: read_json(folder / f"{name}.json")
            for name in ("spec", "status", "result")
            if (folder / f"{name}.json").exists()
        }
        found["spec"] = {k: v for k, v in found["spec"].items() if k != "task" and not k.endswith(_PLACES)}
        return found | {"metrics": list(read_jsonl(folder / "metrics.jsonl"))[-1:]}

    def _trace(self, trace_id: str) -> dict[str, Any]:
        for evaluation in reversed(self._evaluations.all()):
            for row in self._evaluations.rows(evaluation.evaluation_id):
                if row.trace_id == trace_id:
                    return row.model_dump(mode="json") | {"cycle": evaluation.cycle, "model": evaluation.model}
        raise ValueError(f"no trace {trace_id!r} among the scored rows; record_context and list_failures show traces")
