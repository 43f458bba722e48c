"""What a report shows of a real cycle, read from disk: where the model errs, how it learned, what it came from."""

from pathlib import Path

import pytest

from servers.core.dataset import Example
from servers.core.demo_world.world import World as DemoWorld
from servers.core.disk import append_jsonl
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.splits import Side
from tests.report_world import parse, section
from tests.workshop import Workshop

pytestmark = pytest.mark.anyio

KOTONE = load_task("kotone")
SIZES: dict[Side, int] = {"train": 90, "diagnose": 60, "gate": 60}
SOURCES = ("letters", "a form <b>")


def imported(folder: Path) -> None:
    """A dataset of two sources, one of them with a hostile name."""
    world = DemoWorld(3).splits()
    sides: list[Side] = [side for side, size in SIZES.items() for _ in range(size)]
    rows = [
        Example(
            id=f"{side}-{k}",
            text=row.text,
            target={name: float(value) for name, value in row.target.items()},
            source=SOURCES[k % 3 == 0],
        )
        for side, size in SIZES.items()
        for k, row in enumerate(world[side][:size])
    ]
    Custody(Workspace(folder), KOTONE).create("mine", rows, splits=sides, recipe={"kind": "import"})


def figure(html: str, key: str) -> list[list[str]]:
    """The table below one picture."""
    (found,) = (element for element in parse(html).iter("figure") if element.get("id") == f"figure-{key}")
    return [["".join(cell.itertext()) for cell in row] for row in found.iter("tr")]


async def test_a_begun_dataset_reports_where_it_errs_how_it_learned_and_what_it_came_from(tmp_path: Path):
    """Ours: all of it from what the cycle left on disk; a cost that the brain noted counts."""
    imported(tmp_path)
    async with Workshop(tmp_path) as shop:
        await shop.call("prepare_dataset", dataset="mine")
        cycle = (await shop.call("open_cycle", dataset="mine"))["cycle"]
        await shop.follow(cycle, until="write_report")
        answer = {"answer": "a1", "at": "2031-01-01T00:00:00.000Z", "model": "some-model", "usd": 0.03}
        append_jsonl(tmp_path / "loop" / cycle / "brain.jsonl", answer | {"input_tokens": 900, "output_tokens": 100})
        await shop.follow(cycle)
        model = (await shop.call("list_models", dataset="mine"))["models"][0]["model"]
    html = (tmp_path / "wandb" / "report.html").read_text(encoding="utf-8")

    lengths, sources = figure(html, "by-length"), figure(html, "by-source")
    assert lengths[0] == ["", "constant", "candidate", "rests on"]
    assert sum(int(row[-1].split()[0]) for row in lengths[1:]) == SIZES["diagnose"]
    assert [row[0] for row in sources[1:]] == ["letters", "a form <b>"]
    assert [row[-1] for row in sources[1:]] == ["40 rows", "20 rows"]
    assert all(" to " in cell for row in [*lengths[1:], *sources[1:]] for cell in row[1:-1])
    assert [row[2] for row in figure(html, "learning")[1:] if row[1] == "model"] == [str(SIZES["train"])]
    assert {row[0] for row in figure(html, "differences")[1:]} == {"all together", *KOTONE.names}
    kinds = {row[1].split(",")[0] for row in figure(html, "lineage")[1:]}
    assert kinds <= {"data version", "model"} and "data version" in kinds
    assert model in "".join(cell for row in figure(html, "lineage") for cell in row)
    assert "Paid in this cycle 0.03 USD" in section(html, "costs") and "Tokens of the brain 1,000" in section(
        html, "costs"
    )
    assert "Left in the budget" in section(html, "costs")


async def test_a_cycle_that_is_open_has_a_page_of_what_is_known(tmp_path: Path):
    """Ours: `etude report` at any moment, also before anything was measured."""
    from servers.core.services import Services
    from servers.playbook.closing import page_of

    imported(tmp_path)
    async with Workshop(tmp_path) as shop:
        await shop.call("prepare_dataset", dataset="mine")
        cycle = (await shop.call("open_cycle", dataset="mine"))["cycle"]
        opened = page_of(Workspace(tmp_path), KOTONE, Services(), cycle)
        await shop.follow(cycle, until="diagnose_dataset")
        measured = page_of(Workspace(tmp_path), KOTONE, Services(), cycle)

    for key in ("story", "errors", "learning", "costs", "history"):
        assert section(opened, key)
    assert "Nothing was measured on the diagnose rows." in section(opened, "errors")
    assert figure(measured, "journey")[1][1] == "still open"
