"""`etude cycle` with a language model: processes, streams, exit codes, and which brain it takes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from agent.cli import run
from agent.mistral.access import KEY as KEY_NAME
from agent.mistral.access import URL as URL_NAME
from tests.doubles.brains import Careful, Said
from tests.doubles.mistral import MistralDouble
from tests.mistral_world import KEY, rows
from tests.test_agent_cli import ETUDE, ROOT, house

LIMIT_S = 60


@contextmanager
def model(name: str, log: Path) -> Iterator[dict[str, str]]:
    """A double in a process of its own, and the environment that leads to it."""
    command = [sys.executable, "-m", "tests.doubles.mistral", name, "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield {**os.environ, URL_NAME: f"{process.stdout.readline().strip()}/v1", KEY_NAME: KEY}
        finally:
            process.terminate()


def etude(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ETUDE, *words], capture_output=True, text=True, cwd=ROOT, env=env, timeout=LIMIT_S)


def test_a_model_in_another_process_turns_the_loop(tmp_path: Path):
    """Ours: one document on stdout with what thinking took; the model's words on stderr; the key nowhere."""
    _, where = house(tmp_path, begun_already=True)
    with model("careful", tmp_path / "requests.jsonl") as env:
        words = ["cycle", "--brain", "mistral", "--model", "ours", "--cycles", "1", "--json"]
        result = etude(*words, *where, env=env)

    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    requests = [row["body"] for row in rows(tmp_path / "requests.jsonl")]
    assert document["backends"]["brain"] == "mistral" and document["cycles"][0]["verdict"] == "promote"
    spent = document["cycles"][0]["brain"]
    assert (spent["answers"], spent["usd"]) == (len(requests), 0.0) and spent["input_tokens"] > spent[
        "output_tokens"
    ] > 0
    assert "Next is gate_candidate: it comes next." in result.stderr and "ours at http://127.0.0.1" in result.stderr
    assert "\x1b" not in result.stderr + result.stdout and "Traceback" not in result.stderr
    assert {body["model"] for body in requests} == {"ours"}
    assert all(tool["function"]["name"].startswith("house__") for body in requests for tool in body["tools"])
    left = [file.read_bytes() for file in (tmp_path / "artifacts").rglob("*") if file.is_file()]
    assert not [text for text in (result.stderr.encode(), result.stdout.encode(), *left) if KEY.encode() in text]


def test_a_model_that_does_not_work_ends_in_one_line_and_another_brain_goes_on(tmp_path: Path):
    """Ours: exit code 1, stdout empty, and the line says how to go on."""
    _, where = house(tmp_path, begun_already=True)
    with model("lazy", tmp_path / "requests.jsonl") as env:
        result = etude("cycle", "--brain", "mistral", "--cycles", "1", "--json", *where, env=env)
        then = etude("cycle", "--brain", "offline", "--cycles", "1", "--json", *where, env=env)

    assert (result.returncode, result.stdout) == (1, "") and "Traceback" not in result.stderr
    last, then_typed = result.stderr.splitlines()[-2:]
    assert then_typed.startswith("next: etude cycle --brain mistral")
    assert last.startswith("etude: brain mistral called no tool 3 times in a row; its last words: 'I have done enough")
    assert last.endswith("--brain offline goes on without the model")
    assert then.returncode == 0 and json.loads(then.stdout)["cycles"][0]["cycle"] == 1


def test_ctrl_c_ends_a_run_also_while_the_model_thinks(tmp_path: Path):
    """Ours: exit code 130, one line, and no child is left behind."""
    asked, done = Event(), Event()

    class Pensive:
        def answer(self, body: Mapping[str, Any]) -> Said:
            asked.set()
            done.wait(LIMIT_S)
            return Said("Where were we?")

    _, where = house(tmp_path, begun_already=True)
    with MistralDouble(Pensive()) as double:
        process = subprocess.Popen(
            [*ETUDE, "cycle", *where],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, URL_NAME: double.url},
        )
        assert asked.wait(LIMIT_S)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LIMIT_S)
        done.set()

    assert process.returncode == 130, said
    assert "Nothing is lost" in said and "etude cycle" in said.splitlines()[-1] and "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "world" / "all.pid").read_text()), 0)


@pytest.mark.parametrize(
    ("words", "has_server", "brain"),
    [([], True, "mistral"), ([], False, "offline"), (["--brain", "offline"], True, "offline")],
)
def test_without_a_word_the_brain_is_the_model_that_the_environment_names(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    has_server: bool,
    brain: str,
):
    """Ours: an address or a key is enough; offline is a word away."""
    _, where = house(tmp_path, begun_already=True)
    with MistralDouble(Careful()) as double:
        if has_server:
            monkeypatch.setenv(URL_NAME, double.url)
        code = run(["cycle", "--cycles", "1", "--json", *words, *where])

    document = json.loads(capsys.readouterr().out)
    assert (code, document["backends"]["brain"]) == (0, brain)
    assert bool(double.requests) == (brain == "mistral") == (document["cycles"][0]["brain"] is not None)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "brain mistral needs MISTRAL_API_KEY, or MISTRAL_SERVER_URL for a server of your own; set one, or use"),
        ({URL_NAME: "localhost:8000"}, "MISTRAL_SERVER_URL is 'localhost:8000', which is no address of a server; give"),
    ],
)
def test_a_model_that_cannot_be_found_is_one_line_before_anything_starts(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    said: str,
):
    """Ours: the command cannot begin, so exit code 2, and what to set."""
    world, where = house(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert run(["cycle", "--brain", "mistral", *where]) == 2

    complaint = capsys.readouterr().err
    assert complaint.startswith(f"etude: {said}") and complaint.count("\n") == 1 and world.calls == []
