"""Where the links of the Markdown files lead, as a Git host follows them: relative paths, and anchors of headings."""

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tests.documents.fences import ROOT

LEFT_OUT = {"_build", "__pycache__", "node_modules", "build", "dist"}

_FENCED = re.compile(r"^ {0,3}(`{3,}).*?^ {0,3}\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`+[^`]*`+")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
_TAG = re.compile(r"(?:src|href|srcset)=\"(?P<target>[^\"]+)\"")
_EXTERNAL = re.compile(r"https://[\w.-]+\.[a-z]{2,}(?:/[^\s<>\"]*)?|mailto:\S+@\S+")


def markdown_files() -> list[Path]:
    """Every Markdown file that people read; none that a run or an environment left behind."""
    found = []
    for folder, inner, names in os.walk(ROOT):
        here = Path(folder)
        inner[:] = [name for name in inner if not name.startswith(".") and name not in LEFT_OUT]
        if here == ROOT / "artifacts":
            inner.clear()
        found += [here / name for name in names if name.endswith(".md")]
    return sorted(found)


def targets(page: Path) -> Iterator[str]:
    """Where the page's links and pictures lead; code is no link."""
    words = _CODE.sub(" ", _FENCED.sub("", page.read_text(encoding="utf-8")))
    for pattern in (_LINK, _TAG):
        yield from (found["target"] for found in pattern.finditer(words))


def anchors(page: Path) -> set[str]:
    """The headings' anchors, as GitHub and MyST make them."""
    found: dict[str, int] = {}
    for line in _FENCED.sub("", page.read_text(encoding="utf-8")).splitlines():
        if heading := re.match(r"#{1,6} +(.+?) *#*$", line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            slug = "".join(c for c in words if c in "-_ " or unicodedata.category(c)[0] in "LN").replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{n}" if n else slug for slug, count in found.items() for n in range(count + 1)}


def problem(page: Path, target: str) -> str | None:
    """Why a link leads nowhere, or None."""
    if re.match(r"[a-z]+:", target):
        return None if _EXTERNAL.fullmatch(target) else "not a plain https address"
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.is_relative_to(ROOT):
        return "leads out of the repository"
    if not file.is_file():
        return "leads to a folder; name its README" if file.is_dir() else "no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return f"no heading {anchor!r} there"
    return None


def main() -> int:
    """Print the addresses outside, each with the pages that name it."""
    outside: dict[str, list[str]] = {}
    for page in markdown_files():
        for target in targets(page):
            if re.match(r"https?:", target):
                outside.setdefault(target, []).append(page.relative_to(ROOT).as_posix())
    for target, named_by in sorted(outside.items()):
        print(target, *sorted(set(named_by)), sep="  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
