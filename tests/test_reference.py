"""The pages that are made from the code: docs/reference is what `make reference` writes."""

import sys

import pytest

from agent.settings import AgentSettings, MistralSettings, WandbSettings
from docs.generate.commands import commands_page
from docs.generate.page import REFERENCE, keys_of
from docs.generate.pages import PAGES
from servers.core.settings import Settings
from servers.core.task import Task

QUICK = sorted(set(PAGES) - {"commands"})


@pytest.mark.parametrize("name", QUICK)
def test_a_page_of_the_reference_is_what_the_code_says(name: str):
    """Ours: a tool, setting, metric or file cannot be described otherwise than it is; `make reference` mends it."""
    assert (REFERENCE / f"{name}.md").read_text(encoding="utf-8") == PAGES[name]()


@pytest.mark.documented
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions of argparse word the help otherwise")
def test_the_command_line_is_described_as_its_help_says():
    """Ours: as above; it starts each command, so it is not in make test."""
    assert (REFERENCE / "commands.md").read_text(encoding="utf-8") == commands_page()


def test_every_page_of_the_reference_is_generated():
    """Ours: nobody edits there by hand."""
    assert sorted(page.stem for page in REFERENCE.glob("*.md")) == sorted(PAGES)


@pytest.mark.parametrize("model", [Settings, AgentSettings, MistralSettings, WandbSettings, Task])
def test_every_setting_says_what_it_means(model):
    """Ours: an empty cell in a reference helps nobody."""
    tables = [field.annotation for field in model.model_fields.values() if hasattr(field.annotation, "model_fields")]
    keys = [key for table in (model, *tables) for key in keys_of(table)]

    told_by_their_tables = {"`agent`", "`dimensions`", "`keywords`"}
    assert {name for name, _, _, meaning in keys if not meaning} <= told_by_their_tables
