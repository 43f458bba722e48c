"""The documentation as a text: its links lead somewhere, and each command is run by a test or says why not."""

import re
from pathlib import Path

import pytest

from tests.documents.fences import OTHERS, ROOT, TYPED, Block, Command, blocks, missing_line, pages
from tests.documents.links import anchors, markdown_files, problem, targets
from tests.documents.typing import type_page

TYPED_OUTSIDE = re.compile(r"^ {4,}(?:\S+=\S+ )?(?:\$ |\.venv/bin/|make |etude |npx |git clone |export )", re.MULTILINE)


def test_every_link_leads_to_a_file_and_a_heading_that_are_there():
    """Ours: as read on a Git host; `python -m tests.documents.links` lists the addresses outside."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}: {why}"
        for page in markdown_files()
        for target in targets(page)
        if (why := problem(page, target))
    ]

    assert broken == []


def test_every_command_is_run_by_a_test_or_says_why_not():
    """Ours: `bash` and `console` are run by make test-docs, or a reason stands above; nothing hides in indents."""
    found = {block.where: block for page in pages() for block in blocks(page)}

    assert {where for where, block in found.items() if block.language not in (*TYPED, *OTHERS)} == set()
    assert {where for where, block in found.items() if block.not_run is not None and not block.commands} == set()
    assert sum(bool(block.commands) and block.not_run is None for block in found.values()) > 20
    hidden = [
        f"{page.relative_to(ROOT)}: {line[0].strip()}"
        for page in pages()
        for line in TYPED_OUTSIDE.finditer(re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S))
    ]
    assert hidden == []


@pytest.mark.parametrize("folder", ["agent", "servers", "training_jobs", "tests"])
def test_the_readme_of_a_folder_names_what_is_in_it_and_nothing_else(folder: str):
    """Ours: whoever takes over finds the right room at once."""
    text = (ROOT / folder / "README.md").read_text("utf-8")
    tree = "\n".join(re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    named = {name.replace("<room>", "*") for name in re.findall(r"[\w*<>/]+\.py\b", tree)}
    files = [file.relative_to(ROOT / folder) for file in (ROOT / folder).rglob("*.py")]
    modules = {file for file in files if len(file.parts) == 1 and not file.stem.startswith("__")}

    assert {name for name in named if not any(file.match(name) for file in files)} == set()
    assert {module.name for module in modules if not any(module.match(name) for name in named)} == set()
    assert {file.parts[0] for file in files if len(file.parts) > 1 and f"{file.parts[0]}/" not in tree} == set()


def test_every_page_of_the_site_is_named_for_those_who_read_on_a_git_host():
    """Ours: docs/README.md is the index there, docs/index.md on the site."""
    listed = {(ROOT / "docs" / target).resolve() for target in targets(ROOT / "docs" / "README.md")}
    own = {page for page in (ROOT / "docs").rglob("*.md") if not {"_build", "decisions"} & set(page.parts)}

    assert own - listed == {ROOT / "docs" / "README.md", ROOT / "docs" / "index.md"}


@pytest.mark.parametrize(
    ("expected", "said", "missing"),
    [
        (("a  b",), "x\na b\ny", None),
        (("report: …/report.html",), "report: /tmp/1/report.html", None),
        (("first", "…", "second"), "first\nother\nsecond", None),
        (("second", "first"), "first\nsecond", "first"),
        (("7 rows",), "17 rows", "7 rows"),
    ],
)
def test_a_session_shows_what_a_command_says(expected: tuple[str, ...], said: str, missing: str | None):
    """Ours: line by line and in order, whatever the columns; … stands for what differs from run to run."""
    assert missing_line(expected, said) == missing


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path):
    """Ours: the check above can fail."""
    page = ROOT / "README.md"

    assert problem(page, "docs/nowhere.md") == "no such file"
    assert problem(page, "docs/judging.md#nowhere") == "no heading 'nowhere' there"
    assert problem(page, "docs") == "leads to a folder; name its README"
    assert problem(page, "http://example.org") == "not a plain https address"
    assert "the-verdict" in anchors(ROOT / "docs" / "judging.md")


def test_a_page_that_does_not_do_what_it_says_is_seen(tmp_path: Path):
    """Ours: the shell's state goes on from block to block; wrong words and a failing command are told with the line."""
    words = ["call() { echo 7 $1; }; cd sub", "call rows", "no-such-word", "echo on"]
    commands = [Command(text, ("8 rows",) if text == "call rows" else ()) for text in words]
    (tmp_path / "sub").mkdir()
    page = [Block("page.md", 10 + n, "bash", one.text, commands=(one,)) for n, one in enumerate(commands)]

    typed = type_page(page, tmp_path, tmp_path / "home")

    failed, differs = typed.problems
    assert failed.startswith("page.md:12: exit code 127 of\nno-such-word")
    assert differs.startswith("page.md:11: 'call rows' did not say '8 rows'; it said\n7 rows")
    assert type_page([page[0], page[3]], tmp_path, tmp_path / "other").problems == []
    lacking = Block("page.md", 1, "bash", "", needs="no-such-word", commands=(commands[2],))
    assert type_page([lacking], tmp_path, tmp_path / "third").left_out == ["no-such-word"]
