"""Champions: one at a time, changed only from the one that was seen, and never forgotten."""

import json
from pathlib import Path

import pytest

from servers.core.registry import Move, Registry
from servers.core.workspace import Workspace


def serve(registry: Registry, model: str, replaces: str | None, verdict: str, dataset: str = "demo") -> Move:
    """Put a model into service as promote_model does."""
    return registry.put_in_service(
        dataset,
        model,
        f"digest of {model}",
        action="begin" if replaces is None else "promote",
        cycle="cycle_1",
        verdict_id=verdict,
        reason="a test",
        replaces=replaces,
    )


def test_datasets_have_champions_of_their_own(tmp_path: Path):
    """Ours: one registry, a line for each dataset."""
    registry = Registry(Workspace(tmp_path))

    serve(registry, "a", None, "v1")
    serve(registry, "b", None, "v2", dataset="other")

    assert (registry.champion("demo"), registry.champion("other"), registry.champion("third")) == ("a", "b", None)


def test_a_champion_that_was_not_seen_is_not_replaced(tmp_path: Path):
    """Ours: of two callers who saw the same champion only one may replace it."""
    registry = Registry(Workspace(tmp_path))
    serve(registry, "a", None, "v1")
    serve(registry, "b", "a", "v2")

    with pytest.raises(ValueError, match="the champion of 'demo' is 'b' now, not 'a'; look again with list_models"):
        serve(registry, "c", "a", "v3")

    assert registry.champion("demo") == "b"


def test_the_same_verdict_again_changes_nothing(tmp_path: Path):
    """Ours: a promotion that is repeated after a lost reply finds the first."""
    registry = Registry(Workspace(tmp_path))
    serve(registry, "a", None, "v1")
    first = serve(registry, "b", "a", "v2")

    assert serve(registry, "b", "a", "v2") == first
    assert [move.model for move in registry.history("demo")] == ["a", "b"]


def test_a_verdict_that_was_taken_back_cannot_be_used_again(tmp_path: Path):
    """Ours: what was rolled back comes back with a new verdict only."""
    registry = Registry(Workspace(tmp_path))
    serve(registry, "a", None, "v1")
    serve(registry, "b", "a", "v2")
    registry.roll_back("demo", "a", "digest of a", replaces="b", reason="it was worse")

    with pytest.raises(ValueError, match="a verdict counts once"):
        serve(registry, "b", "a", "v2")

    assert registry.champion("demo") == "a"


def test_rollbacks_walk_down_and_leave_the_history_whole(tmp_path: Path):
    """Ours: going back twice goes back two champions, and every move stays on record."""
    registry = Registry(Workspace(tmp_path))
    for model, replaces in (("a", None), ("b", "a"), ("c", "b")):
        serve(registry, model, replaces, f"verdict of {model}")

    registry.roll_back("demo", "b", "digest of b", replaces="c", reason="worse")
    line = registry.line("demo")
    assert line is not None and [move.model for move in line.standing] == ["a", "b"]
    registry.roll_back("demo", "constant", "digest of constant", replaces="b", reason="worse still")

    line = registry.line("demo")
    assert line is not None and [move.model for move in line.standing] == ["constant"]
    assert [move.action for move in line.history] == ["begin", "promote", "promote", "rollback", "rollback"]


def test_a_registry_that_contradicts_itself_is_refused_by_name(tmp_path: Path):
    """Ours: a champion written in by hand has no verdict."""
    workspace = Workspace(tmp_path)
    registry = Registry(workspace)
    serve(registry, "a", None, "v1")
    document = json.loads(workspace.registry_file.read_text())
    document["lines"]["demo"]["champion"] = "mine"
    workspace.registry_file.write_text(json.dumps(document))

    with pytest.raises(ValueError, match=r"registry.json is not a registry .*'mine'.* restore it"):
        registry.champion("demo")
