"""`make proof`: every simulation, its output in docs/proof.md.

    python -m tests.proof [PART ...]      # all parts, or only these; the page keeps the others' sections

The page is written whole, when all of them have ended, and says of each bound whether it was kept. Exit code 1 when one
was not; when a simulation fails without an answer, nothing is written.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from servers.core.disk import write_text

PARTS = ("level", "false_promotions", "power", "leaks", "falsehoods", "campaigns", "policies")
PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
HEAD = """# Simulations that prove it

Printed by `make proof` on {machine}, Python {python}, numpy {numpy}, scipy {scipy}. Every draw has a seed that stands
in the code: the same versions print the same figures, but for the minutes. What the gate and its tests are: see
[judging.md](judging.md). Each section begins with the command that prints it alone.
"""


def section(part: str) -> tuple[str, bool]:
    """What one simulation prints, and whether it kept its bound.

    Raises:
        RuntimeError: it failed and printed no section.
    """
    # One thread each: the simulations are processes of their own already, two at a time.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"tests.proof.{part}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if not done.stdout.startswith("## "):
        raise RuntimeError(f"tests.proof.{part} ended with {done.returncode} and printed no section")
    return done.stdout.strip(), done.returncode == 0


def sections_there() -> dict[str, str]:
    """The sections of the page as it is, by the part that their command names."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    there = ["## " + one.strip() for one in text.split("\n## ")[1:]]
    return {part: one for part in PARTS for one in there if f"-m tests.proof.{part}" in one}


def main(parts: Sequence[str]) -> int:
    asked = list(parts) or list(PARTS)
    if unknown := [part for part in asked if part not in PARTS]:
        print(f"no part {unknown[0]!r}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    sections, all_kept = sections_there(), True
    for part in asked:
        sections[part], kept = section(part)
        all_kept = all_kept and kept
        print(f"{part}: {'bounds kept' if kept else 'A BOUND IS BROKEN'}", file=sys.stderr, flush=True)
    head = HEAD.format(
        machine=f"{os.cpu_count()} cores",
        python=platform.python_version(),
        numpy=version("numpy"),
        scipy=version("scipy"),
    )
    write_text(PAGE, "\n\n".join([head.strip(), *(sections[part] for part in PARTS if part in sections)]) + "\n")
    print(PAGE.read_text(encoding="utf-8"))
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
