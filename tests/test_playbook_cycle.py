"""Where a cycle stands follows from its files; it ends with a report, and says so only when it may."""

import csv
import json
import re
from base64 import b64decode
from pathlib import Path
from struct import unpack

import pytest

from servers.core.disk import read_json, write_json
from servers.core.registry import Registry
from servers.playbook.__main__ import main
from servers.playbook.facts import facts_of
from servers.playbook.lessons import lessons_of
from tests.playbook_world import STAND_IN, World, measured_begin, most_wrong, read_back, recorded_begin
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio

HOSTILE = "</td><script>alert(1)</script> ![x](http://evil) | `code` {word} {place} # {letter}"


async def test_opening_twice_finds_the_open_cycle_and_numbers_run_over_all_datasets(tmp_path: Path) -> None:
    """Ours: one open cycle a dataset; begin before there is a champion, cycle_<n> after."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        unknown = await refusal(playbook, "open_cycle", dataset="demo")
        none_yet = await refusal(playbook, "get_cycle")
        first = await call(playbook, "open_cycle", dataset="small")
        again = await call(playbook, "open_cycle", dataset="small")
        await call(playbook, "write_report", cycle=first["cycle"], stop_reason="the machine is needed")
        second = await call(playbook, "open_cycle", dataset="small")
        await call(playbook, "write_report", cycle=second["cycle"], stop_reason="again")
        _serve(world, "constant", second["cycle"])
        third = await call(playbook, "open_cycle", dataset="small")
        newest = await call(playbook, "get_cycle")

    assert "call prepare_dataset first" in unknown and "call open_cycle" in none_yet
    assert first == again and first["kind"] == "begin" and first["champion"] == "constant"
    assert [opened["cycle"] for opened in (first, second, third)] == ["begin_small", "begin_small.2", "cycle_1"]
    assert third["kind"] == "cycle" and newest["cycle"] == "cycle_1"


async def test_the_next_steps_follow_the_order_of_the_cycle(tmp_path: Path) -> None:
    """Ours: measure, read back, diagnose, then train; each step counts when its document is there.

    A cycle on data that teach nothing stops; a beginning goes on to a verdict, and so to a champion.
    """
    world = World(tmp_path)
    train = {"verdict": "train", "reason": "signal", "dimensions": {}, "rows": {}}

    async with world.playbook() as playbook:
        opened = await call(playbook, "open_cycle", dataset="small")
        cycle = opened["cycle"]
        await measured_begin(world, playbook)
        measured = await call(playbook, "get_cycle", cycle=cycle)
        await recorded_begin(world, playbook)
        recorded = await call(playbook, "get_cycle", cycle=cycle)
        write_json(world.workspace.cycle_dir(cycle) / "diagnosis.json", train | {"verdict": "stop"})
        diagnosed = await call(playbook, "get_cycle", cycle=cycle)
        (world.workspace.cycle_dir(cycle) / "diagnosis.json").unlink()
        await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")
        _serve(world, "constant", cycle)
        cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        await world.measure(cycle, "constant", "rule")
        calls = await read_back(world, playbook, cycle)
        await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)
        write_json(world.workspace.cycle_dir(cycle) / "diagnosis.json", train | {"verdict": "stop"})
        hopeless = await call(playbook, "get_cycle", cycle=cycle)

    assert [(s["tool"], s["arguments"]["model"]) for s in opened["next_steps"]] == [
        ("evaluate_model", "constant"),
        ("evaluate_model", "rule"),
    ]
    assert measured["done"] == ["measured"] and measured["next_steps"][-1]["tool"] == "record_context"
    assert recorded["done"] == ["measured", "recorded"]
    assert [step["tool"] for step in recorded["next_steps"]] == ["diagnose_dataset"]
    assert [step["tool"] for step in hopeless["next_steps"]] == ["write_playbook", "write_report"]
    assert "signal" in hopeless["next_steps"][1]["arguments"]["stop_reason"]
    assert [step["tool"] for step in diagnosed["next_steps"]] == ["plan_retrain"]


async def test_a_cycle_stops_only_with_a_reason_and_only_without_a_verdict(tmp_path: Path) -> None:
    """Ours: the verdict follows from the files; nobody can claim another."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        no_reason = await refusal(playbook, "write_report", cycle=cycle)
        blank = await refusal(playbook, "write_report", cycle=cycle, stop_reason=" \n")
        _judge(world, cycle, "promote")
        contradiction = await refusal(playbook, "write_report", cycle=cycle, stop_reason="enough")
        not_promoted = await refusal(playbook, "write_report", cycle=cycle)
        _judge(world, cycle, "hold")
        no_champion = await refusal(playbook, "write_report", cycle=cycle)
        _serve(world, "constant", cycle)
        written = await call(playbook, "write_report", cycle=cycle)

    assert "call gate_candidate first" in no_reason and "call gate_candidate first" in blank
    assert "has the verdict 'promote'" in contradiction
    assert "call promote_model first" in not_promoted and "'constant'" in no_champion
    assert written["verdict"] == "hold" and written["reason"] == "the sealed rows do not show a gain"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [("promote", "The gate promoted it"), ("hold", "The gate held it back"), ("undecided", "could not decide")],
)
async def test_the_lessons_that_are_suggested_can_be_written_down_as_they_stand(
    tmp_path: Path, outcome: str, said: str
) -> None:
    """Ours: whatever the gate said, each figure in them is a claim that resolves."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, _ = await recorded_begin(world, playbook)
        _judge(world, cycle, outcome)
        signals = {name: {"signal": "none" if name == "energy" else "weak"} for name in world.task.names}
        none = {"verdict": "train", "reason": "", "dimensions": signals}
        write_json(world.workspace.cycle_dir(cycle) / "diagnosis.json", none)
        judged, stopped = (lessons_of(facts_of(world.workspace, cycle), stopping) for stopping in (False, True))
        for lessons in (judged, stopped):
            await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=lessons)

    assert said in " ".join(lesson["text"] for lesson in judged) and "{claim:champion}" in stopped[0]["text"]
    assert "for energy, so it cannot be learned" in judged[-1]["text"] == stopped[-1]["text"]


async def test_the_remedies_that_are_suggested_can_be_written_down_as_they_stand(tmp_path: Path) -> None:
    """Bug: a row was remedied on the dimension that was aimed at, though it erred on others."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        begin = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        await call(playbook, "write_report", cycle=begin, stop_reason="the machine is needed")
        _serve(world, "constant", begin)
        cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        await world.measure(cycle, "constant", "rule")
        calls = await read_back(world, playbook, cycle)
        await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)
        folder = world.workspace.cycle_dir(cycle)
        signals = {name: {"signal": "weak", "r2": 0.1} for name in world.task.names}
        write_json(folder / "diagnosis.json", {"verdict": "train", "reason": "signal", "dimensions": signals})
        snapshot = read_json(folder / "mcp_eval_snapshot.json")
        for name in world.task.names:
            spared = [f for f in snapshot["failures_top_k"] if f["abs_error_by_dim"][name] < f["mae_raw"]]
            aimed = [f for f in snapshot["failures_top_k"] if f not in spared]
            plan = {"plan_id": "augment-0123456789ab", "focus_dimensions": [name], "outcome": {"added": 1}}
            write_json(folder / "augmentation_spec.json", plan)
            write_json(folder / "mcp_eval_snapshot.json", snapshot | {"failures_top_k": [*spared[:4], *aimed[:1]]})
            (folder / "playbook.json").unlink(missing_ok=True)
            (step,) = (await call(playbook, "get_cycle", cycle=cycle))["next_steps"]
            await call(playbook, "write_playbook", **step["arguments"])
            first, *others = step["arguments"]["remedies"]
            assert (first["trace_id"], first["dimension"]) == (aimed[0]["trace_id"], name)
            assert len(others) == 4 and all(remedy["dimension"] != name for remedy in others)


