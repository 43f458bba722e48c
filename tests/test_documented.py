"""The documentation as a stranger uses it: every page's commands, typed in order, in a copy of the repository."""

from pathlib import Path

import pytest

from tests.documents.fences import ROOT, blocks, pages
from tests.documents.typing import Typed, copy_here, type_page

pytestmark = pytest.mark.documented

TYPED = [page for page in pages() if any(block.commands and block.not_run is None for block in blocks(page))]


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_tells_to_type_works_and_says_what_is_shown(page: Path, tmp_path: Path):
    """Ours: a reader types what stands there, from the top of the page, and sees what stands there."""
    typed = typed_out(page, tmp_path)

    assert typed.problems == [], "\n\n".join(typed.problems)
    if typed.left_out:
        pytest.skip(f"all but what needs {', '.join(typed.left_out)}, which is not installed")


def typed_out(page: Path, scratch: Path) -> Typed:
    folder = scratch / "etude"
    folder.mkdir()
    return type_page(blocks(page), copy_here(folder), scratch / "home")
