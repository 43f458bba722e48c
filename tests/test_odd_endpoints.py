"""Servers that answer a question in ways that no specification knows: one clear end each, and honest figures."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from servers.augment.aim import Aim
from servers.augment.mistral_teacher import MistralTeacher, Order
from servers.core.dataset import DatasetStore
from servers.core.disk import read_json
from servers.core.job_files import SPEC, EndpointSpec, SampleSpec, is_same_work
from servers.core.mistral.asker import Asker
from servers.core.mistral.chat import Question, ServiceProblem
from servers.core.mistral.journal import Journal
from servers.core.services import ASSUMED_USD_PER_MILLION, Endpoint, Services
from servers.core.settings import EndpointSettings, PromptSettings, Settings
from tests.asking_world import KEY, KOTONE, Waits, endpoint
from tests.campaign_world import CampaignWorld
from tests.doubles.loopback import LoopbackServer

pytestmark = pytest.mark.services

COUNTED = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def document(content: Any = "{}", **fields: Any) -> str:
    message = {"role": "assistant", "content": content}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": COUNTED}
    return json.dumps(whole | fields)


@contextmanager
def serving(body: str, status: int = 200, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says the same to everything; its address, and what it was asked."""
    asked: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(await Request(scope, receive).body())
        await Response(body, status, headers, "application/json")(scope, receive, send)

    server = LoopbackServer(app)
    try:
        yield server.start(), asked
    finally:
        server.stop()


def asked(folder: Path, to: EndpointSpec, waits: Waits | None = None) -> Journal:
    """The journal after one question.

    Raises:
        ServiceProblem: it was not answered.
    """
    journal = Journal(folder / "answers.jsonl")
    question = Question("q", [{"role": "user", "content": "Read this."}], 50, {"type": "object"})

    async def ask() -> None:
        async with Asker(to, journal, KEY, waits or Waits()) as asker:
            await asker.ask_all([question])

    anyio.run(ask)
    return Journal(folder / "answers.jsonl")


@pytest.mark.parametrize(
    "usage",
    [
        COUNTED | {"completion_tokens": -100_000}, COUNTED | {"prompt_tokens": -1}, COUNTED | {"completion_tokens": 0},
        COUNTED | {"prompt_tokens": "many"}, COUNTED | {"prompt_tokens": 10**15}, {"prompt_tokens": 10}, [1], 7, None,
    ],
)  # fmt: skip
def test_a_count_that_cannot_be_true_is_no_count(tmp_path: Path, usage: Any):
    """Ours: the answer was paid for and stays; a count below nothing would raise the limit of what may be spent."""
    with serving(document(usage=usage)) as (url, requests):
        journal = asked(tmp_path, endpoint(url))

    used = journal.usage()
    assert len(requests) == 1 and used.usd > 0 and used.input_tokens > 0 and used.output_tokens > 0
    assert not journal.all_counted


def test_a_count_without_end_is_no_count(tmp_path: Path):
    """Ours: JSON allows it, and no sum survives it."""
    with serving(document().replace('"prompt_tokens": 10', '"prompt_tokens": 1e999')) as (url, requests):
        journal = asked(tmp_path, endpoint(url))

    assert len(requests) == 1 and 0 < journal.usage().usd < 0.001


@pytest.mark.parametrize("usage", [COUNTED, None])
def test_half_a_character_breaks_nothing(tmp_path: Path, usage: Any):
    """Ours: it is no UTF-8, and comes from a model that was cut off in the middle of one."""
    with serving(document("a\ud800b", usage=usage)) as (url, requests):
        line = asked(tmp_path, endpoint(url)).outcome("q")

    assert line is not None and line.text == "a?b" and len(requests) == 1


@pytest.mark.parametrize("body", ["[" * 200_000, "{", "\ufeff" + document(), document(choices=[{"index": 0}])])
def test_a_body_that_cannot_be_read_is_one_line(tmp_path: Path, body: str):
    """Ours: asked again as often as anything that passes, and never a traceback."""
    with serving(body) as (url, requests), pytest.raises(ServiceProblem, match=r"try 5 of 5") as problem:
        asked(tmp_path, endpoint(url))

    assert len(requests) == 5 and "\n" not in str(problem.value) and len(str(problem.value)) < 500


@pytest.mark.parametrize("url", ["http://[::1", "ftp://127.0.0.1", "127.0.0.1:8080", "http://"])
def test_an_address_that_is_none_is_one_line(tmp_path: Path, url: str):
    """Ours: said once, with the variable to set."""
    waits = Waits()
    with pytest.raises(ServiceProblem, match="MISTRAL_SERVER_URL an address"):
        asked(tmp_path, endpoint(url), waits)
    assert waits.seconds == []