async def test_a_verdict_that_was_overtaken_does_not_block_the_cycle(tmp_path: Path) -> None:
    """Ours: where another model went into service meanwhile, the cycle ends with the champion of now."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        _judge(world, cycle, "promote")
        _serve(world, "student-ffffffffffff", "cycle_9")
        state = await call(playbook, "get_cycle", cycle=cycle)
        written = await call(playbook, "write_report", cycle=cycle)

    lessons, step = state["next_steps"]
    assert (lessons["tool"], step["tool"]) == ("write_playbook", "write_report")
    assert "stop_reason" not in step["arguments"]
    assert written["verdict"] == "hold" and "student-ffffffffffff" in written["reason"]


async def test_a_closed_cycle_is_only_read_again(tmp_path: Path) -> None:
    """Ours: summary.json is written last and closes the cycle; asking again changes nothing."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, _ = await recorded_begin(world, playbook)
        first = await call(playbook, "write_report", cycle=cycle, stop_reason="enough")
        before = world.text("loop", cycle, "summary.json")
        second = await call(playbook, "write_report", cycle=cycle, stop_reason="another reason")
        late = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[])
        state = await call(playbook, "get_cycle", cycle=cycle)

    assert first == second and world.text("loop", cycle, "summary.json") == before
    assert "is closed" in late
    assert state["closed"] and state["verdict"] == "stopped"
    assert [step["tool"] for step in state["next_steps"]] == ["open_cycle"]
    summary = json.loads(before)
    assert summary["diagnose"]["candidate"] is None and summary["gate"] is None and summary["seconds"] > 0
    for file in first["files"]:
        assert (world.workspace.root / file).exists()
    rows = {
        row["metric"]: row for row in csv.DictReader(world.text("loop", cycle, "before_after_metrics.csv").splitlines())
    }
    assert float(rows["vector_mae"]["before"]) == summary["diagnose"]["constant"]["vector_mae"]
    assert rows["mae_raw_warmth"]["after"] == "" and rows["vector_mae"]["rule"]


