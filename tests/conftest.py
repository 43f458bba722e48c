"""What all tests share."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.mistral.access import KEY, URL
from agent.wandb_server import KEY as WANDB_KEY

# Only the environment of make test-train has what these need.
collect_ignore = [] if importlib.util.find_spec("torch") else ["train"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def nobodys_account() -> Iterator[None]:
    """No run of a test, in a child process neither, uses the accounts of whoever has a key in the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name in (KEY, URL, WANDB_KEY):
            environment.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts in which a first candidate was measured and not judged yet; see judge_world."""
    from tests.judge_world import train_first  # here, because most tests need none of the servers that it brings in

    folder = tmp_path_factory.mktemp("trained")
    train_first(folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of them for one test."""
    return Path(shutil.copytree(trained, tmp_path / "artifacts"))
