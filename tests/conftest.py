"""What all tests share."""

from collections.abc import Iterator

import pytest

from agent.mistral.access import KEY, URL


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def nobodys_language_model() -> Iterator[None]:
    """No run of a test, in a child process neither, thinks at the expense of whoever has a key in the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name in (KEY, URL):
            environment.delenv(name, raising=False)
        yield
