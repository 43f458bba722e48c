"""What a person sees of `etude cycle` in a real terminal, and what is left of it when it is interrupted."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from agent.desk import Desk
from agent.interrupt import Interruptible
from agent.ledger import Ledger
from agent.progress import Progress
from tests.doubles.connected import sessions_with
from tests.doubles.house_world import DIMENSIONS, World
from tests.terminal import Terminal
from tests.test_agent_cli import ETUDE, ROOT, house

MOVES = re.compile(r"\x1b\[[0-9]*A")
COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


def terminal(words: list[str], **options: object) -> Terminal:
    return Terminal([*ETUDE, *words], folder=ROOT, **options)


def test_a_run_of_five_cycles_closes_with_one_screen(tmp_path):
    """Ours: verdicts, errors by dimension, what it took and what to type next, all at a glance."""
    verdicts = ["promote", "hold", "promote", "undecided", "promote", "promote"]
    _, where = house(tmp_path, verdicts=verdicts)

    with terminal(["cycle", "--cycles", "5", *where]) as shown:
        code = shown.to_the_end()

    last = shown.screen.lines[-24:]
    assert code == 0, shown.screen.text
    assert shown.screen.cursor_shown and any(line.startswith("Étude · double · demo") for line in last)
    assert [line.split()[2] for line in last if line.startswith(("begin ", "cycle_"))] == [
        "promoted", "held", "promoted", "undecided", "promoted", "promoted",
    ]  # fmt: skip
    assert {line.split()[0] for line in last if line.strip()} >= {
        *DIMENSIONS[:3],
        "champion's",
        "spent",
        "embedded",
        "report",
        "next",
    }
    assert "SYNTHETIC" in shown.screen.text and "etude verify cycle_5" in shown.screen.text
    assert "●train" not in shown.screen.text, "the board is gone"


@pytest.mark.services
@pytest.mark.parametrize("to_width", [40, 130])
def test_a_window_may_change_its_size(tmp_path, to_width):
    """Ours: a narrow one gets whole lines, and nothing ends a run."""
    _, where = house(tmp_path, begun_already=True, verdicts=["hold"])

    with terminal(["cycle", "--cycles", "1", *where], width=60) as shown:
        shown.until(lambda text: "connect" in text)
        shown.resize(to_width, 24)
        assert shown.to_the_end() == 0

    assert "· held" in shown.screen.text and "Traceback" not in shown.screen.text


@pytest.mark.services
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_that_wants_less_gets_less(tmp_path, environment):
    """Ours: no colours with NO_COLOR; nothing moves where TERM is dumb, or in CI."""
    _, where = house(tmp_path, begun_already=True)

    with terminal(["cycle", "--cycles", "1", *where], environment=environment) as shown:
        assert shown.to_the_end() == 0

    assert "promoted" in shown.screen.text
    assert bool(MOVES.search(shown.written)) == ("NO_COLOR" in environment)
    assert bool(COLOURS.search(shown.written)) == ("CI" in environment)


def test_a_pipe_gets_plain_lines_whatever_the_environment_asks_for(tmp_path):
    """Ours: no colour codes and no other control characters when piped."""
    _, where = house(tmp_path, begun_already=True)

    done = subprocess.run(
        [*ETUDE, "cycle", "--cycles", "1", *where],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"},
        timeout=60,
    )

    assert done.returncode == 0
    assert not [char for char in done.stdout + done.stderr if char < " " and char != "\n"]
    assert done.stdout.splitlines()[1] == "cycle_1: promote; champion student-cycle_1"


@pytest.mark.services
def test_a_document_goes_to_stdout_and_the_closing_summary_to_the_terminal(tmp_path):
    """Ours: `--json` is one document, also where somebody watches."""
    _, where = house(tmp_path, begun_already=True)

    with (
        (tmp_path / "out.json").open("wb") as out,
        terminal(["cycle", "--cycles", "1", "--json", *where], out=out) as shown,
    ):
        assert shown.to_the_end() == 0

    assert json.loads((tmp_path / "out.json").read_text())["cycles"][0]["verdict"] == "promote"
    assert "next      etude report --serve" in shown.screen.text


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("ctrl-c", 130),
        pytest.param("SIGTERM", 143, marks=pytest.mark.services),
        pytest.param("SIGHUP", 129, marks=pytest.mark.services),
    ],
)
def test_an_interrupted_run_says_where_it_was_and_its_command_finishes_it(tmp_path, how, code):
    """Ours: nothing is lost, no child is left behind, and what to type is what was typed."""
    world, where = house(tmp_path, job_polls=10**9, begun_already=True)

    with terminal(["cycle", "--cycles", "1", *where], width=500) as shown:
        # The last line of the board: what stands above it is there by then.
        shown.until(lambda text: "is running" in text and "champion's error █▁ 20.00 → 16.25" in text)
        assert "✓measure ✓read back ✓diagnose ✓augment ●train ○judge ○promote ○write" in shown.screen.text
        if how == "ctrl-c":
            shown.press_ctrl_c()
        else:
            shown.send(signal.Signals[how])
        assert shown.to_the_end() == code

    said = [line for line in shown.screen.lines if line][-2:]
    assert said[0] == (
        f"{'Interrupted' if how == 'ctrl-c' else f'Ended by {how}'} in step 'train' of cycle_1. Nothing is lost, and "
        "the training train-cycle_1 goes on by itself; this goes on from there:"
    )
    assert shown.screen.cursor_shown and "Traceback" not in shown.screen.text
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "world" / "all.pid").read_text()), 0)

    World(world.file.parent, job_polls=1)
    again = shlex.split(said[1])
    assert again[0] == "etude"
    done = subprocess.run([*ETUDE, *again[1:], "--json"], capture_output=True, cwd=ROOT, timeout=60)
    assert [part["cycle"] for part in json.loads(done.stdout)["cycles"]] == [1], done.stderr
    assert world.calls.count("start_retrain") == 1


def test_a_run_under_nohup_hears_of_no_closed_terminal():
    """Ours: what was ignored when it began stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        return "done"

    try:
        assert Interruptible(lambda number: None).run(work) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.services
def test_a_second_ctrl_c_ends_at_once(tmp_path):
    """Ours: whoever does not want to wait need not, and gets the cursor back."""
    _, where = house(tmp_path, job_polls=10**9, begun_already=True)

    with terminal(["cycle", "--cycles", "1", *where]) as shown:
        shown.until(lambda text: "train-cycle_1 is running" in text)
        shown.press_ctrl_c()
        shown.until(lambda text: "Ending" in text)
        shown.press_ctrl_c()
        code = shown.to_the_end(5)

    assert code == 130 and shown.screen.cursor_shown and "Traceback" not in shown.screen.text


@pytest.mark.anyio
async def test_what_a_server_says_of_its_progress_reaches_the_board(tmp_path: Path):
    """MCP: a request that carries a progress token may be answered with notifications first."""
    mcp = MCPServer("slow")
    seen: list[tuple[float, float | None, str]] = []

    @mcp.tool()
    async def read_rows(ctx: Context) -> str:
        await ctx.report_progress(120, 240, "120 of 240 rows")
        return "done"

    async with sessions_with({"slow": mcp}) as sessions:
        desk = Desk(sessions, Ledger(tmp_path), Progress(io.StringIO()))
        with desk.step("measure") as step:
            reached = step.reached
            step.reached = lambda *what: (seen.append(what), reached(*what))
            await desk.do("read_rows", {})
            assert step.share == 0.5

    assert seen == [(120, 240, "120 of 240 rows")]
