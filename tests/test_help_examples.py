"""The examples that the helps show: each is run, as it stands, by somebody who begins in an empty folder."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from agent.usage import WORDS
from tests.test_agent_cli import ETUDE, ROOT

pytestmark = pytest.mark.services  # each is a process

NEEDS_AN_ACCOUNT = {"sync": "it sends to W&B", "hf://": "it asks the Hugging Face Hub"}
ROWS = 90


def examples() -> list[str]:
    """The first example of each word's help, the loop first: the others look at what it left."""
    found = []
    for word in sorted(WORDS, key=lambda word: word != "cycle"):
        said = subprocess.run([*ETUDE, word, "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60).stdout
        shown = re.search(r"^examples?:\n  (etude .*?)(?:   .*)?$", said, re.MULTILINE)
        assert shown is not None, f"the help of {word} shows no example:\n{said}"
        found.append(shown[1])
    return found


def test_every_example_of_a_help_works(tmp_path: Path):
    """Ours: what a help shows is what works, from an empty folder and without an account."""
    (tmp_path / "requests.csv").write_text(
        "request,e,w,brightness,acousticness,complexity,nostalgia\n"
        + "".join(f"a quiet song number {n} of the {n * n % 89},{n},{90 - n},{n},{n},{n},{n}\n" for n in range(ROWS))
    )
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    (tmp_path / "home").mkdir()

    for example in examples():
        program, word, *rest = shlex.split(example)
        assert program == "etude"
        if any(part in example for part in NEEDS_AN_ACCOUNT):
            continue
        done = subprocess.run(
            [*ETUDE, word, *rest],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=120,
        )
        assert done.returncode == 0, f"{example}\n{done.stdout[-800:]}\n{done.stderr[-1500:]}"


@pytest.mark.parametrize("word", WORDS)
def test_every_word_refuses_what_it_does_not_know(word: str):
    """Ours: wrong usage is exit code 2 and one line that says what to try."""
    done = subprocess.run([*ETUDE, word, "--artefacts=x", "y"], capture_output=True, text=True, cwd=ROOT, timeout=60)

    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "--help" in done.stderr
