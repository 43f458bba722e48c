"""Every window between two steps on disk, not only those that luck hits: `python -m tests.chaos.windows`.

A stage is a piece of work with the folder that it begins in. For every k a fork of this process does the work in a copy
of the folder and dies before its k-th step on disk; another goes on, and the folder must be as if nobody had died.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tests.chaos.dying import die_before, in_child
from tests.chaos.faults import drafts_in
from tests.chaos.remains import Remains, differences

ARTIFACTS = "artifacts"
SHOWN, NAME_CHARS = 3, 100
Arm = Callable[[], None]
"""From here on this process may die."""


@dataclass(frozen=True)
class Stage:
    """A piece of work.

    Both `work` and `go_on` get a copy of `start`, in which `artifacts` is the folder that counts.
    """

    name: str
    start: Path
    work: Callable[[Path, Arm], None]
    go_on: Callable[[Path], None]
    """What a person does after a crash; raises where that leads nowhere."""
    see: Callable[[Path], Remains]
    """What has to be the same in the end."""
    expected: Remains


@dataclass(frozen=True)
class Window:
    """A death in a stage, and what it led to."""

    stage: str
    step: int
    before: str
    """What the process was about to do."""
    faults: list[str]
    drafts: list[str]


def windows_of(stage: Stage, scratch: Path) -> Iterator[Window]:
    """Die in every window of a stage."""
    step = 0
    while True:
        step += 1
        shutil.rmtree(scratch, ignore_errors=True)
        folder, note = Path(shutil.copytree(stage.start, scratch / "copy")), scratch / "note"
        arm = partial(die_before, step, folder / ARTIFACTS, note)
        code = in_child(partial(stage.work, folder, arm))
        if code == 0:
            return  # it got through: there is no such step any more
        faults = [] if code < 0 else [f"ended with exit code {code}"]
        if in_child(partial(stage.go_on, folder)) != 0:
            faults.append("could not go on")
        faults += list(differences(stage.expected, stage.see(folder)))
        yield Window(stage.name, step, note.read_text() if note.exists() else "", faults, drafts_in(folder / ARTIFACTS))


def windows_of_all(stages: Sequence[Stage], folder: Path, at_once: int) -> list[Window]:
    """Every window of every stage; several forks of this process take one stage after the other."""
    workers = [_fork(partial(_work, stages, folder, place)) for place in range(at_once)]
    try:
        if any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers):
            raise RuntimeError("a worker ended badly")
    except KeyboardInterrupt:
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
    found = [json.loads(line) for file in folder.glob("found-*") for line in file.read_text().splitlines()]
    return [Window(**window) for window in found]


def _work(stages: Sequence[Stage], folder: Path, place: int) -> None:
    with (folder / f"found-{place}").open("w", encoding="utf-8") as out:
        for number, stage in enumerate(stages):
            try:
                os.close(os.open(folder / f"taken-{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            for window in windows_of(stage, folder / f"scratch-{place}"):
                out.write(json.dumps(asdict(window)) + "\n")
                out.flush()


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = in_child(work)
        os._exit(0 if code == 0 else 1)
    return pid


def main() -> int:
    # Here, not above: stages are made of windows.
    from tests.chaos.stages import all_stages

    parser = argparse.ArgumentParser(prog="python -m tests.chaos.windows", description="Die in every window.")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="processes at a time (default: 2)")
    parser.add_argument("--only", default="", metavar="WORDS", help="only the stages with these words in their name")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="etude-windows-") as name:
        stages = [stage for stage in all_stages(Path(name) / "kept") if asked.only in stage.name]
        windows = windows_of_all(stages, Path(name), asked.at_once)
    wrong = [window for window in windows if window.faults]
    for window in wrong:
        print(f"{window.stage[:NAME_CHARS]}, step {window.step}, before {window.before}:")
        print("\n".join(f"  {fault}" for fault in window.faults[:SHOWN]))
    left = sum(len(window.drafts) for window in windows)
    print(f"{len(windows) - len(wrong)} of {len(windows)} windows in {len(stages)} stages: as if nobody had died")
    print(f"{left} drafts left behind")
    return 1 if wrong or not windows else 0


if __name__ == "__main__":
    sys.exit(main())
