"""Two verdicts that were not promotions, looked at by a program that sees everything a tool returned and every file
outside the sealed folder: nothing differs that depends on the sealed rows.

Two artifacts folders, the same to the byte but for the labels of the sealed rows: on one the candidate is a little
better than the champion, on the other clearly worse. Both are asked for a verdict and taken through the same calls.
"""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from servers.core.arms import Arm, load_arm
from servers.core.dataset import DatasetStore, Example, fingerprint
from servers.core.demo_world.world import World
from servers.core.disk import read_jsonl, write_jsonl
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval import judging
from servers.eval.custody import Custody
from servers.eval.splits import Side
from tests.reading_world import Readers
from tests.workshop import Workshop

KOTONE = load_task("kotone")
SIZES: dict[Side, int] = {"train": 80, "diagnose": 40, "gate": 24}
TROUBLE = "zzyzx"
PASSING = (
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    r"\d{4}-\d\d-\d\d \d\d:\d\d UTC",
    r'"(?:call|result_digest)": "[0-9a-f-]+"',
    r'"seconds": [0-9.e-]+',
    r'(?s)<section id="costs".*?</section>',  # what the work took, in the report and in its draft
    r"(?s)## Money and time.*?(?=## Lineage)",
    r'(?<=</td><td class="n">0</td><td class="n">)[0-9.]+(?=</td></tr>)',  # behind a tool's refusals, its seconds
)


