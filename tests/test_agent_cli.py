"""The command line: what goes to which stream, which exit code comes back, and what is refused in one line."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.cli import run
from agent.lock import only_run_in
from agent.settings import load_settings
from agent.usage import WORDS
from tests.doubles.house_world import World

ROOT = Path(__file__).parents[1]
ETUDE = [sys.executable, "-c", "from agent.cli import main; main()"]


def house(folder: Path, **settings: Any) -> tuple[World, list[str]]:
    """A scripted house as one server process, and the options that lead a run to it."""
    world = World(folder / "world", **settings)
    entry = {"command": sys.executable, "args": ["-m", "tests.doubles.house", "all", str(folder / "world")]}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"house": entry | {"cwd": str(ROOT)}}}))
    return world, ["--mcp", str(folder / "mcp.json"), "--artifacts", str(folder / "artifacts")]


def test_a_run_prints_one_document_on_stdout_and_the_rest_on_stderr(tmp_path, capsys):
    """Ours: `--json` is for programs; a candidate that is held back is a success of the loop."""
    _, where = house(tmp_path, verdicts=["promote", "hold"])

    (tmp_path / "etude.toml").write_text("[agent]\ncycles = 1\n")

    code = run(["cycle", "--config", str(tmp_path / "etude.toml"), "--json", *where])

    shown = capsys.readouterr()
    assert code == 0, shown.err
    document = json.loads(shown.out)
    assert (document["schema"], [part["verdict"] for part in document["cycles"]]) == (1, ["hold"])
    assert document["artifacts"] == str(tmp_path / "artifacts")
    assert "connect" in shown.err and "SYNTHETIC" in shown.err and "\x1b" not in shown.err
    assert (tmp_path / "artifacts" / "log" / "house.log").exists()


def test_a_refusal_by_a_tool_is_one_line_and_exit_code_1(tmp_path, capsys):
    """Ours: step, tool and the tool's words; stdout stays empty."""
    _, where = house(tmp_path, refuse={"plan_retrain": "the budget is spent;\nraise it"})

    code = run(["cycle", "--json", *where])

    shown = capsys.readouterr()
    assert (code, shown.out) == (1, "")
    said, to_do = shown.err.splitlines()[-2:]
    assert said == "etude: step 'train', tool plan_retrain: the budget is spent; raise it"
    assert to_do == f"next: {shlex.join(['etude', 'cycle', '--json', *where])}   (goes on from here)"


def test_a_tool_that_crashes_is_one_line_that_leads_to_its_log(tmp_path, capsys):
    """Ours: the SDK withholds the text of a crash, so the log is named."""
    _, where = house(tmp_path, crash_in="describe_task")

    code = run(["cycle", *where])

    log = tmp_path / "artifacts" / "log" / "house.log"
    said = capsys.readouterr().err.splitlines()[-2]
    assert (code, said) == (1, f"etude: step 'prepare', tool describe_task: it crashed; the traceback is in {log}")
    assert "ZeroDivisionError: a bug" in log.read_text()


def test_an_interrupted_run_closes_its_servers_and_says_how_to_go_on(tmp_path):
    """Ours: Ctrl-C is exit code 130, and no child is left behind."""
    _, where = house(tmp_path, job_polls=10**9)
    process = subprocess.Popen([*ETUDE, "cycle", *where], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    assert any("measure" in line for line in process.stderr), "the step before the training"

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in said and "\x1b" not in said
    told, to_do = said.splitlines()[-2:]
    assert told.startswith("Interrupted in ") and told.endswith("this goes on from there:")
    assert to_do == f"  {shlex.join(['etude', 'cycle', *where])}"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "world" / "all.pid").read_text()), 0)


