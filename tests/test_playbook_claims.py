"""A lesson's figures are claims that resolve, and a remedy is about a failure that was recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.core.disk import read_json, write_json
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.playbook.claims import COMPARED_IN_A_SNAPSHOT
from servers.playbook.rounding import rounded, rounds_to
from servers.playbook.server import build_room
from servers.playbook.units import quantity_of
from tests.playbook_world import World, measured_begin, most_wrong, recorded_begin
from tests.proof.figures import evidence_of, figures_of
from tests.workshop import Workshop, call, refusal

pytestmark = pytest.mark.anyio

JUDGED = {
    "schema": 1, "verdict_id": "verdict-000000000000", "cycle": "begin_small", "dataset": "small",
    "candidate": "student-0123456789ab", "champion": "constant", "outcome": "hold", "reason": "so it came out", "n": 20,
    "clusters": 20, "level": 0.025, "difference": None, "ci": None, "checks": [], "focus_dimensions": [],
    "verdicts_asked": 1, "asked_at": "2026-01-31T08:00:00Z",
}  # fmt: skip


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
            (claim(f"gate:{cycle}", "ci.0", 0.5, unit="of 12"), "the unit is 'points', not 'of 12'"),
            (claim(f"gate:{cycle}", "ci.0", 10**400), "value"),
        ]:
            entry = lesson("Words {claim:a}.", given)
            said = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[entry])
            assert words in said and ("claim 'a'" in said or words == "value")

    assert not (world.workspace.cycle_dir(cycle) / "playbook.json").exists()


@pytest.mark.parametrize(
    ("found", "held", "refused"),
    [
        (14.24, [14.2, 14.24, 14.240], [14, 14.3, 14.1, 14.25, -14.2]),
        (14.25, [14.2, 14.3, 14.25], [14, 14.4]),
        (13.97, [14.0, 13.97], [14, 13.9]),
        (0.96, [0.96], [1, 1.0, 0.9]),
        (0.996, [0.996], [1.0, 0.99]),
        (-0.0412, [-0.041, -0.0412], [-0.04, -0.0, 0, 0.041]),
        (103, [103, 103.0], [100, 103.4, 104]),
        (-0.0, [0, 0.0, -0.0], [0.01]),
        (0.1 + 0.2, [0.3], [0.2]),
        (4.1e-08, [4.1e-08], [4e-08, 0, 0.0]),
    ],
)
def test_the_stated_rounding(found: float, held: list[float], refused: list[float]) -> None:
    """Ours: half a unit of the last decimal, never under one decimal and two digits where the number is not whole."""
    assert [written for written in held if not rounds_to(found, written)] == []
    assert [written for written in refused if rounds_to(found, written)] == []
    assert rounds_to(found, rounded(found)) and rounds_to(found, rounded(found, decimals=2))


async def test_a_unit_is_the_metrics_and_is_shown_as_such(tmp_path: Path) -> None:
    """Ours: a figure in another unit is another figure; synonyms are one unit, and a share may be a percentage."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, ref, metrics = await _rule(world, playbook)
        share, error = metrics["slot_exact_match"], metrics["vector_mae"]
        held = [
            (claim(ref, "vector_mae", round(error, 2), " PTS. "), f"{round(error, 2)} points"),
            (
                claim(ref, "mse_raw", round(metrics["mse_raw"], 1), "points^2"),
                f"{round(metrics['mse_raw'], 1)} points²",
            ),
            (claim(ref, "slot_exact_match", round(share, 3), "share"), f"{round(share, 3)}"),
            (claim(ref, "slot_exact_match", round(share * 100, 1), "percent"), f"{round(share * 100, 1)} %"),
            (claim(ref, "r2_score", round(metrics["r2_score"], 3), ""), f"{round(metrics['r2_score'], 3)}"),
            (claim(ref, "standard_errors.mae_raw_energy", round(_error_of(world, cycle), 2)), " points"),
            (claim(ref, "n", 20, "examples"), "20 rows"),
        ]
        for given, words in held:
            await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("It: {claim:a}.", given)])
            found = await call(playbook, "search_playbook", query="lesson")
            assert f"{words} [1]." in found["entries"][0]["text"], given
        for metric, unit, right in [
            ("vector_mae", "%", "the unit is 'points', not '%'"),
            ("vector_mae", "", "the unit is 'points', not ''"),
            ("mse_raw", "points", "the unit is 'points²'"),
            ("slot_exact_match", "points", "the unit is 'share' (or '%')"),
            ("r2_score", "%", "the unit is 'none'"),
            ("n", "ms", "the unit is 'rows'"),
        ]:
            wrong = claim(ref, metric, round(metrics.get(metric, 20), 2), unit)
            said = await refusal(
                playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", wrong)]
            )
            assert right in said and "claim 'a'" in said
        as_share = claim(ref, "slot_exact_match", round(share, 3), "%")
        said = await refusal(
            playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", as_share)]
        )

    assert f"is {share * 100!r}, not {round(share, 3)!r}" in said


