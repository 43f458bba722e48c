"""The loop against a scripted house: which calls are made in which order, and what a run leaves behind."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.desk import Desk, StepFailed
from agent.journal import Journal
from agent.ledger import Ledger
from agent.loop import Run
from agent.offline import OfflineBrain
from agent.outcome import Outcome
from agent.progress import Progress
from agent.screen import ending
from tests.doubles.connected import sessions_with
from tests.doubles.house import rooms
from tests.doubles.house_world import DIMENSIONS, World

pytestmark = pytest.mark.anyio

LOOK = ["get_cycle"]
MEASURE = ["evaluate_model"] * 2 + LOOK
READ_BACK = ["query_wandb_tool"] * 3 + ["count_weave_traces_tool", "query_weave_traces_tool", "record_context"]
TRAIN = ["plan_retrain", *LOOK, "start_retrain", *LOOK, "get_job", *LOOK]
JUDGE = ["evaluate_model", *LOOK, "gate_candidate", *LOOK, "promote_model", *LOOK]
WRITE = ["write_playbook", "write_report", *LOOK]
BEGIN = ["open_cycle", *MEASURE, *READ_BACK, *LOOK, "diagnose_dataset", *LOOK, *TRAIN, *JUDGE, *WRITE]
CYCLE = [
    "open_cycle", "evaluate_model", *MEASURE, *READ_BACK, *LOOK, "diagnose_dataset", *LOOK,
    "plan_augmentation", *LOOK, "augment_dataset", *LOOK, "write_playbook", *LOOK, *TRAIN, *JUDGE, *WRITE,
]  # fmt: skip


async def run(world: World, folder: Path, cycles: int = 1, screen: io.StringIO | None = None) -> Outcome:
    """One run over the wire, against servers in this process."""
    async with sessions_with(rooms(world)) as sessions:
        desk = Desk(sessions, Ledger(folder), Progress(screen or io.StringIO()))
        journal = Journal(folder)
        outcome = await Run(desk, OfflineBrain(), folder, journal).go("demo", cycles)
        journal.finish()
        return outcome


def without_reading(calls: list[str]) -> list[str]:
    """The calls that are no reading of evidence, which is done by the page."""
    return [tool for tool in calls if tool != "read_evidence"]


def ledger(folder: Path, cycle: str) -> list[dict[str, Any]]:
    lines = (folder / "loop" / cycle / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


async def test_a_run_begins_and_then_goes_through_the_steps_of_the_design_in_order(tmp_path):
    """Ours: measure, read back, diagnose, make data, remedy, train, measure again, judge, release, write."""
    world = World(tmp_path / "world")

    await run(world, tmp_path / "artifacts")

    assert without_reading(world.calls) == ["describe_task", "prepare_dataset", *BEGIN, *CYCLE, "prepare_dataset"]


async def test_a_second_run_does_not_begin_again(tmp_path):
    """Ours: the begin's verdict is read from what was written down then."""
    world = World(tmp_path / "world", verdicts=["undecided", "promote"])
    await run(world, tmp_path / "artifacts")
    before = len(world.calls)

    second = await run(world, tmp_path / "artifacts")

    assert "plan_augmentation" in world.calls[before:] and world.calls[before:].count("open_cycle") == 1
    assert second.begin.verdict == "undecided" and second.begin.reason == "the sealed rows do not show it"
    assert second.begin.champion == second.cycles[0].champion_before == "student-cycle_1"
    assert second.cycles[0].cycle == 2


async def test_a_first_model_that_is_no_better_leaves_the_constant_in_service(tmp_path):
    """Ours: the begin's verdict is told as it is."""
    world = World(tmp_path / "world", verdicts=["hold"])

    outcome = await run(world, tmp_path / "artifacts")

    assert world.arguments("promote_model") == [{"cycle": "begin_demo", "candidate": "constant"}]
    assert outcome.begin.model_dump() == {
        "champion": "constant", "verdict": "hold", "reason": "the sealed rows do not show it",
    }  # fmt: skip
    assert outcome.cycles[0].champion_before == outcome.cycles[0].champion_after == "constant"


