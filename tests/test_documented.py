"""The documentation as a stranger uses it: every page's commands, typed in order, in a copy of the repository."""

import fnmatch
import json
from pathlib import Path

import pytest

from docs.generate.files import GROUPS
from tests.documents.fences import ROOT, blocks, pages
from tests.documents.typing import Typed, copy_here, type_page

pytestmark = pytest.mark.documented

TYPED = [page for page in pages() if any(block.commands and block.not_run is None for block in blocks(page))]
DEMO = ROOT / "docs" / "tutorials" / "demo.md"


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_tells_to_type_works_and_says_what_is_shown(page: Path, tmp_path: Path):
    """Ours: a reader types what stands there, from the top of the page, and sees what stands there."""
    typed = typed_out(page, tmp_path)

    assert typed.problems == [], "\n\n".join(typed.problems)
    if page == DEMO:
        the_files_are_those_of_the_reference(typed.folder / "artifacts")
    if typed.left_out:
        pytest.skip(f"all but what needs {', '.join(typed.left_out)}, which is not installed")


def typed_out(page: Path, scratch: Path) -> Typed:
    folder = scratch / "etude"
    folder.mkdir()
    return type_page(blocks(page), copy_here(folder), scratch / "home")


def the_files_are_those_of_the_reference(artifacts: Path) -> None:
    """Every file of a run is on the page, and every file that is always there, in the layout that the page names."""
    known = [file for files in GROUPS.values() for file in files]
    seen: dict[str, set[int | None]] = {}
    for path in filter(Path.is_file, artifacts.rglob("*")):
        name = path.relative_to(artifacts).as_posix()
        if name == "README.md" or any(part.startswith(".") for part in Path(name).parts):
            continue
        kinds = [file for file in known if same_place(name, file.place)]
        assert kinds, f"{name} is not in docs/generate/files.py"
        written = json.loads(path.read_text(encoding="utf-8")).get("schema") if kinds[0].schema else None
        seen.setdefault(kinds[0].place, set()).add(written)
    assert {file.place for file in known if file.when == "always"} <= set(seen)
    assert {file.place: {file.schema} for file in known if file.place in seen} == seen


def same_place(name: str, place: str) -> bool:
    parts, wanted = Path(name).parts, Path(place).parts
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