async def test_hostile_texts_are_words_in_every_paper(tmp_path: Path) -> None:
    """Ours: a request text is data; it can start no HTML, link, image, table cell or fence."""
    world = World(tmp_path, text=HOSTILE)

    async with world.playbook() as playbook:
        cycle, recorded = await recorded_begin(world, playbook)
        worst = recorded["failures"][0]
        remedy = {
            "trace_id": worst["trace_id"],
            "dimension": most_wrong(worst),
            "change": "<img src=x onerror=alert(a)> | ``` [a](http://b)",
        }
        lesson = {"title": "# <b>bold</b>", "text": "```\n![i](javascript:x)\n```", "claims": []}
        await call(playbook, "write_playbook", cycle=cycle, remedies=[remedy], lessons=[lesson])
        await call(playbook, "write_report", cycle=cycle, stop_reason="<script>alert(2)</script> [x](http://y)")

    papers = ("wandb/weave_failure_playbook.md", "wandb/report_draft.md", f"loop/{cycle}/decision_log.md")
    for paper in papers:
        text = world.text(*paper.split("/"))
        assert not re.search(r"<[a-zA-Z/!]", text), paper
        assert not re.search(r"(?<!\\)[`\[]", text), paper
        assert "http://" not in text and "javascript:x" not in text, paper
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, (paper, table)
    assert "alert(1)" in world.text("wandb", "weave_failure_playbook.md")
    page = world.text("wandb", "report.html")
    assert "<script" not in page and "<img" not in page and "javascript:x" not in page.replace("![i](javascript:x)", "")


async def test_the_report_can_be_written_anew_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: `etude report` needs nothing but the artifacts, and prints where the page is."""
    world = World(tmp_path)
    async with world.playbook() as playbook:
        cycle, _ = await recorded_begin(world, playbook)
        await call(playbook, "write_report", cycle=cycle, stop_reason="a reason to stop")
    page = world.workspace.report_dir / "report.html"
    page.unlink()
    root = str(world.workspace.root)

    monkeypatch.setattr("sys.argv", ["playbook", "report", "--artifacts", root])
    assert main() == 0
    assert capsys.readouterr().out == f"{page}\n" and "a reason to stop" in page.read_text(encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["playbook", "report", "cycle_7", "--artifacts", root])
    assert main() == 2
    assert "no cycle 'cycle_7'; known: begin_small" in capsys.readouterr().err


def _serve(world: World, model: str, cycle: str) -> None:
    """Put a model into service, as promote_model does."""
    Registry(world.workspace).put_in_service(
        "small", model, "", action="begin", cycle=cycle, verdict_id="verdict-000000000000", reason="a test"
    )


def _judge(world: World, cycle: str, outcome: str) -> None:
    """Leave a verdict, as gate_candidate does."""
    gate = {
        "schema": 1,
        "verdict_id": "verdict-000000000000",
        "cycle": cycle,
        "dataset": "small",
        "candidate": "student-0123456789ab",
        "champion": "constant",
        "outcome": outcome,
        "reason": "the sealed rows do not show a gain",
        "n": 20,
        "clusters": 20,
        "level": 0.025,
        "difference": None,
        "ci": None,
        "checks": [{"name": "json_valid_rate", "passed": True, "detail": "1.000, at least 0.98", "evidence": "a"}],
        "focus_dimensions": [],
        "verdicts_asked": 1,
        "level_left": 0.008,
        "asked_at": "2026-01-31T08:00:00Z",
    }
    write_json(world.workspace.cycle_dir(cycle) / "gate.json", gate)


async def test_a_closed_cycle_is_shown_as_a_picture_in_the_chat(tmp_path: Path) -> None:
    """Ours: a client that shows pictures shows the error in service and by dimension, also where a name is markup."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        while_open = await playbook.call_tool("get_cycle", {"cycle": cycle})
        closed = await playbook.call_tool("write_report", {"cycle": cycle, "stop_reason": "<svg> & enough"})
        afterwards = await playbook.call_tool("get_cycle", {"cycle": cycle})

    assert [block.type for block in while_open.content if block.type == "image"] == []
    png = world.workspace.cycle_dir(cycle).joinpath("picture.png").read_bytes()
    for result in (closed, afterwards):
        text, picture = result.content[:2]
        assert text.type == "text" and picture.type == "image" and picture.mime_type == "image/png"
        assert b64decode(picture.data) == png
    width, height = unpack(">II", png[16:24])
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and 800 < width < 2000 and 300 < height < 1500
    assert len(set(png[41:])) > 100 and len(png) < 400_000  # something is drawn on it


async def test_a_cycle_that_measured_nothing_has_no_picture(tmp_path: Path) -> None:
    """Ours: nothing is shown rather than an empty frame."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        closed = await playbook.call_tool("write_report", {"cycle": cycle, "stop_reason": "the machine is needed"})

    assert not world.workspace.cycle_dir(cycle).joinpath("picture.png").exists()
    assert "image" not in [block.type for block in closed.content]
