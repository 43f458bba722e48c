"""Check a finished run from outside: `python -m tests.acceptance RUN.json`, the document of `etude cycle --json`.

Looks at what a user is promised: the document's shape, that promotions carry their proof and nothing else does, that
the artifacts are there, and that no sealed row's text stands in any file outside the sealed folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

DOCUMENT = {"schema", "task", "dataset", "backends", "begin", "cycles", "artifacts", "report"}
CYCLE = {
    "cycle",
    "verdict",
    "reason",
    "focus_dimensions",
    "champion_before",
    "champion_after",
    "diagnose",
    "gate",
    "campaign",
    "brain",
    "seconds",
    "wandb_report",
}
VERDICTS = {"promote", "hold", "undecided", "stopped"}
CYCLE_FILES = {
    "cycle.json",
    "ledger.jsonl",
    "mcp_eval_snapshot.json",
    "mcp_decision_input.json",
    "diagnosis.json",
    "playbook.json",
    "decision_log.md",
    "before_after_metrics.csv",
    "summary.json",
}
ROW_FILES = {"augmentation_spec.json", "generated_augmented_pairs.jsonl"}
CANDIDATE_FILES = {"hparam_patch.json", "gate.json"}
REPORT_FILES = {"weave_failure_cases.json", "weave_failure_playbook.md", "report_draft.md", "report.html"}


def check_document(document: dict[str, Any]) -> None:
    """The shape of the document, and that every verdict is borne out by its figures."""
    assert set(document) == DOCUMENT, set(document) ^ DOCUMENT
    assert document["begin"]["verdict"] in VERDICTS
    champion = document["begin"]["champion"]
    for cycle in document["cycles"]:
        assert set(cycle) == CYCLE, set(cycle) ^ CYCLE
        assert cycle["verdict"] in VERDICTS
        assert cycle["champion_before"] == champion, "a cycle starts from the champion that the last one left"
        champion = cycle["champion_after"]
        assert (cycle["champion_after"] != cycle["champion_before"]) == (cycle["verdict"] == "promote")
        assert (cycle["reason"] is None) == (cycle["verdict"] == "promote")
        assert (cycle["gate"] is None) == (cycle["verdict"] == "stopped")
        if cycle["gate"] is not None:
            check_gate(cycle["verdict"], cycle["gate"])


def check_gate(verdict: str, gate: dict[str, Any]) -> None:
    """A promotion shows a gain beyond its interval and no failed check; anything else shows no difference."""
    if verdict == "promote":
        assert gate["difference"] < 0 and gate["ci"][1] < 0, gate
        assert gate["checks"] and all(check["passed"] for check in gate["checks"]), gate
    else:
        assert gate["difference"] is None and gate["ci"] is None, gate
    assert gate["n"] > 0 and 0 < gate["level"] <= 0.05


def check_artifacts(document: dict[str, Any]) -> None:
    """The files of the design are there, and what is embedded is labelled in the report."""
    root = Path(document["artifacts"])
    for cycle in document["cycles"]:
        folder = root / "loop" / f"cycle_{cycle['cycle']}"
        files = {file.name for file in folder.iterdir()}
        wanted = CYCLE_FILES | (CANDIDATE_FILES if cycle["verdict"] != "stopped" else set())
        policies = json.loads((folder / "playbook.json").read_text(encoding="utf-8"))["policies"]
        if any(policy["gate"] and policy["rows_added"] for policy in policies):
            wanted |= ROW_FILES
        assert wanted <= files, f"cycle {cycle['cycle']} lacks {sorted(wanted - files)}"
    assert {file.name for file in (root / "wandb").iterdir()} >= REPORT_FILES
    page = Path(document["report"]).read_text(encoding="utf-8")
    assert "stand-in" in page
    assert ("written by the embedded demo world" in page) == (document["backends"]["teacher"] == "demo-world")


def check_seal(document: dict[str, Any], sealed: Path | None = None) -> int:
    """How many sealed texts were looked for in every file outside the seal; finding one is an error."""
    root = Path(document["artifacts"])
    sealed = sealed or root / "sealed"
    texts = {
        json.loads(line)["text"].encode()
        for file in sealed.rglob("gate.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    }
    assert texts, "no sealed rows found, so nothing was checked"
    # A text that also stands in an open split (an exact copy would be a leak of its own) cannot be told apart.
    for file in root.rglob("*"):
        if file.is_file() and sealed not in file.parents:
            content = file.read_bytes()
            found = next((text for text in texts if text in content), None)
            assert found is None, f"{file} holds the sealed text {found!r}"
    return len(texts)


def main() -> int:
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    check_document(document)
    check_artifacts(document)
    sealed = check_seal(document)
    if document["dataset"]["name"] == "demo":
        promoted = [cycle["cycle"] for cycle in document["cycles"] if cycle["verdict"] == "promote"]
        assert promoted, "the demo improves its model within two cycles"
    verdicts = ", ".join(f"cycle {cycle['cycle']}: {cycle['verdict']}" for cycle in document["cycles"])
    print(
        f"{document['dataset']['name']}: begin {document['begin']['verdict']}, {verdicts}; {sealed} sealed texts kept"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