def test_an_outcome_that_reached_nobody_is_told_again(tmp_path, capsys):
    """Bug: a run that was killed after its last cycle and before its words were out turned the loop anew."""
    world, where = house(tmp_path, begun_already=True)
    words = ["cycle", "--cycles", "1", "--json", *where]
    read, write = os.pipe()
    os.close(read)
    unheard = subprocess.run([*ETUDE, *words], stdout=write, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    os.close(write)

    code = run(words)

    assert (unheard.returncode, code) == (1, 0), unheard.stderr
    assert [part["cycle"] for part in json.loads(capsys.readouterr().out)["cycles"]] == [1]
    assert world.calls.count("open_cycle") == 1
    ledger = (tmp_path / "artifacts" / "loop" / "cycle_1" / "ledger.jsonl").read_text().splitlines()
    assert len(ledger) == len(world.calls), "also the calls of a run that only tells are kept"


def test_a_second_run_in_the_same_folder_is_told_who_holds_it(tmp_path, capsys):
    """Ours: one run at a time; the second is exit code 2."""
    _, where = house(tmp_path)

    with only_run_in(tmp_path / "artifacts"):
        code = run(["cycle", *where])

    assert code == 2
    assert f"in use by another run, process {os.getpid()}, since 20" in capsys.readouterr().err


def test_a_closed_stderr_does_not_stop_a_command(tmp_path):
    """Ours: showing never stops the work."""
    _, where = house(tmp_path)

    command = shlex.join([*ETUDE, "tools", *where])
    result = subprocess.run(f"{command} 2>&-", shell=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)

    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0].split(maxsplit=3) == ["house", "describe_task", "reads", "Say what the task is."]
    assert next(line for line in lines if "promote_model" in line).split()[2] == "writes"
    assert next(line for line in lines if "query_wandb_tool" in line).split()[2] == "unstated"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dance"], "no word 'dance'; known: cycle, report, import"),
        (["cylce"], "no word 'cylce'; did you mean 'cycle'?"),
        (["--cycles", "2"], "no word '--cycles'"),
        (["cycle", "--cycels", "3"], "unknown argument '--cycels'; did you mean --cycles?"),
        (["cycle", "--cycles", "many"], "'many'"),
        (["report", "cycle_1", "cycle_2"], "etude report: unknown argument 'cycle_2'"),
    ],
)
def test_a_wrong_word_is_refused_in_one_line(words, said, capsys):
    """Ours: usage errors are exit code 2 and say what is known."""
    try:
        code = run(words)
    except SystemExit as left:
        code = left.code

    complaint = capsys.readouterr().err
    assert code == 2
    assert said in complaint and complaint.count("\n") == 1 and "--help" in complaint


@pytest.mark.parametrize("word", ["cycle", "tools", "report"])
def test_help_shows_a_working_example(word, capsys):
    """Ours: every word's help has one."""
    with pytest.raises(SystemExit):
        run([word, "--help"])

    assert f"\nexample:\n  etude {word} " in capsys.readouterr().out


def test_help_and_version_name_every_word(capsys):
    """Ours: one command, all its words."""
    assert [run(words) for words in ([], ["--help"], ["--version"])] == [0, 0, 0]

    said = capsys.readouterr().out
    assert all(said.count(f"\n  {word} ") == 2 for word in WORDS), "alone, `etude` says the same"
    assert "etude 0." in said and "130  interrupted" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cyles = 3\n", "unknown key 'cyles'; known: artifacts, sealed, task, dataset, tracking"),
        ("[agent]\ncyles = 3\n", "unknown key 'agent.cyles'; known: cycles, campaign, brain, mistral, wandb, mcp"),
        ("[agent]\nbrain = 'mighty'\n", "agent.brain: input should be 'auto', 'offline' or 'mistral', not 'mighty'"),
        ("[agent]\ncycles = 0\n", "agent.cycles: input should be greater than or equal to 1, not 0"),
        ("agent = 3\n", "agent: "),
        ("[agent.wandb]\nurl = 'ftp://x'\n", r"should match pattern '^https?://\S+$', not 'ftp://x'"),
        ("cycles = [", "is not TOML"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused_by_name(tmp_path, text, said):
    """Ours: unknown keys are errors, and the known ones are named."""
    (tmp_path / "etude.toml").write_text(text)

    with pytest.raises(ValueError) as refused:
        load_settings(tmp_path / "etude.toml", {}, {})

    assert str(tmp_path / "etude.toml") in str(refused.value) and said in str(refused.value)


def test_flags_win_over_the_file_and_a_wrong_flag_is_named_as_one(tmp_path):
    """Ours: defaults, then the file, then flags."""
    (tmp_path / "etude.toml").write_text("dataset = 'mine'\ntask = 'other'\n[agent]\ncycles = 5\nbrain = 'offline'\n")

    settings = load_settings(tmp_path / "etude.toml", {"dataset": "demo-3", "task": None}, {"cycles": 7, "mcp": None})

    assert (settings.dataset, settings.task, settings.agent.cycles, settings.agent.brain) == (
        "demo-3", "other", 7, "offline",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"^--cycles: input should be greater than or equal to 1, not -1$"):
        load_settings(tmp_path / "etude.toml", {}, {"cycles": -1})
    with pytest.raises(ValueError, match="cannot read the configuration"):
        load_settings(tmp_path / "nowhere.toml", {}, {})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"command": "x", "argz": []},
            "server 'w': argz: extra inputs are not permitted; known keys: start_limit_s, only, type, command",
        ),
        ({"command": "x", "url": "http://x"}, "server 'w': give either 'command' or 'url'"),
        ({"env": {}}, "server 'w': give either 'command' or 'url'"),
        ({"url": "http://x", "type": "sse"}, "server 'w': type: input should be 'http'"),
        (
            {"url": "http://x", "headers": {"A": "${ETUDE_NOT_SET}"}},
            "the environment variable 'ETUDE_NOT_SET' is not set",
        ),
    ],
)
def test_a_server_list_with_a_mistake_is_refused_by_name(tmp_path, capsys, entry, said):
    """Ours: which file, which server, which key."""
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"w": entry}}))

    code = run(["tools", "--mcp", str(tmp_path / "mcp.json"), "--artifacts", str(tmp_path)])

    complaint = capsys.readouterr().err
    assert code == 2 and complaint.count("\n") == 1
    assert complaint.startswith(f"etude: {tmp_path / 'mcp.json'}, server 'w'") and said in complaint