async def test_a_candidate_that_is_held_back_is_not_released(tmp_path):
    """Ours: only a promote is followed by promote_model."""
    world = World(tmp_path / "world", begun_already=True, verdicts=["hold"])

    outcome = await run(world, tmp_path / "artifacts")

    assert "gate_candidate" in world.calls and "promote_model" not in world.calls
    part = outcome.cycles[0]
    assert (part.verdict, part.reason, part.champion_after) == (
        "hold", "the sealed rows do not show it", "student-begin_demo",
    )  # fmt: skip
    assert part.gate is not None and part.gate.difference is None and part.gate.ci is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"diagnosis": "stop"}, "the labels are noise"),
        ({"added": 0}, "no new row survived the filters"),
    ],
)
async def test_a_cycle_that_cannot_gain_stops_without_a_candidate(tmp_path, settings, reason):
    """Ours: the right move is to say so; no verdict is spent, and the run is a success."""
    world = World(tmp_path / "world", begun_already=True, **settings)

    part = (await run(world, tmp_path / "artifacts")).cycles[0]

    assert (part.verdict, part.reason) == ("stopped", reason)
    assert part.gate is None and part.diagnose.candidate is None and part.diagnose.champion is not None
    assert part.champion_before == part.champion_after
    assert "gate_candidate" not in world.calls and "start_retrain" not in world.calls
    assert world.arguments("write_report") == [{"cycle": "cycle_1", "stop_reason": reason}]
    assert world.arguments("write_playbook")[-1]["lessons"], "a stopped cycle is written down too"


async def test_a_run_ends_after_a_cycle_that_stopped_and_changed_nothing(tmp_path):
    """Ours: the next cycle would find the same data and stop again; the run says so instead of repeating it."""
    screen = io.StringIO()
    world = World(tmp_path / "world", begun_already=True, diagnosis="stop")

    outcome = await run(world, tmp_path / "artifacts", cycles=3, screen=screen)

    assert [part.verdict for part in outcome.cycles] == ["stopped"]
    assert "so 2 more cycles would stop the same way; the run ends here." in screen.getvalue()


async def test_a_run_goes_on_after_a_cycle_whose_new_rows_were_all_dropped(tmp_path):
    """Ours: each cycle draws other rows, so the next one may keep some."""
    world = World(tmp_path / "world", begun_already=True, added=0)

    outcome = await run(world, tmp_path / "artifacts", cycles=2)

    assert [part.verdict for part in outcome.cycles] == ["stopped", "stopped"]


async def test_wandb_replies_reach_the_playbook_word_for_word(tmp_path):
    """Ours: the program passes them on; nobody retypes them."""
    world = World(tmp_path / "world", begun_already=True, failures=3)

    await run(world, tmp_path / "artifacts")

    recorded = world.arguments("record_context")[0]
    assert recorded["server"] == {"name": "etude-wandb-local", "version": "1.0"}
    assert [call["tool"] for call in recorded["calls"]] == READ_BACK[:-1]
    assert recorded["calls"][0]["text"] == '{"viewer": {"username": "double", "entity": "local"}}'
    asked = recorded["calls"][1]["arguments"]
    assert json.loads(asked["variables"]["filters"]) == {"group": "cycle_1", "jobType": "eval", "state": "finished"}
    assert "first: 20" in asked["query"] and "$limit" not in asked["query"]
    assert recorded["calls"][4]["arguments"]["limit"] == 20
    entries = [entry for entry in ledger(tmp_path / "artifacts", "cycle_1") if entry["tool"] == "query_wandb_tool"]
    assert [entry["result_chars"] for entry in entries] == [len(call["text"]) for call in recorded["calls"][:3]]


async def test_a_tracker_that_cannot_sort_by_error_is_asked_for_more_traces(tmp_path):
    """Ours: an error inside a successful reply is an error, and the snapshot gets only what succeeded."""
    world = World(tmp_path / "world", begun_already=True, sorts_by_error=False)

    await run(world, tmp_path / "artifacts")

    assert world.arguments("query_weave_traces_tool") == [
        {"sort_by": "output.mae_raw", "limit": 20}, {"sort_by": "started_at", "limit": 6},
    ]  # fmt: skip
    assert [call["tool"] for call in world.arguments("record_context")[0]["calls"]] == READ_BACK[:-1]


async def test_a_busy_tracker_is_asked_again(tmp_path):
    """Ours: the official server says how long to wait, and is obeyed."""
    world = World(tmp_path / "world", begun_already=True, busy=2)

    await run(world, tmp_path / "artifacts")

    assert world.calls.count("count_weave_traces_tool") == 3


