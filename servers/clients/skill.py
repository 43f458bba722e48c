"""The agent skill that teaches a coding agent to run a cycle, and its way into a client's folder."""

from pathlib import Path

from servers.clients import text_file

# Beside this file in an installed package; at the root in a checkout.
_PLACES = (Path(__file__).parent / "skill", Path(__file__).parents[2] / "skills" / "etude")


def source() -> Path:
    """The folder of the skill.

    Raises:
        ValueError: it was not installed.
    """
    for folder in _PLACES:
        if (folder / "SKILL.md").is_file():
            return folder
    raise ValueError("the skill was not installed with etude; install it anew")


def files() -> dict[str, str]:
    """The skill's files: their texts, by their path inside the folder."""
    folder = source()
    return {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.md"))}


def install(into: Path, may_replace: bool) -> list[str]:
    """Put the skill into a folder; what was done with each file, in words.

    Raises:
        ValueError: a file there says something else and may not be replaced, or cannot be written.
    """
    found = {name: text_file.read(into / name) for name in files()}
    for name, was in found.items():
        if was.raw is not None and was.text != files()[name] and not may_replace:
            raise ValueError(f"{into / name} says something else; look at it, and call again with --replace")
    done = []
    for name, was in found.items():
        if was.text == files()[name]:
            done.append(f"{into / name} is up to date")
            continue
        kept = text_file.replace(was, files()[name])
        done.append(f"wrote {into / name}" + (f"; what was there is in {kept.name}" if kept else ""))
    return done