def imported(folder: Path) -> None:
    """A dataset 'mine': enough rows to train on, few to judge by."""
    world = World(3).splits()
    sides: list[Side] = [side for side, size in SIZES.items() for _ in range(size)]
    rows = [
        Example(id=f"{side}-{k}", text=r.text, target={n: float(v) for n, v in r.target.items()}, source="import")
        for side, size in SIZES.items()
        for k, r in enumerate(world[side][:size])
    ]
    Custody(Workspace(folder), KOTONE).create("mine", rows, splits=sides, recipe={"kind": "import"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of which the first candidate is measured, and not judged yet."""
    folder = tmp_path_factory.mktemp("trained")
    imported(folder)

    async def train() -> None:
        async with Workshop(folder) as shop:
            await shop.call("prepare_dataset", dataset="mine")
            cycle = (await shop.call("open_cycle", dataset="mine"))["cycle"]
            await shop.follow(cycle, until="gate_candidate")

    anyio.run(train)
    return folder


def with_sealed_rows(folder: Path, change: Callable[[list[Example]], list[Example]]) -> None:
    """Change the sealed rows of a folder, and nothing else: only their fingerprint, which has the same length."""
    workspace = Workspace(folder)
    card = DatasetStore(workspace).head("mine")
    sealed = workspace.sealed_dir(card.name, card.gate_fingerprint)
    rows = change(Custody(workspace, KOTONE).gate(card))
    changed = fingerprint(rows)
    write_jsonl(sealed / "gate.jsonl", rows)
    sealed.rename(sealed.with_name(changed))
    for path in folder.rglob("*"):
        if path.is_file() and card.gate_fingerprint.encode() in path.read_bytes():
            path.write_bytes(path.read_bytes().replace(card.gate_fingerprint.encode(), changed.encode()))


def a_little_true(rows: list[Example]) -> list[Example]:
    """Every fourth label belongs to another text: what is left is too little to be shown."""
    others = [*rows[1:], rows[0]]
    return [row if k % 4 else row.model_copy(update={"target": others[k].target}) for k, row in enumerate(rows)]


def the_other_way_round(rows: list[Example]) -> list[Example]:
    """Every label mirrored: whatever was learned is wrong."""
    mirrored = [{name: 100 - value for name, value in row.target.items()} for row in rows]
    return [row.model_copy(update={"target": target}) for row, target in zip(rows, mirrored, strict=True)]


async def _asked(folder: Path) -> tuple[list[Any], dict[str, str]]:
    """What every tool returns from the verdict on: through the rest of the cycle, then all that can be read. And what
    all documents and prompts say; the page with pictures is a file as well.
    """
    said: list[Any] = []
    async with Workshop(folder) as shop:

        async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
            words, found = await shop.answered(tool, **arguments)
            said.append([tool, arguments, words, found])
            return found

        (step,) = (await shop.call("get_cycle", cycle="begin_mine"))["next_steps"]
        await ask("gate_candidate", **step["arguments"])
        while not (state := await ask("get_cycle", cycle="begin_mine"))["closed"]:
            await ask(state["next_steps"][0]["tool"], **state["next_steps"][0]["arguments"])
        for evaluation in sorted(path.name for path in (folder / "eval" / "runs").iterdir()):
            await ask("get_evaluation", evaluation_id=evaluation)
            await ask("list_failures", evaluation_id=evaluation)
        one, other = sorted(path.name for path in (folder / "eval" / "runs").iterdir())[:2]
        await ask("compare_models", candidate_evaluations=[one], champion_evaluation=other)
        for tool in ("describe_task", "list_datasets", "list_jobs"):
            await ask(tool)
        await ask("list_models", dataset="mine")
        await ask("search_playbook", query="gate")
        opened = await ask("open_cycle", dataset="mine")
        await ask("get_cycle", cycle=opened["cycle"])
    async with Readers(folder) as readers:
        return said, await readers.everything(pages=False)


def outside(folder: Path) -> dict[str, str]:
    """Every file outside the sealed folder, databases as what they hold."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or folder / "sealed" in path.parents:
            continue
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as database:
                found[str(path.relative_to(folder))] = "\n".join(database.iterdump())
        else:
            found[str(path.relative_to(folder))] = path.read_bytes().decode(errors="replace")
    return found


@dataclass(frozen=True)
class Looked:
    """What a program saw that was shown everything but the sealed folder, and what the judge kept there."""

    said: str
    files: dict[str, str]
    """With the documents and prompts, which are files to whoever reads them."""
    kept: dict[str, Any]


def looked_at(trained: Path, folder: Path, change: Callable[[list[Example]], list[Example]]) -> Looked:
    """Judge the candidate on changed sealed rows. The folder is gone afterwards, so that the next can have its name."""
    shutil.copytree(trained, folder)
    with_sealed_rows(folder, change)
    said, documents = anyio.run(_asked, folder)
    card = DatasetStore(Workspace(folder)).head("mine")
    (kept,) = read_jsonl(Workspace(folder).sealed_dir("mine", card.gate_fingerprint) / "verdicts.jsonl")
    names = {card.gate_fingerprint: "<fingerprint of the sealed rows>", kept["question"]["verdict_id"]: "<verdict>"}
    files = {name: without_times(text, names) for name, text in (outside(folder) | documents).items()}
    shutil.rmtree(folder)
    return Looked(without_times(json.dumps(said, indent=1), names), files, kept["verdict"])


def without_times(text: str, names: dict[str, str]) -> str:
    """A text without what differs between any two runs, whatever the rows: times, call numbers, and `names`.

    A ledger's digest of a result goes with the result's time; the result itself is compared whole.
    """
    for name, stands_for in names.items():
        text = text.replace(name, stands_for)
    for pattern in PASSING:
        text = re.sub(pattern, "<passing>", text)
    return text


def test_two_verdicts_without_promotion_differ_in_nothing_that_depends_on_the_sealed_rows(
    trained: Path, tmp_path: Path
):
    """Ours: a better and a worse candidate sound the same, in every word of every tool and in every file."""
    better = looked_at(trained, tmp_path / "artifacts", a_little_true)
    worse = looked_at(trained, tmp_path / "artifacts", the_other_way_round)

    assert better.kept["difference"] < -0.1 and worse.kept["difference"] > 1
    assert "promote" not in (better.kept["outcome"], worse.kept["outcome"])
    assert better.said == worse.said
    assert better.files.keys() == worse.files.keys()
    assert [name for name in better.files if better.files[name] != worse.files[name]] == []


class StammeringArm:
    """A model that loses its words over some texts."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self.arm, self.model_id, self.served_by = arm.arm, arm.model_id, arm.served_by

    def answer(self, texts: Sequence[str]) -> list[str]:
        return ["" if TROUBLE in text else words for text, words in zip(texts, self._arm.answer(texts), strict=True)]


def troublesome(rows: list[Example]) -> list[Example]:
    """One sealed text that the model has no answer to: a valid rate of 0.958, under the 0.98 that the gate demands."""
    return [rows[0].model_copy(update={"text": f"{rows[0].text} {TROUBLE}"}), *a_little_true(rows)[1:]]


def test_how_many_sealed_rows_a_model_could_not_answer_is_not_told_either(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ours: the share of valid answers on the sealed rows is a figure about the sealed rows."""
    monkeypatch.setattr(judging, "load_arm", lambda *asked: StammeringArm(load_arm(*asked)))  # no arm here ever fails
    fluent = looked_at(trained, tmp_path / "artifacts", a_little_true)
    stammering = looked_at(trained, tmp_path / "artifacts", troublesome)

    rates = [check for check in stammering.kept["checks"] if check["name"] == "json_valid_rate_sealed"]
    assert [check["passed"] for check in rates] == [False]
    assert fluent.said == stammering.said
    assert [name for name in fluent.files if fluent.files[name] != stammering.files[name]] == []