async def test_the_ledger_of_a_cycle_holds_every_call_since_the_last_one(tmp_path):
    """Ours: calls before the cycle is known are held back and written once it is."""
    world = World(tmp_path / "world")

    await run(world, tmp_path / "artifacts", cycles=2)

    begin, first, second = (ledger(tmp_path / "artifacts", name) for name in ("begin_demo", "cycle_1", "cycle_2"))
    assert without_reading([e["tool"] for e in begin]) == ["describe_task", "prepare_dataset", *BEGIN]
    assert without_reading([e["tool"] for e in first]) == CYCLE
    assert without_reading([e["tool"] for e in second]) == [*CYCLE, "prepare_dataset"]
    calls = [entry["call"] for entry in (*begin, *first, *second)]
    assert len(set(calls)) == len(calls), "each row is a call of its own"
    assert set(first[3]) == {
        "call", "at", "step", "server", "tool", "arguments", "is_error", "result_digest", "result_chars", "seconds",
    }  # fmt: skip
    assert (first[3]["step"], first[3]["server"]) == ("measure", "eval")
    assert first[3]["arguments"] == {"cycle": "cycle_1", "model": "student-begin_demo"}


@pytest.mark.parametrize("tool", ["augment_dataset", "gate_candidate", "write_report"])
async def test_a_refusal_ends_the_run_with_the_tools_words_and_the_same_command_goes_on(tmp_path, tool):
    """Ours: state stays intact; the cycle that was cut short is the first of the next run."""
    world = World(tmp_path / "world", begun_already=True, refuse={tool: "not today; try tomorrow"})
    with pytest.raises(StepFailed, match=rf"step '\w+', tool {tool}: not today; try tomorrow") as failed:
        await run(world, tmp_path / "artifacts")
    World(tmp_path / "world", refuse={})

    outcome = await run(world, tmp_path / "artifacts")

    assert "Error executing" not in str(failed.value)
    entries = ledger(tmp_path / "artifacts", "cycle_1")
    assert [entry["tool"] for entry in entries if entry["is_error"]] == [tool]
    (part,) = outcome.cycles
    assert (part.cycle, part.verdict) == (1, "promote")
    assert (part.champion_before, part.champion_after) == ("student-begin_demo", "student-cycle_1")
    assert world.read()["asked"] == 1, "no verdict was asked for twice"


async def test_a_training_that_fails_is_tried_three_times_and_then_told(tmp_path):
    """Ours: a killed process is tried again, but not for ever; without any model in service the run cannot go on."""
    world = World(tmp_path / "world", job_polls=3, job_end="failed")

    with pytest.raises(
        StepFailed, match="begin_demo ended without a model in service: train-begin_demo failed: out of"
    ):
        await run(world, tmp_path / "artifacts")

    assert world.calls.count("start_retrain") == 3 and world.calls.count("get_job") == 9


async def test_a_list_that_does_not_move_on_ends_the_run(tmp_path):
    """Ours: a server that says the same for ever must not be followed for ever."""
    world = World(tmp_path / "world", begun_already=True, stands_still="diagnosed")

    with pytest.raises(StepFailed, match="cycle_1 does not move on: diagnose_dataset is next again after it was done"):
        await run(world, tmp_path / "artifacts")


async def test_the_same_command_finishes_the_run_that_was_cut_short(tmp_path):
    """Ours: two cycles are two cycles, also when the run dies in the second of them and is started again."""
    world = World(tmp_path / "world")
    await run_until_refused(world, tmp_path / "artifacts", cycle=2)

    outcome = await run(world, tmp_path / "artifacts", cycles=2)

    assert [(part.cycle, part.verdict) for part in outcome.cycles] == [(1, "promote"), (2, "promote")]
    assert (outcome.begin.verdict, outcome.begin.champion) == ("promote", "student-begin_demo")
    assert set(world.read()["cycles"]) == {"begin_demo", "cycle_1", "cycle_2"}


async def test_a_run_that_was_finished_is_not_taken_up_again(tmp_path):
    """Ours: after it the same command turns the loop again."""
    world = World(tmp_path / "world")
    await run(world, tmp_path / "artifacts")

    outcome = await run(world, tmp_path / "artifacts")

    assert [part.cycle for part in outcome.cycles] == [2]


async def test_other_words_begin_a_run_of_their_own(tmp_path):
    """Ours: the cycle that is open is the first of them, and those that were closed before count no more."""
    world = World(tmp_path / "world")
    await run_until_refused(world, tmp_path / "artifacts", cycle=2)

    outcome = await run(world, tmp_path / "artifacts", cycles=3)

    assert [part.cycle for part in outcome.cycles] == [2, 3, 4]


async def test_a_damaged_note_of_the_last_run_costs_nothing_but_its_memory(tmp_path):
    """Ours: the cycles say for themselves where they stand."""
    world = World(tmp_path / "world")
    await run_until_refused(world, tmp_path / "artifacts", cycle=2)
    (tmp_path / "artifacts" / "run.json").write_text('{"schema": 1, "datas')

    outcome = await run(world, tmp_path / "artifacts", cycles=2)

    assert [part.cycle for part in outcome.cycles] == [2, 3]