async def test_a_dimension_that_is_named_is_the_metrics(tmp_path: Path) -> None:
    """Ours: a figure about one dimension cannot be claimed of another, or of none in particular."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, ref, metrics = await _rule(world, playbook)
        value = round(metrics["mae_raw_energy"], 2)
        true = claim(ref, "mae_raw_energy", value) | {"dimension": "energy"}
        await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", true)])
        said = [
            await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", wrong)])
            for wrong in (
                true | {"dimension": "warmth"},
                claim(ref, "vector_mae", round(metrics["vector_mae"], 2)) | {"dimension": "warmth"},
            )
        ]

    assert "is about 'energy', not about 'warmth'" in said[0]
    assert "is about no single dimension, not about 'warmth'" in said[1]


async def test_a_difference_is_shown_with_its_direction_whatever_the_prose_says(tmp_path: Path) -> None:
    """Ours: the server says lower or higher, and by the metric's definition whether that is better."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, ref, metrics = await _rule(world, playbook)
        constant = world.evaluations.find(cycle, "constant")
        assert constant is not None
        pair, back = f"compare:{constant.evaluation_id}:{ref[11:]}", f"compare:{ref[11:]}:{constant.evaluation_id}"
        worse = {name: float(constant.metrics[name] or 0) - value for name, value in metrics.items()}
        error, r2, share = worse["vector_mae"], worse["r2_score"], worse["slot_exact_match"]
        assert error > 1 and r2 < -0.01 and share
        way = "higher (which is better)" if share > 0 else "lower (which is worse)"
        held = [
            (claim(pair, "vector_mae", round(error, 1)), f"{round(error, 1)} points higher (which is worse)"),
            (
                claim(pair, "vector_mae", round(error, 1)) | {"direction": "worse"},
                f"{round(error, 1)} points higher (which is worse)",
            ),
            (claim(back, "vector_mae", round(-error, 2)) | {"direction": "lower"}, "points lower (which is better)"),
            (claim(pair, "r2_score", round(r2, 3), "none"), f"{-round(r2, 3)} lower (which is worse)"),
            (claim(pair, "slot_exact_match", round(100 * share, 1), "percentage points"), f"percentage points {way}"),
            (claim(pair, "json_valid_rate", 0, "share") | {"direction": "none"}, "0 (no difference)"),
            (claim(pair, "n", 20, "rows"), "20 rows"),
        ]
        for given, words in held:
            text = "It improved a lot: {claim:a}."
            await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(text, given)])
            found = await call(playbook, "search_playbook", query="lesson")
            assert f"{words} [1]." in found["entries"][0]["text"], given
        wrong = [
            (claim(pair, "vector_mae", round(error, 1)) | {"direction": "better"}, "is 'higher' and 'worse'"),
            (claim(pair, "vector_mae", round(error, 1)) | {"direction": "lower"}, "is 'higher' and 'worse'"),
            (claim(pair, "vector_mae", round(error, 1)) | {"direction": "none"}, "is 'higher' and 'worse'"),
            (claim(pair, "vector_mae", round(-error, 1)), "; write "),
            (claim(pair, "slot_exact_match", round(100 * share, 1), "%"), "(or 'percentage points'), not '%'"),
            (claim(ref, "vector_mae", round(metrics["vector_mae"], 1)) | {"direction": "better"}, "which this figure"),
        ]
        for given, words in wrong:
            entry = lesson("{claim:a}", given)
            assert words in await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[entry])


