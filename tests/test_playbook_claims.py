"""A lesson's figures are claims that resolve, and a remedy is about a failure that was recorded."""

import json
from pathlib import Path
from typing import Any

import pytest

from servers.core.disk import write_json
from tests.playbook_world import World, measured_begin, recorded_begin
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio


def claim(source: str, metric: str, value: float, unit: str = "points", name: str = "a") -> dict[str, Any]:
    return {"id": name, "source": source, "metric": metric, "value": value, "unit": unit}


def lesson(text: str, *claims: dict[str, Any], title: str = "A lesson") -> dict[str, Any]:
    return {"title": title, "text": text, "claims": list(claims)}


def put_aside(text: str) -> dict[str, Any]:
    """A long result as the agent stores it."""
    return {"schema": 1, "tool": "query_weave_traces_tool", "arguments": {"limit": 20}, "text": text}


async def test_a_claim_holds_when_the_source_rounds_to_it(tmp_path: Path) -> None:
    """Ours: the decimals that are written say how exact a figure claims to be."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        evaluation, other = (world.evaluations.find(cycle, model) for model in ("constant", "rule"))
        assert evaluation is not None and other is not None
        value, ref = float(evaluation.metrics["vector_mae"] or 0), f"evaluation:{evaluation.evaluation_id}"
        pair = f"compare:{other.evaluation_id}:{evaluation.evaluation_id}"
        difference = float(other.metrics["vector_mae"] or 0) - value
        true = [
            claim(ref, "vector_mae", round(value, 1), name="rounded"),
            claim(ref, "metrics.vector_mae", value, name="whole"),
            claim(ref, "n", 20, "rows", name="count"),
            claim(pair, "vector_mae", round(difference, 2), name="pair"),
            claim(f"dataset:small:{world.card.fingerprint}", "rows.train", 20, "rows", name="rows"),
        ]
        text = " ".join(f"{{claim:{one['id']}}}" for one in true)
        await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(text, *true)])
        found = await call(playbook, "search_playbook", query="lesson")
        wrong = claim(ref, "vector_mae", round(value, 1) + 0.1)
        said = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", wrong)])

    assert f"{round(value, 1)} points" in found["entries"][0]["text"] and "20 rows" in found["entries"][0]["text"]
    assert "claim 'a'" in said and ref in said and repr(value) in said


async def test_what_does_not_resolve_is_refused_by_name(tmp_path: Path) -> None:
    """Ours: no source, no number, a null or a word support nothing."""
    world = World(tmp_path)
    sealed = {"schema": 1, "outcome": "hold", "difference": None, "checks": [], "ci": [0.5, 1.5]}

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        write_json(world.workspace.cycle_dir(cycle) / "gate.json", sealed)
        write_json(world.workspace.result_file(cycle, "0123456789ab"), put_aside("{}") | {"n": 1})
        for given, words in [
            (claim(f"gate:{cycle}", "difference", -0.5), "is null: not measured, or sealed"),
            (claim(f"gate:{cycle}", "outcome", 1), "is not a number"),
            (claim(f"gate:{cycle}", "nothing", 1), "has no 'nothing'"),
            (claim(f"gate:{cycle}", "ci.7", 1), "has no 'ci.7'"),
            (claim("gate:cycle_77", "n", 1), "no cycle 'cycle_77'"),
            (claim("evaluation:eval-000000000000", "n", 1), "no evaluation 'eval-000000000000'"),
            (claim("evaluation:../../sealed", "n", 1), "is not a plain name"),
            (claim("sealed:small", "n", 1), "no evidence of kind 'sealed'"),
            (claim(f"result:{cycle}:0123456789ab", "n", 1), "no evidence of kind 'result'"),
            (claim("compare:one", "n", 1), "is not of the form compare:"),
            (claim(f"gate:{cycle}", "ci.0", 0.5, unit="of 12"), "unit 'of 12' holds a figure"),
        ]:
            entry = lesson("Words {claim:a}.", given)
            said = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[entry])
            assert "claim 'a'" in said and words in said

    assert not (world.workspace.cycle_dir(cycle) / "playbook.json").exists()


async def test_a_bare_figure_in_a_text_is_refused_and_names_are_not_figures(tmp_path: Path) -> None:
    """Ours: figures stand in texts only as claims; ids, metrics and checks may hold digits."""
    world = World(tmp_path)
    names = "cycle_1 and eval-0123456789ab, student-0123456789ab's r2_score, p95_inference_latency_ms, begin_small."

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(names)])
        for text, figure in [
            ("It fell by 13.4 points.", "13.4"),
            ("Half of it: ½.", "½"),
            ("Three in Arabic: ٣.", "٣"),
            ("cycle_1.5 was odd", "cycle_1.5"),
            ("v2student-0123456789ab", "v2student-0123456789ab"),
            ("x²", "x²"),
        ]:
            said = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(text)])
            assert f"the figure '{figure}" in said and "lesson 'A lesson'" in said
        unknown = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:b}")])

    assert "no claim 'b'" in unknown


async def test_a_remedy_keeps_the_error_before_and_names_a_recorded_trace(tmp_path: Path) -> None:
    """Ours: a remedy is about a failure of this cycle that came back through W&B."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        early = {"trace_id": "0" * 32, "dimension": "energy", "change": "new rows"}
        too_early = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[early], lessons=[])
        _, recorded = await recorded_begin(world, playbook)
        worst = recorded["failures"][0]
        remedy = {"trace_id": worst["trace_id"], "dimension": "warmth", "change": "new rows about warm things"}
        await call(playbook, "write_playbook", cycle=cycle, remedies=[remedy], lessons=[])
        for wrong, words in [
            (remedy | {"trace_id": "0" * 32}, "not among this cycle's recorded failures"),
            (remedy | {"dimension": "sweetness"}, "no dimension 'sweetness'"),
            (remedy | {"change": "20 new rows"}, "the figure '20'"),
        ]:
            assert words in await refusal(playbook, "write_playbook", cycle=cycle, remedies=[wrong], lessons=[])
        changed = remedy | {"change": "other rows"}
        written = await call(playbook, "write_playbook", cycle=cycle, remedies=[changed], lessons=[])

    assert "call record_context first" in too_early
    assert written["remedies"] == 1
    (kept,) = world.file("loop", cycle, "playbook.json")["remedies"]
    assert kept["change"] == "other rows" and kept["error_after"] is None
    assert kept["error_before"] == worst["abs_error_by_dim"]["warmth"]
    assert "prove nothing" in world.file("loop", cycle, "playbook.json")["note"]


