"""What all tests share."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.mistral.access import KEY, URL
from agent.wandb_server import KEY as WANDB_KEY
from servers.core.services import HF_KEY

if TYPE_CHECKING:  # only some tests need a web server
    from tests.doubles.hub import HubDouble
    from tests.remote_world import Played, Player

# Only the environment of make test-train has what these need.
collect_ignore = [] if importlib.util.find_spec("torch") else ["train"]


BROWSER = Path(__file__).parent / "browser"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests in a real browser run where they are named, as `make test-browser` does: they need one."""
    named = any(BROWSER.name in Path(word.partition("::")[0]).parts for word in config.invocation_params.args)
    return True if collection_path == BROWSER and not named else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def nobodys_account() -> Iterator[None]:
    """No run of a test, in a child process neither, uses the accounts of whoever has a key in the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name in (KEY, URL, WANDB_KEY, HF_KEY):
            environment.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts in which a first candidate was measured and not judged yet; see judge_world."""
    from tests.judge_world import train_first  # here, because most tests need none of the servers that it brings in

    folder = tmp_path_factory.mktemp("trained")
    train_first(folder)
    return folder


@pytest.fixture(scope="session")
def one_closed_one_open(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of them in which the candidate was judged, and not promoted, and the next cycle was opened."""
    from tests.reading_world import go_on

    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("closed") / "artifacts"))
    go_on(folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of them for one test."""
    return Path(shutil.copytree(trained, tmp_path / "artifacts"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> "Iterator[HubDouble]":
    """Hugging Face as a double, which this process and its children find by their environment."""
    from tests.doubles.hub import HubDouble

    with HubDouble() as double:
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        yield double


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a student that was fitted here."""
    from tests.test_jobs import fitted_here

    return fitted_here(tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def player(hub: "HubDouble", fitted: Path) -> "Player":
    """Hugging Face playing trainings instead of running them."""
    from tests.remote_world import Player

    return Player(hub, fitted)


@pytest.fixture
def played(tmp_path: Path, hub: "HubDouble", fitted: Path) -> "Played":
    """A training that is followed in this process, and played."""
    from tests.remote_world import Played

    return Played(tmp_path, hub, fitted)
