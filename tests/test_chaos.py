"""The short form of `make chaos`: a training, a server and an agent are killed, and the same command goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.blows import Blow
from tests.chaos.trials import Commands, run_trial

pytestmark = pytest.mark.services

COMMAND = ["cycle", "--cycles", "1", "--json"]
EARLIER = (1.0, 0.6, 0.3)  # where the command is over before a blow, all are dealt once more, sooner


@pytest.fixture
def commands() -> Iterator[Commands]:
    """The command, ended with all that it started where a test fails."""
    made = Commands(COMMAND)
    yield made
    made.stop()


def test_whoever_is_killed_the_same_command_comes_to_the_same_end(commands: Commands, tmp_path: Path):
    """Ours: the same champion, data and verdicts, nothing trained, asked or written twice, no row doubled."""
    folders = [tmp_path / name for name in ("undisturbed", "first", "sooner", "soonest")]
    for folder in folders:
        folder.mkdir()
    undisturbed = run_trial(commands, 0, [], folders[0])

    for number, sooner in enumerate(EARLIER, start=1):
        moment_s = sooner * undisturbed.seconds
        blows = [Blow("job", 0, 0.0), Blow("server", 2, 0.15 * moment_s), Blow("agent", 0, 0.45 * moment_s)]
        trial = run_trial(commands, number, blows, folders[number], undisturbed.remains)
        if len(trial.hits) == len(blows):
            break

    assert undisturbed.faults == [] and trial.faults == []
    assert len(trial.hits) == 3, f"only {trial.hits} were hit"
