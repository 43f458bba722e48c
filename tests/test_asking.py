"""The arms `prompt` and `teacher`: a job asks a language model over the wire, however the service goes wrong."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from servers.core.answers import InvalidAnswer, parse_answer
from servers.core.demo_world.world import World
from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import RESULT, Usage, locked_pid, read_spec
from servers.core.jobs import ENDED, JobStore
from servers.core.workspace import Workspace
from tests.asking_world import KEY, KOTONE, PRICES, TEXTS, Waits, done, endpoint, sample_job
from tests.doubles.mistral import serve_answers
from tests.doubles.mistral_answers import Answers, Fault
from training_jobs.asking import WARM_UP

pytestmark = pytest.mark.services

SHOTS = [{"id": "s1", "text": "an old tune", "target": dict.fromkeys(KOTONE.names, 40.0), "source": "import"}]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)


def valid(text: str) -> dict[str, float] | None:
    try:
        return parse_answer(text, KOTONE)
    except InvalidAnswer:
        return None


def billed(answers: Answers, usage: Usage) -> None:
    """What the result says was used is what the double counted."""
    assert usage.usd == pytest.approx(
        (usage.input_tokens * PRICES[0] + usage.output_tokens * PRICES[1]) / 1e6, abs=1e-6
    )
    assert usage.requests == len(answers.requests)


def test_every_text_is_asked_once_and_answered_by_what_the_server_says_it_is(tmp_path: Path):
    """Ours: strict JSON where the server has it, several at once, honest usage; shots stand before the question."""
    answers = Answers()
    with serve_answers(answers, api_key=KEY) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url), shots_file="shots.jsonl")
        write_jsonl(folder / "shots.jsonl", SHOTS)
        result, rows = done(folder)

    assert [row.id for row in rows] == [f"d{k}" for k in range(8)] and all(valid(row.text) for row in rows)
    assert {row.latency_ms for row in rows} == {None} and len(answers.requests) == 8 and 1 < answers.most_at_once <= 4
    first = answers.requests[0]
    assert first["response_format"]["json_schema"]["strict"] is True and first["max_tokens"] == 300
    assert [message["role"] for message in first["messages"]] == ["user", "assistant", "user"]
    assert "an old tune" in first["messages"][0]["content"]
    assert result.usage is not None and result.usage.input_tokens > 8 * 100
    billed(answers, result.usage)
    served = {row.served_by.digest for row in rows}
    assert served == {result.digest} and rows[0].served_by.backend == rows[0].served_by.model_id == "teacher"


def test_what_serves_is_known_by_the_model_that_the_server_names_the_prompt_and_the_shots(tmp_path: Path):
    """Ours: `latest` is no model; two jobs are by the same one where the server says so."""

    def digest(name: str, answers: Answers, **fields: Any) -> str:
        with serve_answers(answers) as double:
            return done(sample_job(tmp_path / name, endpoint(double.url), TEXTS[:2], **fields))[0].digest

    one = digest("one", Answers(reported="large-2512"))
    assert digest("again", Answers(reported="large-2512")) == one
    assert digest("newer", Answers(reported="large-2601")) != one
    assert digest("arm", Answers(reported="large-2512"), arm="prompt", model_id="prompt") != one
    with serve_answers(Answers(reported="large-2512")) as double:
        folder = sample_job(tmp_path / "shown", endpoint(double.url), TEXTS[:2], shots_file="shots.jsonl")
        write_jsonl(folder / "shots.jsonl", SHOTS)
        assert done(folder)[0].digest != one
    changed = KOTONE.model_copy(update={"prompt": "Read this: {text} {dimensions}"})
    assert digest("prompt", Answers(changed, reported="large-2512"), task=changed) != one


def test_the_first_texts_are_timed_one_by_one_after_a_warm_up(tmp_path: Path):
    """Ours: a latency is that of a single request, and the first of all is none."""
    answers = Answers()
    with serve_answers(answers) as double:
        result, rows = done(sample_job(tmp_path / "job", endpoint(double.url, concurrency=1), timed=3))

    assert [row.latency_ms is not None for row in rows] == [True] * 3 + [False] * 5
    assert all(row.latency_ms is None or 0 < row.latency_ms < 5000 for row in rows)
    assert len(answers.requests) == WARM_UP + 8 and result.usage is not None and result.usage.requests == WARM_UP + 8
    assert [r["messages"] for r in answers.requests[WARM_UP : WARM_UP + 3]] == [
        [{"role": "user", "content": KOTONE.prompt_for(text)}] for text in TEXTS[:3]
    ]


@pytest.mark.parametrize(
    ("fault", "waited", "is_paid"),
    [
        (("429", "7"), 7.0, False), ("429", 5.0, False), ("500", 0.5, False), (("503", "0"), 0.0, False),
        ("reset", 0.5, True), ("half", 0.5, True), (("silence", 9.0), 0.5, True), ("garbage", 0.5, True),
        ("garbage-json", 0.5, True), ("empty", 0.5, True),
    ],
)  # fmt: skip
def test_a_failure_that_passes_is_asked_again_and_paid_as_far_as_it_may_have_been(
    tmp_path: Path, fault: Fault, waited: float, is_paid: bool
):
    """Ours: with the server's own delay; what a server took and lost counts at the most that it can have cost."""
    answers, waits = Answers(faults=[fault]), Waits()
    with serve_answers(answers) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url, timeout_s=0.4, concurrency=1), TEXTS[:2])
        result, rows = done(folder, waits)

    lost = next(row for row in read_jsonl(folder / "answers.jsonl") if row["outcome"] == "lost")
    assert all(valid(row.text) for row in rows) and waits.seconds == [waited] and len(answers.requests) == 3
    assert (lost["usd"] > 0) is is_paid and result.usage is not None
    billed(answers, result.usage)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (["401"], "refuses the key.*set MISTRAL_API_KEY"),
        (["403"], "refuses the key.*set MISTRAL_API_KEY"),
        (["404"], "is not there.*set model in"),
        (["500"] * 5, "HTTP 500.*try 5 of 5.*goes on from what it has"),
        (["reset"] * 5, "the connection broke.*try 5 of 5"),
        ([("429", "900")], "asks to be left alone for 900 s"),
        (["other-model"], "'.*' and as '.*', which are not one model"),
        (["422"] * 12, "refuses every request .HTTP 422"),
    ],
)
def test_a_failure_that_stays_is_one_line_and_the_next_attempt_pays_for_the_rest_only(
    tmp_path: Path, faults: list[Fault], words: str
):
    """Ours: no half result, no key in the words, and what was answered before is not asked again."""
    answers = Answers()
    with serve_answers(answers, api_key=KEY) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url, concurrency=1))
        answers.faults = [None, None, None, *faults] if faults[0] != "422" else faults
        with pytest.raises(ValueError, match=words) as failure:
            done(folder)
        assert not (folder / RESULT).exists() and KEY not in str(failure.value) and "\n" not in str(failure.value)
        assert len(answers.requests) == (10 if faults[0] == "422" else 3 + len(faults))
        before, answers.requests, answers.faults = len(answers.requests), [], []
        result, rows = done(folder)

    is_kept = faults[0] not in ("422", "other-model")
    assert len(answers.requests) == (5 if is_kept else 8) and all(valid(row.text) for row in rows)
    assert result.usage is not None and result.usage.requests == before + len(answers.requests)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path):
    """Ours: refused connections cost nothing, and say so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = sample_job(tmp_path / "job", endpoint(f"http://127.0.0.1:{port}/v1"))

    with pytest.raises(ValueError, match=r"no connection.*try 5 of 5"):
        done(folder)

    assert {row["usd"] for row in read_jsonl(folder / "answers.jsonl") if row["outcome"] == "lost"} == {0.0}


def test_mistrals_own_server_is_not_asked_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: said before anything is sent."""
    monkeypatch.delenv("MISTRAL_API_KEY")
    with pytest.raises(ValueError, match=r"api.mistral.ai needs a key; set MISTRAL_API_KEY"):
        done(sample_job(tmp_path / "job", endpoint("", server_url=None)))


