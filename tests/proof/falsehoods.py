"""How many planted falsehoods get into a playbook, and how many true playbooks are turned away.

    python -m tests.proof.falsehoods [TRUE [FALSE]]      # 200 true playbooks, 200 with one falsehood each

A real demo cycle as far as its verdict; then every playbook goes through the real write_playbook. Each false one is a
true one that was accepted, with one thing changed. Exit code 1 when a falsehood was accepted, or something was written
in spite of a refusal, or a true playbook was refused.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
from mcp import Client

from servers.core.evaluations import EvaluationStore
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.playbook.server import build_room
from servers.playbook.snapshot import recorded_failures
from tests.proof.figures import evidence_of, figures_of
from tests.proof.planted import PLANTED, Author, Draft
from tests.proof.section import print_section, table
from tests.workshop import Workshop

SEED = 0


@dataclass
class Tally:
    """What became of the playbooks."""

    accepted: int = 0
    """True ones."""
    refused_although_true: list[str] = field(default_factory=list)
    """With what the refusal said."""
    planted: Counter[str] = field(default_factory=Counter)
    """By kind of falsehood."""
    refused: Counter[str] = field(default_factory=Counter)
    accepted_although_false: list[str] = field(default_factory=list)
    """The drafts."""

    @property
    def holds(self) -> bool:
        return not self.refused_although_true and not self.accepted_although_false


async def tried(playbook: Client, workspace: Workspace, cycle: str, true: int, false: int) -> Tally:
    """Write playbooks into a cycle whose failures are recorded, and count what became of them.

    Args:
        playbook: A client of the playbook server.
        workspace: Its artifacts folder.
        cycle: An open cycle that was not judged.
        true: How many true playbooks, as many as false ones at least.
        false: How many of them are tried again with a falsehood, in equal shares by kind.
    """
    task, random, tally = load_task("kotone"), Random(SEED), Tally()
    figures = [figure for ref in evidence_of(workspace) for figure in await figures_of(playbook, ref)]
    failures = recorded_failures(workspace, cycle)
    traces = {
        row.trace_id for e in EvaluationStore(workspace).all() for row in EvaluationStore(workspace).rows(e.run_id)
    }
    author = Author(
        figures, [failure.model_dump() for failure in failures.values()], task.names, sorted(traces - set(failures))
    )
    kept = workspace.cycle_dir(cycle) / "playbook.json"

    async def refusal(draft: Draft) -> str | None:
        result = await playbook.call_tool("write_playbook", {"cycle": cycle, **draft})
        return str(getattr(result.content[0], "text", "")) if result.is_error else None

    async def try_true(draft: Draft) -> None:
        if said := await refusal(draft):
            tally.refused_although_true.append(said)
        else:
            tally.accepted += 1

    for _ in range(true - false):
        await try_true(author.true(random))
    kinds = list(PLANTED)
    for number in range(false):
        kind = kinds[number % len(kinds)]
        unspoiled, draft = author.false(kind, random)
        # So that what is refused afterwards is refused for the falsehood and for nothing else.
        await try_true(unspoiled)
        before = kept.read_bytes()
        tally.planted[kind] += 1
        if await refusal(draft) is None or kept.read_bytes() != before:
            tally.accepted_although_false.append(f"{kind}: {draft}")
        else:
            tally.refused[kind] += 1
    return tally


async def measured_cycle(folder: Path) -> str:
    """The demo's beginning, and its first cycle as far as the candidate was measured."""
    async with Workshop(folder) as shop:
        await shop.call("prepare_dataset", dataset="demo")
        begin = (await shop.call("open_cycle", dataset="demo"))["cycle"]
        await shop.follow(begin)
        cycle: str = (await shop.call("open_cycle", dataset="demo"))["cycle"]
        await shop.follow(cycle, until="gate_candidate")
    return cycle


async def proven(true: int, false: int) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        cycle = await measured_cycle(Path(folder))
        workspace = Workspace(Path(folder))
        async with Client(build_room(workspace, load_task("kotone")).server) as playbook:
            return await tried(playbook, workspace, cycle, true, false)


def main() -> int:
    true, false = (int(word) for word in [*sys.argv[1:], "200", "200"][:2])
    tally = anyio.run(proven, true, false)
    lines = [[kind, str(tally.planted[kind]), str(tally.refused[kind])] for kind in PLANTED]
    lines.append(["all", str(sum(tally.planted.values())), str(sum(tally.refused.values()))])
    print_section(
        "Falsehoods in playbooks",
        f"falsehoods {true} {false}",
        f"Every planted falsehood refused, every true playbook accepted: {'kept' if tally.holds else 'BROKEN'}. "
        f"Of {true} true playbooks {tally.accepted} were accepted.",
        table(["falsehood", "planted", "refused"], lines),
    )
    for words in [*tally.refused_although_true, *tally.accepted_although_false]:
        print(words, file=sys.stderr)
    return 0 if tally.holds else 1


if __name__ == "__main__":
    sys.exit(main())
