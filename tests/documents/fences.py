"""The code blocks of a page, and which of them are typed by the test.

A block in `bash` is typed as it stands. A block in `console` is a session: a line that begins with `$ ` is typed (a
line that ends in a backslash goes on), and the lines below it have to come, in this order, in what it says; `…` in
them stands for anything, and a line that is only `…` for any lines. A block that is not typed says why in a comment
on the line above:

    <!-- not run: needs an account -->

and one that needs a program which not every machine has names it: `<!-- needs: npx -->`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
TYPED = ("bash", "console")
OTHERS = ("toml", "json", "jsonl", "text", "python", "ini", "yaml", "html", "markdown", "sh", "diff", "")
"""Languages that show and are not typed. What own-user.md has in `sh`, tests/test_two_users.py carries out."""

_FENCE = re.compile(r"^(?P<indent> {0,3})(?P<ticks>`{3,})(?P<language>[\w-]*)\s*(?P<rest>.*)$")
_COMMENT = re.compile(r"^<!-- (?P<kind>not run|needs): (?P<words>.+) -->$")


@dataclass(frozen=True)
class Command:
    """One thing to type."""

    text: str
    expected: tuple[str, ...] = ()
    """Lines of what it says, in order; none where the page shows none."""


@dataclass(frozen=True)
class Block:
    """One code block."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None = None
    """The reason why it is not typed."""
    needs: str | None = None
    """A program without which it cannot be."""
    commands: tuple[Command, ...] = field(default=())

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The pages whose commands are typed."""
    found = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("README.md")),
    ]
    found += [page for name in ("CONTRIBUTING.md", "SECURITY.md") if (page := ROOT / name).exists()]
    return [page for page in found if "_build" not in page.parts]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: a block is not closed.
    """
    name, lines = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    start = 0
    while start < len(lines):
        opening = _FENCE.match(lines[start])
        if not opening:
            start += 1
            continue
        end = next((n for n in range(start + 1, len(lines)) if lines[n].strip() == opening["ticks"]), None)
        if end is None:
            raise ValueError(f"{name}:{start + 1}: a block is not closed")
        text = "\n".join(lines[start + 1 : end])
        marks = _marks(lines, start)
        commands = _session(text) if opening["language"] == "console" else (Command(text),)
        found.append(
            Block(
                page=name,
                line=start + 1,
                language=opening["language"],
                text=text,
                not_run=marks.get("not run"),
                needs=marks.get("needs"),
                commands=commands if opening["language"] in TYPED else (),
            )
        )
        start = end + 1
    return found


def _marks(lines: list[str], start: int) -> dict[str, str]:
    marks = {}
    for line in reversed(lines[max(0, start - 3) : start]):
        mark = _COMMENT.match(line.strip())
        if not mark:
            if line.strip():
                break
            continue
        marks[mark["kind"]] = mark["words"]
    return marks


def _session(text: str) -> tuple[Command, ...]:
    commands: list[tuple[list[str], list[str]]] = []
    goes_on = False
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(([line[2:]], []))
        elif goes_on:
            commands[-1][0].append(line)
        elif commands:
            commands[-1][1].append(line)
        goes_on = line.endswith("\\") and (goes_on or line.startswith("$ "))
    return tuple(Command("\n".join(typed), tuple(said)) for typed, said in commands)


def missing_line(expected: tuple[str, ...], said: str) -> str | None:
    """The first expected line that does not come in its turn; None where all do."""
    lines = iter(said.splitlines())
    for wanted in expected:
        if wanted.strip() in ("…", ""):
            continue
        pattern = re.compile(r"\s+".join(_pattern(part) for part in wanted.split()))
        if not any(pattern.fullmatch(" ".join(line.split())) for line in lines):
            return wanted
    return None


def _pattern(word: str) -> str:
    return ".*".join(re.escape(piece) for piece in word.split("…"))