@pytest.mark.parametrize("text", ["[", "{}", '{"mcpServers": []}'])
def test_a_file_that_lists_no_servers_is_refused(tmp_path, capsys, text):
    """Ours: one line that says what the file needs."""
    (tmp_path / "mcp.json").write_text(text)

    assert run(["tools", "--mcp", str(tmp_path / "mcp.json")]) == 2
    assert capsys.readouterr().err.startswith(f"etude: {tmp_path / 'mcp.json'}")


def test_a_task_that_cannot_be_read_is_one_line_in_the_servers_own_words(tmp_path, capsys):
    """Bug: five servers that refuse the same task were told of one by one, between log paths."""
    assert run(["tools", "--task", str(tmp_path / "none.toml"), "--artifacts", str(tmp_path)]) == 1

    complaint = capsys.readouterr().err
    assert complaint.startswith("etude: no task ") and "none.toml" in complaint and complaint.count("\n") == 1
    assert "did not start" not in complaint


def test_a_configuration_that_insists_on_a_missing_key_is_one_line(tmp_path, capsys, monkeypatch):
    """Bug: the last words of two servers were told, traceback and all."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    (tmp_path / "etude.toml").write_text('[tracking]\nbackend = "wandb"\n[agent.wandb]\nmcp = "stand-in"\n')

    assert run(["tools", "--config", str(tmp_path / "etude.toml"), "--artifacts", str(tmp_path)]) == 1

    complaint = capsys.readouterr().err
    assert complaint.startswith("etude: [tracking] backend needs WANDB_API_KEY") and complaint.count("\n") == 1


@pytest.mark.parametrize("word", ["cycle", "tools"])
def test_an_artifacts_folder_that_is_a_file_is_refused_in_one_line(tmp_path, capsys, word):
    """Bug: the complaint was no more than 'File exists'."""
    file = tmp_path / "notes.txt"
    file.write_text("not a folder")

    assert run([word, "--artifacts", str(file)]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"etude: {file}") and complaint.endswith(" is no folder; give one with --artifacts\n")


def test_a_document_is_json_in_any_encoding(tmp_path):
    """Bug: a path that stdout's encoding cannot hold ended the command in a traceback."""
    folder = tmp_path / "où"
    folder.mkdir()
    _, where = house(folder, begun_already=True)

    command = [*ETUDE, "cycle", "--cycles", "1", "--json", *where]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, capture_output=True, cwd=ROOT, env=ascii_only, timeout=60)

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["artifacts"] == str(folder / "artifacts")
    assert b"cycle_1" in result.stderr and b"Traceback" not in result.stderr


def test_a_server_that_is_not_in_the_list_is_refused(capsys):
    """Ours: the known ones are named."""
    assert run(["tools", "kitchen"]) == 2
    assert capsys.readouterr().err == "etude: no server 'kitchen'; known: eval, augment, retrain, playbook, wandb\n"
