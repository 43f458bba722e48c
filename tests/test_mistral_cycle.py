"""A language model takes a real cycle to its end, and brings what the offline policy brings."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.mistral.prompt import FOLDED
from agent.outcome import Outcome
from tests.doubles.brains import brain_named
from tests.doubles.mistral import MistralDouble
from tests.doubles.mistral_wire import message_tokens
from tests.mistral_world import (
    DEMO,
    KEY,
    beginning_in,
    brain_at,
    brought,
    brought_offline,
    copied,
    read,
    rows,
    run_real,
    thought,
)

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Finished:
    """A run of one cycle with a careful model."""

    folder: Path
    outcome: Outcome
    double: MistralDouble


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return beginning_in(tmp_path_factory.mktemp("beginning"))


@pytest.fixture(scope="module")
def offline(beginning: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return brought_offline(beginning, tmp_path_factory.mktemp("offline"))


@pytest.fixture(scope="module")
def careful(beginning: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """The first cycle by a careful model."""
    folder = copied(beginning, tmp_path_factory.mktemp("careful"))
    with MistralDouble(brain_named("careful"), api_key=KEY) as double:
        yield Finished(folder, anyio.run(run_real, brain_at(double, folder), folder), double)


def test_a_careful_model_brings_what_the_offline_policy_brings(careful: Finished, offline: dict[str, Any]):
    """Ours: files, data, job, model, verdict, registry, lessons and figures are the same; who decides is another."""
    assert brought(careful.folder) == offline
    assert offline["summary.json"]["verdict"] == "promote", "else there was little to compare"
    assert careful.outcome.cycles[0].champion_after == offline["registry"]["lines"][DEMO]["champion"]
    assert careful.outcome.backends.brain == "mistral"
    assert careful.double.refusals == []


def test_a_model_is_asked_as_the_api_wants_to_be_asked(careful: Finished):
    """Ours: streamed, with the key, at temperature 0, with an end to the answer, and a system prompt first."""
    requests = careful.double.requests
    assert all(headers["authorization"] == f"Bearer {KEY}" for headers in careful.double.headers)
    assert {body["stream"] for body in requests} == {True} and {body["temperature"] for body in requests} == {0.0}
    assert {(body["max_tokens"], body["tool_choice"]) for body in requests} == {(3_000, "auto")}
    assert {tuple(m["role"] for m in body["messages"][:2]) for body in requests} == {("system", "user")}
    assert {body["messages"][0]["content"] for body in requests} == {requests[0]["messages"][0]["content"]}
    assert "cycle_1" in requests[0]["messages"][0]["content"] and "energy" in requests[0]["messages"][0]["content"]


def test_tools_of_wandb_are_offered_only_while_the_replies_are_wanted(careful: Finished):
    """Ours: their schemas are long; nothing that takes something away is offered at all."""
    offered = [{tool["function"]["name"] for tool in body["tools"]} for body in careful.double.requests]
    with_wandb = ["playbook__record_context" in names for names in offered]
    assert Counter(with_wandb) == {True: 1, False: len(offered) - 1}
    assert all(
        ("wandb__query_wandb_tool" in names) == wanted for names, wanted in zip(offered, with_wandb, strict=True)
    )
    bare = {name.partition("__")[2] for names in offered for name in names}
    assert not bare & {"rollback_model", "cancel_job", "publish_dataset", "prepare_dataset", "open_cycle"}


def test_nothing_that_is_sealed_reaches_the_model(careful: Finished):
    """Ours: of the sealed rows there are only counts; the texts of failures come from the open side."""

    def bare(text: str) -> str:
        return text.replace("\\", "").replace('"', "")

    sent = bare("\n".join(message["content"] for body in careful.double.requests for message in body["messages"]))
    sealed, opened = (
        [bare(row["text"]) for file in careful.folder.rglob(name) for row in rows(file)]
        for name in ("gate.jsonl", "diagnose.jsonl")
    )
    assert any(text in sent for text in opened), "else texts are looked for in vain"
    assert len(sealed) == 600 and not [text for text in sealed if text in sent]


def test_what_thinking_took_is_noted_answer_by_answer_and_told(careful: Finished):
    """Ours: as the server counted it, in the cycle's folder and in the document of the run."""
    noted = thought(careful.folder)
    spent = careful.outcome.cycles[0].brain
    assert spent is not None and spent.answers == len(noted) == len(careful.double.requests)
    assert spent.input_tokens == sum(row["input_tokens"] for row in noted) > 4 * len(noted) > 0
    assert (spent.output_tokens, spent.usd) == (sum(row["output_tokens"] for row in noted), 0.0), "it is our own server"
    assert {row["counted"] for row in noted} == {True} and {row["tries"] for row in noted} == {1}
    assert noted[0]["calls"] == ["eval__evaluate_model"] * 3
    assert noted[-1]["calls"] == ["playbook__write_playbook", "playbook__write_report"]


async def test_a_server_that_streams_calls_in_pieces_is_asked_without_streaming(
    beginning: Path, offline: dict[str, Any], tmp_path: Path
):
    """Ours: vLLM and llama.cpp do, and the SDK cannot read it; one answer is lost, and what it took is counted."""
    folder = copied(beginning, tmp_path)
    with MistralDouble(brain_named("one-by-one"), style="pieces", api_key=KEY) as double:
        await run_real(brain_at(double, folder), folder)

    assert brought(folder) == offline and double.refusals == []
    assert [body["stream"] for body in double.requests] == [True] + [False] * (len(double.requests) - 1)
    noted = thought(folder)
    assert [row["tries"] for row in noted] == [2] + [1] * (len(noted) - 1)


async def test_a_server_that_counts_nothing_is_estimated(beginning: Path, offline: dict[str, Any], tmp_path: Path):
    """Ours: caps hold without its help; calls whose pieces come with an empty name are read as they stream."""
    folder = copied(beginning, tmp_path)
    with MistralDouble(brain_named("careful"), style="named-pieces", usage=False, api_key=KEY) as double:
        await run_real(brain_at(double, folder), folder)

    assert brought(folder) == offline and double.refusals == []
    noted = thought(folder)
    assert {row["counted"] for row in noted} == {False}
    for row, body in zip(noted, double.requests, strict=True):
        assert row["input_tokens"] > message_tokens(body["messages"]), "four characters a token there, three here"


async def test_a_small_window_is_never_overrun(beginning: Path, offline: dict[str, Any], tmp_path: Path):
    """Ours: old turns give way to a fresh account of where the cycle stands, before the server has to refuse."""
    folder = copied(beginning, tmp_path)
    with MistralDouble(brain_named("careful"), window_tokens=8_000, api_key=KEY) as double:
        await run_real(brain_at(double, folder, context_tokens=8_000, answer_tokens=2_000), folder)

    assert brought(folder) == offline and double.refusals == []
    assert max(message_tokens(body["messages"]) for body in double.requests) <= 6_000
    briefs = [body["messages"][1]["content"] for body in double.requests]
    assert briefs[0].startswith("The cycle is open.") and briefs[-1].startswith(FOLDED)
    assert read(folder / "loop" / "cycle_1" / "summary.json")["verdict"] == "promote"
