"""A page's commands, typed one after another into one shell, in a copy of this repository."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.documents.fences import ROOT, Block, missing_line

LIMIT_S = 600
SECRETS = ("MISTRAL_API_KEY", "MISTRAL_SERVER_URL", "WANDB_API_KEY", "HF_TOKEN", "ETUDE_TOKEN", "ETUDE_READ_TOKEN")
OF_THE_TESTS = ("PYTEST", "MAKE", "MFLAGS", "ARGS")  # a make that runs these tests hands on its own words


@dataclass(frozen=True)
class Typed:
    """What became of a page."""

    folder: Path
    problems: list[str]
    """One for the command that failed, and for each whose words differ from the page's."""
    left_out: list[str]
    """Programs that this machine lacks."""


def copy_here(folder: Path) -> Path:
    """What a fresh clone holds, set up: the files that git keeps, and this environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(folder / name, (0, 0))  # older than the environment: make must not set up what is ours
    return folder


def type_page(blocks: list[Block], folder: Path, home: Path) -> Typed:
    """Type the blocks of a page that are to be run; the shell's state goes from one to the next.

    Args:
        blocks: The page's, in order.
        folder: Where the shell begins; the copy of the repository.
        home: The user's folder, empty.
    """
    wanted = [block for block in blocks if block.commands and block.not_run is None]
    left_out = sorted({block.needs for block in wanted if block.needs and shutil.which(block.needs) is None})
    steps = [(block, command) for block in wanted if block.needs not in left_out for command in block.commands]
    script, said = ["set -euo pipefail"], home / "said"
    said.mkdir(parents=True)
    for number, (_, command) in enumerate(steps):
        script += [f"exec > {said / str(number)} 2>&1", command.text]
    ended = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder, env=_environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    problems = []
    begun = len(list(said.iterdir()))
    if ended.returncode != 0:
        words = (said / str(begun - 1)).read_text(encoding="utf-8", errors="replace") if begun else ended.stderr
        where, what = (steps[begun - 1][0].where, steps[begun - 1][1].text) if begun else ("", "")
        problems.append(f"{where}: exit code {ended.returncode} of\n{what}\n{words[-2000:]}")
    for number, (block, command) in enumerate(steps[:begun]):
        words = (said / str(number)).read_text(encoding="utf-8", errors="replace")
        if (line := missing_line(command.expected, words)) is not None:
            problems.append(f"{block.where}: {command.text!r} did not say {line!r}; it said\n{words[-4000:]}")
    return Typed(folder, problems, left_out)


def _environment(home: Path) -> dict[str, str]:
    """Somebody's who has just come: no key, an empty home; where npm finds packages is the machine's matter."""
    kept = {key: value for key, value in os.environ.items() if key not in SECRETS and not key.startswith(OF_THE_TESTS)}
    old = Path.home()
    npm = {"npm_config_cache": str(old / ".npm")} | (
        {"npm_config_userconfig": str(old / ".npmrc")} if (old / ".npmrc").exists() else {}
    )
    return npm | kept | {"HOME": str(home), "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
