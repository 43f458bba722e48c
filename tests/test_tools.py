"""All tools together: what they say about themselves."""

import json

import anyio
import pytest
from mcp.types import Tool

from servers.catalogue import README, all_tools, changes, table, with_table

TOKENS_FOR_ALL = 6_000  # characters / 4, over the four servers' names, descriptions and input schemas
READS = {
    "describe_task", "get_evaluation", "list_failures", "compare_models",
    "list_datasets",
    "get_job", "list_jobs", "list_models",
    "get_cycle", "read_evidence", "search_playbook",
    "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool", "get_run_history_tool",
}  # fmt: skip
TAKES_AWAY = {"cancel_job", "rollback_model"}
WRITES = {
    "prepare_dataset", "diagnose_dataset", "evaluate_model", "gate_candidate",
    "plan_augmentation", "augment_dataset", "publish_dataset",
    "plan_retrain", "start_retrain", "promote_model",
    "open_cycle", "record_context", "write_playbook", "write_report",
}  # fmt: skip


@pytest.fixture(scope="module")
def tools() -> dict[str, list[Tool]]:
    return anyio.run(all_tools)


def test_the_readme_lists_what_the_servers_serve(tools: dict[str, list[Tool]]):
    """Ours: the table is made by a command; `python -m servers.catalogue --write` mends it."""
    readme = README.read_text(encoding="utf-8")

    assert with_table(readme, table(tools)) == readme


def test_names_are_unique_across_servers(tools: dict[str, list[Tool]]):
    """Ours: a client that mixes the servers needs no prefixes."""
    names = [tool.name for listed in tools.values() for tool in listed]

    assert len(names) == len(set(names))


def test_every_tools_hints_are_what_it_does(tools: dict[str, list[Tool]]):
    """Ours: a client decides by the hints what it may do without asking."""
    by_kind: dict[str, set[str]] = {}
    for listed in tools.values():
        for tool in listed:
            by_kind.setdefault(changes(tool).partition(",")[0], set()).add(tool.name)

    assert by_kind == {"nothing": READS, "writes": WRITES, "takes away": TAKES_AWAY}


def test_nothing_here_reaches_the_open_world(tools: dict[str, list[Tool]]):
    """Ours: without an account every tool stays on this machine, and says so."""
    assert all(t.annotations and t.annotations.open_world_hint is False for listed in tools.values() for t in listed)


def test_every_tool_says_what_it_returns(tools: dict[str, list[Tool]]):
    """Ours: results are typed, so a program can use them as well as a person."""
    assert [t.name for listed in tools.values() for t in listed if not (t.description and t.output_schema)] == []


def test_all_descriptions_and_schemas_leave_room_in_a_prompt(tools: dict[str, list[Tool]]):
    """Ours: a small brain has to read them all."""
    ours = [tool for server, listed in tools.items() if server != "wandb" for tool in listed]
    chars = sum(len(t.name) + len(t.description or "") + len(json.dumps(t.input_schema)) for t in ours)

    assert chars / 4 < TOKENS_FOR_ALL, chars / 4