def test_ones_own_server_is_asked_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: vLLM and llama.cpp ask for none, and print their address with /v1."""
    monkeypatch.delenv("MISTRAL_API_KEY")
    answers = Answers()
    with serve_answers(answers) as double:
        free = endpoint(f"{double.url}/v1", usd_per_million_input=0.0, usd_per_million_output=0.0, max_usd=0.0)
        result, _ = done(sample_job(tmp_path / "job", free))
    assert result.usage is not None and result.usage.usd == 0.0 and result.usage.input_tokens > 0


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_a_format_is_asked_without_from_then_on(tmp_path: Path, status: int):
    """Ours: a few requests find it out, also after a restart; words are read as strictly as ever."""
    answers = Answers(refuses_format=status)
    with serve_answers(answers) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url, concurrency=1))
        answers.faults = [None, None, "401"]
        with pytest.raises(ValueError, match="refuses the key"):
            done(folder)
        _, rows = done(folder)

    assert [bool(body.get("response_format")) for body in answers.requests] == [True] + [False] * 9
    assert all(valid(row.text) for row in rows)


def test_answers_that_are_none_stay_as_they_came_and_are_not_valid(tmp_path: Path):
    """Ours: nothing is mended: words around the JSON, prose, an answer that max_tokens end, a text that is refused."""
    on: dict[str, Fault] = {TEXTS[1]: "around", TEXTS[2]: "prose", TEXTS[3]: "long", TEXTS[4]: "422", TEXTS[5]: "400"}
    answers = Answers(on=on)
    with serve_answers(answers) as double:
        _, rows = done(sample_job(tmp_path / "job", endpoint(double.url, concurrency=1)))

    assert [valid(row.text) is not None for row in rows] == [True, *[False] * 5, True, True]
    assert rows[1].text.startswith("Here it is:\n```json\n{") and rows[2].text.startswith("I would rather")
    assert rows[3].text.endswith("[cut by max_tokens]") and len(answers.requests) == 8
    assert rows[4].text == '(no answer: HTTP 422: {"object":"error","message":"status 422"})'


def test_what_nobody_counts_is_estimated_and_marked(tmp_path: Path):
    """Ours: an answer without usage is no reason to ask again."""
    answers = Answers(usage=False)
    with serve_answers(answers) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url))
        result, rows = done(folder)

    lines = [row for row in read_jsonl(folder / "answers.jsonl") if row["outcome"] == "answered"]
    assert len(answers.requests) == 8 and all(valid(row.text) for row in rows)
    assert result.usage is not None and result.usage.usd > 0 and not any(line["counted"] for line in lines)


def test_no_request_is_sent_that_could_pass_the_limit(tmp_path: Path):
    """Ours: what is under way counts at the most that it can cost; the job ends with what it has."""
    answers = Answers()
    with serve_answers(answers) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url, max_usd=0.0045))
        with pytest.raises(ValueError, match=r"next request could cost 0\.00\d+ USD.*of the 0\.004500 USD"):
            done(folder)

    lines = {row["number"]: row for row in read_jsonl(folder / "answers.jsonl")}
    assert 2 <= len(answers.requests) < 8 and sum(row["usd"] for row in lines.values()) <= 0.0045


def test_what_a_kill_cut_short_counts_and_is_asked_again(tmp_path: Path):
    """Ours: nobody knows whether it was billed, so it counts at the most."""
    answers = Answers()
    with serve_answers(answers) as double:
        folder = sample_job(tmp_path / "job", endpoint(double.url, concurrency=1), timed=4)
        done(folder)
        whole = (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / RESULT).unlink()
        asked = next(place for place, line in enumerate(whole) if json.loads(line)["key"] == "row d1")
        (folder / "answers.jsonl").write_text("".join(whole[: asked + 1]) + '{"number": 7, "ke', encoding="utf-8")
        before, answers.requests = len(answers.requests), []
        result, rows = done(folder)

    most = json.loads(whole[asked])["usd"]
    lines = {row["number"]: row for row in read_jsonl(folder / "answers.jsonl")}
    assert before == WARM_UP + 8 and len(answers.requests) == 1 + 7 and all(valid(row.text) for row in rows)
    assert [row["usd"] for row in lines.values() if row["outcome"] == "asked"] == [most] and rows[0].latency_ms
    assert result.usage is not None and result.usage.requests == WARM_UP + 2 + 1 + 7


def test_a_process_that_is_killed_in_the_middle_is_started_again_and_pays_for_the_rest(tmp_path: Path):
    """Ours: the job as servers start it, killed while an answer is awaited."""
    answers, workspace = Answers(faults=[None, None, ("silence", 60.0)]), Workspace(tmp_path)
    with serve_answers(answers, api_key=KEY) as double:
        folder = sample_job(workspace.job_dir("sample-1"), endpoint(double.url, concurrency=1))
        spec, jobs = read_spec(folder), JobStore(workspace)
        jobs.start(spec)
        waited_for(lambda: len(answers.requests) == 3)
        pid = locked_pid(folder)
        assert pid is not None
        os.killpg(pid, signal.SIGKILL)
        waited_for(lambda: jobs.status("sample-1").state == "failed")
        jobs.start(spec)
        waited_for(lambda: jobs.status("sample-1").state in ENDED)

    assert jobs.status("sample-1").state == "succeeded" and len(answers.requests) == 3 + 6
    usage = read_json(folder / RESULT)["usage"]
    assert usage["requests"] == 9 and len(list(read_jsonl(folder / "predictions.jsonl"))) == 8


def waited_for(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_base_model_reads_worse_than_the_teacher(tmp_path: Path):
    """Ours: so that a demo of the whole cycle has something to show."""
    meant = {row.text: row.target for row in World(0).splits()["diagnose"]}

    def error(model: str) -> float:
        with serve_answers(Answers()) as double:
            _, rows = done(sample_job(tmp_path / model, endpoint(double.url, model=model), TEXTS[:10]))
        errors = [
            abs(value - meant[text][name])
            for row, text in zip(rows, TEXTS, strict=False)
            for name, value in (valid(row.text) or {}).items()
        ]
        return sum(errors) / len(errors)

    assert error("mistral-large-latest") < 8 < error("ministral-3b-2512")
