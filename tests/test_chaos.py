"""The short form of `make chaos`: an agent, a server and a training are killed, and the same command goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.blows import Blow, Target
from tests.chaos.trials import Commands, Trial, run_trial

COMMAND = ["cycle", "--cycles", "1", "--json"]
EARLIER = (1.0, 0.6, 0.3)  # a blow that came when the command was over is dealt once more, sooner


@contextmanager
def commands() -> Iterator[Commands]:
    """The command, ended with all that it started where a test fails."""
    made = Commands(COMMAND)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A run that nobody kills."""
    with commands() as made:
        trial = run_trial(made, 0, None, tmp_path_factory.mktemp("undisturbed"), None)
    assert trial.faults == []
    return trial


@pytest.mark.parametrize(
    ("target", "which", "share"),
    [("agent", 0, 0.7), ("server", 2, 0.8), ("job", 1, 0.03)],
    ids=["agent", "server", "job"],
)
def test_whoever_is_killed_the_same_command_comes_to_the_same_end(
    undisturbed: Trial, tmp_path: Path, target: Target, which: int, share: float
):
    """Ours: the same champion, data and verdicts, nothing trained, asked or written twice, no row doubled."""
    with commands() as made:
        for number, sooner in enumerate(EARLIER, start=1):
            folder = tmp_path / str(number)
            folder.mkdir()
            blow = Blow(target, which, share * sooner * undisturbed.seconds)
            trial = run_trial(made, number, blow, folder, undisturbed.remains)
            if trial.name:
                break

    assert trial.name, "nobody was hit"
    assert trial.faults == []