async def test_evidence_comes_in_pages_and_never_by_path(tmp_path: Path) -> None:
    """Ours: a reference names a document; the pages together are its JSON."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, recorded = await recorded_begin(world, playbook)
        ref, text, offset = f"snapshot:{cycle}", "", 0
        while offset is not None:
            page = await call(playbook, "read_evidence", ref=ref, offset=offset)
            text, offset = text + page["text"], page["next_offset"]
            assert len(page["text"]) <= 4000
        trace = await call(playbook, "read_evidence", ref=f"trace:{recorded['failures'][0]['trace_id']}")
        behind = await refusal(playbook, "read_evidence", ref=ref, offset=len(text))
        refusals = [
            await refusal(playbook, "read_evidence", ref=ref)
            for ref in (
                "sealed:small",
                "../../etc/passwd",
                "snapshot:../sealed",
                "job:..",
                "dataset:small:..",
                "trace:x",
            )
        ]

    assert len(text) == page["total_chars"] and '"wandb_mcp_tools_call"' in text
    assert '"scenario": "diagnose"' in trace["text"]
    assert "behind the end" in behind
    assert "evaluation:<evaluation id>" in refusals[0]
    assert all("no " in words or "not a plain name" in words for words in refusals)


async def test_a_long_result_that_was_put_aside_is_read_in_pages(tmp_path: Path) -> None:
    """Ours: what is too long for a prompt stays within reach; every character of it is seen or escaped."""
    world = World(tmp_path)
    stored = put_aside('{"traces": "wa\u202erm, cold"}' + "\n" + "x" * 9000)

    async with world.playbook() as playbook:
        cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        file = world.workspace.cycle_dir(cycle) / "results" / "0123456789ab.json"
        file.parent.mkdir()
        file.write_text(json.dumps(stored, ensure_ascii=False))
        text, offset = "", 0
        while offset is not None:
            page = await call(playbook, "read_evidence", ref=f"result:{cycle}:0123456789ab", offset=offset)
            text, offset = text + page["text"], page["next_offset"]
            assert len(page["text"]) <= 4000

    assert json.loads(text) == stored and text.replace("\n", "").isprintable()
    assert list(json.loads(text)) == ["schema", "tool", "arguments", "text"]


async def test_a_result_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    """Ours: gone, damaged or out of bounds, the refusal says which, and no path of this machine."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        folder = world.workspace.cycle_dir(cycle) / "results"
        folder.mkdir()
        for name, content in [
            ("a" * 12, b"{'text'"),
            ("b" * 12, b"[1]"),
            ("c" * 12, b"\xff\xfe"),
            ("d" * 12, b"[" * 10**5),
        ]:
            (folder / f"{name}.json").write_bytes(content)
        for ref, words in [
            (f"result:{cycle}:{'a' * 12}", "is damaged; call the tool again"),
            (f"result:{cycle}:{'b' * 12}", "is damaged"),
            (f"result:{cycle}:{'c' * 12}", "is damaged"),
            (f"result:{cycle}:{'d' * 12}", "is damaged"),
            (f"result:{cycle}:{'e' * 12}", f"no result '{'e' * 12}' was put aside in {cycle}"),
            (f"result:{cycle}:../cycle", "is not a plain name"),
            (f"result:{cycle}", "is not of the form result:<cycle>:<id>"),
            ("result:cycle_9:0123456789ab", "no cycle 'cycle_9'"),
            ("result:../sealed:0123456789ab", "is not a plain name"),
        ]:
            said = await refusal(playbook, "read_evidence", ref=ref)
            assert words in said and str(tmp_path) not in said and "\n" not in said


async def test_a_search_finds_the_entry_with_most_of_the_words(tmp_path: Path) -> None:
    """Ours: plain words, ranked by how many are shared."""
    world = World(tmp_path)
    lessons = [
        lesson("Rows about rain helped brightness.", title="Rain"),
        lesson("Replay of hard rows hurt brightness.", title="Replay"),
        lesson("Nothing moved.", title="Calm"),
    ]

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=lessons)
        found = await call(playbook, "search_playbook", query="Brightness, replay?", limit=5)
        wordless = await refusal(playbook, "search_playbook", query="?!")

    assert [entry["title"] for entry in found["entries"]] == ["Replay", "Rain"]
    assert "has no word" in wordless
