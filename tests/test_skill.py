"""The agent skill: in the published format, and everything that it names is there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers.catalogue import all_tools
from servers.clients import skill

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "skills" / "etude"
TEXTS = {file.name: file.read_text(encoding="utf-8") for file in sorted(FOLDER.rglob("*.md"))}
# https://agentskills.io/specification, as of November 2026.
FIELDS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
PROMPTS = {"run_cycle", "explain_failures", "review_promotion", "plan_next_cycle"}
NO_TOOLS = {"next_steps", "wait_s", "approve_usd", "is_error", "stop_reason", "not_shown", "etude_toml"}


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    _, head, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(head), body


def faults(text: str, folder: str) -> list[str]:
    """What the specification would refuse."""
    head, body = front_matter(text)
    name, description = str(head.get("name", "")), str(head.get("description", ""))
    checks = {
        "fields": set(head) <= FIELDS,
        "name": re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) is not None and len(name) <= 64 and name == folder,
        "description": 1 <= len(description) <= 1024,
        "compatibility": len(str(head.get("compatibility", "x"))) <= 500,
        "lines": body.count("\n") < 500,
        "tokens": len(body) / 4 < 5000,
    }
    return [check for check, holds in checks.items() if not holds]


def test_it_is_a_skill_as_agents_read_it():
    """Ours: by the published specification; it says what it does and when to use it."""
    assert faults(TEXTS["SKILL.md"], "etude") == []
    assert "Use when" in front_matter(TEXTS["SKILL.md"])[0]["description"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("name: etude", "name: Etude", "name"),
        ("name: etude", "name: other", "name"),
        ("license:", "licence:", "fields"),
        ("description: ", "description: " + "x" * 1024, "description"),
        ("# Running", "line\n" * 500 + "# Running", "lines"),
    ],
)
def test_the_check_of_the_format_can_say_no(old: str, new: str, fault: str):
    """Ours: a check that cannot fail is none."""
    assert fault in faults(TEXTS["SKILL.md"].replace(old, new, 1), "etude")


@pytest.mark.anyio
async def test_every_tool_that_it_names_exists():
    """Ours: an agent that reads it calls nothing that is not there; and each step of a cycle is named."""
    tools = {tool.name for listed in (await all_tools()).values() for tool in listed}
    words = {word for text in TEXTS.values() for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)}

    assert words - tools - PROMPTS - NO_TOOLS == set()
    assert {"open_cycle", "get_cycle", "record_context", "gate_candidate", "promote_model", "write_report"} <= words
    assert {word for word in PROMPTS if not (ROOT / "servers" / "prompts" / f"{word}.md").is_file()} == set()


def test_every_command_that_it_names_exists():
    """Ours: the words after `etude`, and their options, are known to the command."""
    written = r"(?:`|^    )etude ([a-z][a-z-]+)([^`#\n|]*)"
    commands = {match for text in TEXTS.values() for match in re.findall(written, text, re.MULTILINE)}
    main = _help()
    for word, rest in sorted(commands):
        assert re.search(rf"^ +{word}\b", main, re.MULTILINE), f"etude {word}"
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in _help(word), f"etude {word} {option}"
    assert {word for word, _ in commands} >= {"cycle", "doctor", "import", "verify", "client-config", "report", "sync"}


def _help(*words: str) -> str:
    """As the reference has it, which another test holds to what the command says."""
    reference = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    return reference.partition(f"## {' '.join(['etude', *words])}\n")[2].partition("\n## ")[0]


def test_every_phrase_that_it_explains_is_said_somewhere():
    """Ours: what an agent looks up in the table is what a tool really says."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "servers").rglob("*.py"))
    rows = TEXTS["troubleshooting.md"].split("|---|---|---|\n")[1].splitlines()
    phrases = [phrase for row in rows for phrase in re.findall(r"`([^`]+ [^`]+)`", row.split("|")[1])]

    said_by_the_sdk = {"Error executing tool"}
    assert [phrase for phrase in phrases if phrase not in source and phrase not in said_by_the_sdk] == []
    assert len(phrases) > 8


def test_every_file_that_it_leads_to_is_there_and_is_installed_with_it():
    """Ours: links stay one level deep, as the specification asks."""
    links = re.findall(r"\]\(([^)]+)\)", TEXTS["SKILL.md"])

    assert links and all((FOLDER / link).is_file() and link.count("/") == 1 for link in links)
    assert set(skill.files()) == {"SKILL.md", *links}
