"""One browser, and one run of the demo, for all tests of the pages."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, NoBrowser
from tests.site_world import serving_here


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A running Chromium. Where there is none the tests fail, and say what to install."""
    try:
        chromium = Chromium(tmp_path_factory.mktemp("chromium"))
    except NoBrowser as error:
        pytest.exit(str(error), returncode=1)
    with chromium:
        yield chromium


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of `etude cycle --cycles 2`."""
    artifacts = tmp_path_factory.mktemp("demo") / "artifacts"
    command = [sys.executable, "-m", "agent.cli", "cycle", "--cycles", "2", "--artifacts", str(artifacts)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return artifacts


@pytest.fixture(scope="session")
def report(demo: Path) -> str:
    """Address of its report."""
    return (demo / "wandb" / "report.html").as_uri()


@pytest.fixture(scope="session")
def site(demo: Path) -> Iterator[str]:
    """Address of the site over it."""
    with serving_here(demo) as address:
        yield address