@pytest.mark.parametrize("delay", [None, "nan", "soon", "Mon, 01 Jan 99999 00:00:00 GMT"])
def test_a_limit_that_names_no_delay_is_waited_out_for_more_than_a_minute(tmp_path: Path, delay: str | None):
    """Ours: limits mostly count by the minute; a delay that cannot be read is none."""
    waits = Waits()
    headers = {"Retry-After": delay} if delay else None
    with serving("{}", 429, headers) as (url, requests), pytest.raises(ServiceProblem, match="HTTP 429"):
        asked(tmp_path, endpoint(url), waits)

    assert len(requests) == 5 and waits.seconds == [5, 10, 20, 40]


def test_the_next_attempt_may_be_given_more_time(tmp_path: Path):
    """Ours: a slow server of one's own needs a larger timeout_s, and what it answered before is kept."""
    begun = endpoint("http://127.0.0.1:1", timeout_s=60.0)
    settings = EndpointSettings(model=begun.model, timeout_s=600.0, concurrency=1, usd_per_million_input=99.0)
    paced = Endpoint(begun.model, begun.server_url, settings).paced(begun)
    job = partial(SampleSpec, job_id="s", model_id="teacher", arm="teacher", task=KOTONE, texts_file="texts.jsonl")

    assert (paced.timeout_s, paced.concurrency) == (600.0, 1)
    assert paced.usd_per_million_input == begun.usd_per_million_input and paced.max_usd == begun.max_usd
    assert is_same_work(job(endpoint=begun), job(endpoint=paced))
    assert not is_same_work(job(endpoint=begun), job(endpoint=begun.model_copy(update={"model": "other"})))
    assert not is_same_work(job(endpoint=begun), job(endpoint=begun.model_copy(update={"max_usd": 9.0})))
    assert not is_same_work(job(endpoint=begun), job(endpoint=None))


@pytest.mark.parametrize(
    ("url", "has_key", "prices"),
    [
        ("https://api.mistral.ai", True, ASSUMED_USD_PER_MILLION),
        ("https://eu.mistral.ai/v1", False, ASSUMED_USD_PER_MILLION),
        ("https://router.example.org/api", True, ASSUMED_USD_PER_MILLION),
        ("https://vllm.example.org", False, (0.0, 0.0)),
        ("http://127.0.0.1:8000", True, (0.0, 0.0)),
        ("http://gpu-box:8000/v1", True, (0.0, 0.0)),
    ],
)
def test_a_server_elsewhere_that_takes_a_key_may_send_a_bill(url: str, has_key: bool, prices: tuple[float, float]):
    """Bug: any address counted as free, Mistral's own as well, and no budget held it."""
    keys = {"MISTRAL_SERVER_URL": url} | ({"MISTRAL_API_KEY": KEY} if has_key else {})
    teacher = Services(Settings(teacher=EndpointSettings(model="m")), keys).teacher

    assert teacher is not None and teacher.usd_per_million == prices
    assert (teacher.spec(10, 100, 100).max_usd > 0) is (prices != (0.0, 0.0))


@pytest.mark.parametrize(
    "url", ["http://me:pa55word@host:1", "https://host/?token=pa55word", "ftp://h", "h:8", "http://[x"]
)
def test_an_address_with_a_secret_in_it_reaches_no_job(url: str):
    """Ours: a job's specification is a file, and a refusal is shown; neither repeats a secret."""
    prompt = Services(Settings(prompt=PromptSettings(model="m")), {"MISTRAL_SERVER_URL": url}).prompt

    assert prompt is not None
    with pytest.raises(ValueError, match="MISTRAL_SERVER_URL") as refused:
        prompt.spec(1, 1, 1)
    assert "pa55word" not in str(refused.value)


def test_a_teacher_that_had_too_little_time_gets_what_the_configuration_names_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Bug: raising timeout_s after a timeout changed nothing, so the plan could never be carried out."""
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    world = CampaignWorld(tmp_path, "demo")
    card = DatasetStore(world.workspace).head("demo")
    order = Order(2, Aim(focus_dimensions=["nostalgia"], thin_words=[], thin_ranges=[]), 1)

    def ended(url: str, timeout_s: float) -> str:
        settings = Settings(teacher=EndpointSettings(model="m", timeout_s=timeout_s))
        services = Services(settings, {"MISTRAL_SERVER_URL": url, "MISTRAL_API_KEY": KEY})
        assert services.teacher is not None
        teacher = MistralTeacher(world.workspace, KOTONE, services, services.teacher, card)
        with pytest.raises(ValueError, match="refuses the key"):
            teacher.waited_for(teacher.begin(order, "cycle_1", "plan"), time.monotonic() + 30)
        return teacher.job_id(order)

    with serving("{}", 401) as (url, _):
        [job] = {ended(url, timeout_s=1.0), ended(url, timeout_s=300.0)}

    folder = world.workspace.job_dir(job)
    assert read_json(folder / SPEC)["endpoint"]["timeout_s"] == 300.0
    assert read_json(folder / "status.json")["attempt"] == 2
