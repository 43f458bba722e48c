"""All tools together: what they say about themselves."""

import json
import re

import anyio
import pytest
from mcp.types import Tool

from servers.catalogue import README, all_tools, table, with_table

TOKENS_FOR_ALL = 6_000  # characters / 4, over the four servers' names, descriptions and input schemas
TOKENS_IN_RESERVE = 900

# read-only, destructive, idempotent, open-world
HINTS = {
    "reads": (True, False, True, False),
    "writes": (False, False, True, False),
    "writes, reaches out": (False, False, True, True),
    "takes away": (False, True, True, False),
    "takes away, each time": (False, True, False, False),
}
TOOLS = {
    "describe_task": ("Describe task", "reads"),
    "prepare_dataset": ("Prepare dataset", "writes"),
    "diagnose_dataset": ("Diagnose dataset", "writes"),
    "sample_model": ("Sample model", "writes, reaches out"),
    "evaluate_model": ("Evaluate model", "writes, reaches out"),
    "get_evaluation": ("Get evaluation", "reads"),
    "list_failures": ("List failures", "reads"),
    "compare_models": ("Compare models", "reads"),
    "choose_candidate": ("Choose candidate", "writes"),
    "gate_candidate": ("Gate candidate", "writes, reaches out"),
    "list_datasets": ("List datasets", "reads"),
    "plan_augmentation": ("Plan augmentation", "writes, reaches out"),
    "plan_campaign": ("Plan campaign", "writes, reaches out"),
    "augment_dataset": ("Augment dataset", "writes, reaches out"),
    "publish_dataset": ("Publish dataset", "writes, reaches out"),
    "plan_retrain": ("Plan retrain", "writes, reaches out"),
    "start_retrain": ("Start retrain", "writes, reaches out"),
    "get_job": ("Get job", "reads"),
    "list_jobs": ("List jobs", "reads"),
    "cancel_job": ("Cancel job", "takes away"),
    "list_models": ("List models", "reads"),
    "promote_model": ("Promote model", "writes"),
    "publish_model": ("Publish model", "writes, reaches out"),
    "rollback_model": ("Rollback model", "takes away, each time"),
    "open_cycle": ("Open cycle", "writes"),
    "get_cycle": ("Get cycle", "reads"),
    "record_context": ("Record context", "writes"),
    "read_evidence": ("Read evidence", "reads"),
    "search_playbook": ("Search playbook", "reads"),
    "write_playbook": ("Write playbook", "writes"),
    "write_report": ("Write report", "writes"),
    "query_wandb_tool": ("Query wandb", "reads"),
    "count_weave_traces_tool": ("Count weave traces", "reads"),
    "query_weave_traces_tool": ("Query weave traces", "reads"),
    "get_run_history_tool": ("Get run history", "reads"),
}
WORDS_OF_ARGUMENTS = {"next_steps", "next_offset", "stop_reason"}  # what else a next step may name
NEXT = re.compile(r"^[A-Z].*\. Next: (.+?)(?:\. [A-Z].*|\.)$", re.DOTALL)


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


def test_every_tool_has_its_title_and_hints(tools: dict[str, list[Tool]]):
    """Ours: a client decides by the hints what it may do without asking, and shows the title when it asks."""
    found = {
        tool.name: (
            tool.title,
            hints and (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint),
        )
        for listed in tools.values()
        for tool in listed
        for hints in [tool.annotations]
    }

    assert found == {name: (title, HINTS[kind]) for name, (title, kind) in TOOLS.items()}


def test_every_tool_says_what_it_does_and_which_tool_comes_next(tools: dict[str, list[Tool]]):
    """Ours: whoever reads one description knows how to go on."""
    for listed in tools.values():
        for tool in listed:
            found = NEXT.match(" ".join((tool.description or "").split()))
            assert found and tool.description and tool.description.count("Next:") == 1, tool.description
            named = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", found[1]))
            assert named <= TOOLS.keys() | WORDS_OF_ARGUMENTS, (tool.name, named)
            assert named, tool.description


def test_every_tool_says_what_it_returns(tools: dict[str, list[Tool]]):
    """Ours: results are typed, so a program can use them as well as a person."""
    assert [t.name for listed in tools.values() for t in listed if not (t.description and t.output_schema)] == []


def test_all_descriptions_and_schemas_leave_room_in_a_prompt(tools: dict[str, list[Tool]]):
    """Ours: a small brain has to read them all."""
    ours = [tool for server, listed in tools.items() if server != "wandb" for tool in listed]
    chars = sum(len(t.name) + len(t.description or "") + len(json.dumps(t.input_schema)) for t in ours)

    assert chars / 4 < TOKENS_FOR_ALL - TOKENS_IN_RESERVE, chars / 4