async def run_until_refused(world: World, folder: Path, cycle: int) -> None:
    """A run of two cycles that ends in one of them, before its gate."""
    asked = World(world.file.parent)
    with pytest.raises(StepFailed, match="not today"):
        async with sessions_with(rooms(world)) as sessions:
            desk = Desk(sessions, Ledger(folder), Refusing(asked, f"cycle_{cycle}"))
            await Run(desk, OfflineBrain(), folder, Journal(folder)).go("demo", 2)
    World(world.file.parent, refuse={})


class Refusing(Progress):
    """A screen that has the gate refuse once a cycle is announced on it."""

    def __init__(self, world: World, cycle: str) -> None:
        super().__init__(io.StringIO())
        self._world, self._cycle = world, cycle

    def say(self, line: str, style: str | None = None) -> None:
        if line.startswith(f"{self._cycle}, champion"):
            World(self._world.file.parent, refuse={"gate_candidate": "not today"})
        super().say(line, style)


async def test_the_screen_labels_what_is_embedded_and_tells_each_step_and_verdict(tmp_path):
    """Ours: a plain stream gets plain lines, and nothing embedded goes unnamed."""
    screen = io.StringIO()

    outcome = await run(
        World(tmp_path / "world", begun_already=True, verdicts=["hold"]), tmp_path / "artifacts", screen=screen
    )

    text = screen.getvalue()
    for line in ("SYNTHETIC", "stand-in (embedded", "demo-world (embedded", "offline (embedded"):
        assert line in text
    assert "Held: the sealed rows do not show it. Champion: student-begin_demo." in text
    assert "gamma (focus)" in text and "query_wandb_tool x3" in text
    assert "\x1b" not in text
    assert ending(outcome).splitlines() == [
        "begin: promote",
        "cycle_1: hold (the sealed rows do not show it); champion student-begin_demo",
        "champion: student-begin_demo",
        f"report: {tmp_path / 'artifacts' / 'wandb' / 'report.html'}",
    ]


@pytest.mark.parametrize("width", [40, 80])
async def test_a_terminal_of_any_width_gets_whole_words_and_every_dimension(tmp_path, monkeypatch, width):
    """Bug: the table lost its dimensions on a narrow terminal, and long lines were cut in the middle of a word."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name, value in {"COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()

    world = World(tmp_path / "world", begun_already=True, verdicts=["hold"])
    await run(world, tmp_path / "artifacts", screen=screen)

    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= width
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("dimension")) :]
    assert {"champion", "candidate", "change"} <= set(table[0].split())
    assert [line.split()[0] for line in table if line.startswith(DIMENSIONS)] == list(DIMENSIONS)
    said = " ".join(" ".join(lines).split())
    assert "SYNTHETIC, from the embedded demo world" in said


async def test_a_screen_that_breaks_does_not_stop_the_run(tmp_path):
    """Ours: showing loses words, nothing else."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("nobody reads")

    outcome = await run(World(tmp_path / "world", begun_already=True), tmp_path / "artifacts", screen=Broken())

    assert outcome.cycles[0].verdict == "promote"


async def test_the_document_has_the_promised_shape(tmp_path):
    """Ours: the shape of `--json` is a contract."""
    outcome = await run(World(tmp_path / "world", begun_already=True), tmp_path / "artifacts")

    document = json.loads(outcome.model_dump_json(by_alias=True))
    assert list(document) == ["schema", "task", "dataset", "backends", "begin", "cycles", "artifacts", "report"]
    assert document["dataset"] == {
        "name": "demo", "fingerprint": f"{1:016x}", "rows": {"train": 160, "diagnose": 40, "gate": 60},
    }  # fmt: skip
    assert document["backends"] == {
        "brain": "offline", "wandb_mcp": "stand-in", "tracking": "local", "teacher": "demo-world", "model": "student",
        "jobs": "local", "prompt": None,
    }  # fmt: skip
    assert list(document["cycles"][0]) == [
        "cycle", "verdict", "reason", "focus_dimensions", "champion_before", "champion_after", "diagnose", "gate",
        "campaign", "brain", "seconds", "wandb_report",
    ]  # fmt: skip
    assert list(document["cycles"][0]["diagnose"]) == [
        "constant", "rule", "student", "prompt", "teacher", "champion", "candidate",
    ]  # fmt: skip
    assert list(document["cycles"][0]["gate"]) == ["difference", "ci", "n", "level", "checks"]