async def test_of_a_snapshot_only_what_was_compared_supports_a_claim(tmp_path: Path) -> None:
    """Bug: runs that nobody here wrote were kept apart in the snapshot, and a claim could rest on them all the same."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, recorded = await recorded_begin(world, playbook)
        path = world.workspace.cycle_dir(cycle) / "mcp_eval_snapshot.json"
        told = {"run_id": "x", "summary": {"vector_mae": 1.5}}
        write_json(path, read_json(path) | {"other_runs": [told]})
        foreign = claim(f"snapshot:{cycle}", "other_runs.0.summary.vector_mae", 1.5)
        said = await refusal(
            playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", foreign)]
        )
        ours = claim(f"snapshot:{cycle}", "failures_top_k.0.mae_raw", round(recorded["failures"][0]["mae_raw"], 2))
        await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:a}", ours)])

    assert "only eval_summary, failures_top_k, failures_len were compared" in said


async def test_every_figure_that_evidence_holds_has_a_unit(tmp_path: Path) -> None:
    """Ours: a new kind of figure gets its line in `units.py`, or no claim could rest on it."""
    async with Workshop(tmp_path) as shop:
        await shop.call("prepare_dataset", dataset="demo")
        await shop.follow((await shop.call("open_cycle", dataset="demo"))["cycle"])
    workspace, task = Workspace(tmp_path), load_task("kotone")
    async with Client(build_room(workspace, task).server) as playbook:
        figures = [figure for ref in evidence_of(workspace) for figure in await figures_of(playbook, ref)]
    supporting = [f for f in figures if not f.source.startswith("snapshot:") or f.path[0] in COMPARED_IN_A_SNAPSHOT]
    without = {".".join(f.path) for f in supporting if quantity_of(f.path, task.names) is None}

    assert len(supporting) > 500 and without == set()


async def test_a_remedy_keeps_the_error_before_and_names_a_recorded_trace(tmp_path: Path) -> None:
    """Ours: a remedy is about a failure of this cycle that came back through W&B."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        early = {"trace_id": "0" * 32, "dimension": "energy", "change": "new rows"}
        too_early = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[early], lessons=[])
        _, recorded = await recorded_begin(world, playbook)
        worst = recorded["failures"][0]
        dimension = most_wrong(worst)
        least = min(worst["abs_error_by_dim"], key=worst["abs_error_by_dim"].__getitem__)
        rule = world.evaluations.find(cycle, "rule")
        assert rule is not None
        of_the_rule = world.evaluations.rows(rule.evaluation_id)[0].trace_id
        remedy = {"trace_id": worst["trace_id"], "dimension": dimension, "change": "new rows about warm things"}
        await call(playbook, "write_playbook", cycle=cycle, remedies=[remedy], lessons=[])
        for wrong, words in [
            (remedy | {"trace_id": "0" * 32}, "not among this cycle's recorded failures"),
            (remedy | {"trace_id": of_the_rule}, "not among this cycle's recorded failures"),
            (remedy | {"dimension": "sweetness"}, "no dimension 'sweetness'"),
            (remedy | {"dimension": least}, f"; it errs on {dimension}"),
            (remedy | {"change": "20 new rows"}, "the figure '20'"),
            (remedy | {"change": "twen\u200bty new rows"}, "the figure 'twenty'"),
            (remedy | {"change": "\u200b ."}, "has no word"),
        ]:
            assert words in await refusal(playbook, "write_playbook", cycle=cycle, remedies=[wrong], lessons=[])
        changed = remedy | {"change": "other rows"}
        written = await call(playbook, "write_playbook", cycle=cycle, remedies=[changed] * 3, lessons=[])

    assert "call record_context first" in too_early
    assert written["remedies"] == 1
    (kept,) = world.file("loop", cycle, "playbook.json")["remedies"]
    assert kept["change"] == "other rows" and kept["error_after"] is None and not kept["after_verdict"]
    assert kept["error_before"] == worst["abs_error_by_dim"][dimension]
    assert "prove nothing" in world.file("loop", cycle, "playbook.json")["note"]


async def test_a_failure_of_another_cycle_is_no_failure_of_this_one(tmp_path: Path) -> None:
    """Ours: the three failures behind a promotion are this champion's, in this cycle."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        first, recorded = await recorded_begin(world, playbook)
        await call(playbook, "write_report", cycle=first, stop_reason="the machine is needed")
        second, again = await recorded_begin(world, playbook)
        old = recorded["failures"][0]
        remedy = {"trace_id": old["trace_id"], "dimension": most_wrong(old), "change": "new rows"}
        said = await refusal(playbook, "write_playbook", cycle=second, remedies=[remedy], lessons=[])
        closed = await refusal(playbook, "write_playbook", cycle=first, remedies=[remedy], lessons=[])

    assert second != first and old["trace_id"] not in {failure["trace_id"] for failure in again["failures"]}
    assert "not among this cycle's recorded failures" in said and "is closed" in closed


async def test_what_was_remedied_before_the_verdict_stands_and_what_comes_after_it_says_so(tmp_path: Path) -> None:
    """Ours: a change that is told when the verdict is known changed nothing for the candidate."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, recorded = await recorded_begin(world, playbook)
        before, late = (
            {"trace_id": failure["trace_id"], "dimension": most_wrong(failure), "change": "new rows"}
            for failure in recorded["failures"][:2]
        )
        await call(playbook, "write_playbook", cycle=cycle, remedies=[before], lessons=[])
        write_json(world.workspace.cycle_dir(cycle) / "gate.json", JUDGED)
        same = await call(playbook, "write_playbook", cycle=cycle, remedies=[before, late], lessons=[])
        said = await refusal(
            playbook, "write_playbook", cycle=cycle, remedies=[before | {"change": "better rows"}], lessons=[]
        )
        found = await call(playbook, "search_playbook", query="rows")

    assert same["remedies"] == 2 and "what was remedied before it stands" in said
    kept = world.file("loop", cycle, "playbook.json")["remedies"]
    assert [remedy["after_verdict"] for remedy in kept] == [False, True]
    texts = [entry["text"] for entry in found["entries"]]
    assert sum(text.startswith("new rows (written after the verdict)") for text in texts) == 1
    assert "(written after the verdict)" in world.text("wandb", "weave_failure_playbook.md")


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


async def _rule(world: World, playbook: Client) -> tuple[str, str, dict[str, float]]:
    """A measured beginning, the source of the rule's evaluation, and its metrics that are not null."""
    cycle = await measured_begin(world, playbook)
    found = world.evaluations.find(cycle, "rule")
    assert found is not None
    metrics = {name: value for name, value in found.metrics.items() if value is not None}
    return cycle, f"evaluation:{found.evaluation_id}", metrics


def _error_of(world: World, cycle: str) -> float:
    found = world.evaluations.find(cycle, "rule")
    assert found is not None
    return found.standard_errors["mae_raw_energy"]
