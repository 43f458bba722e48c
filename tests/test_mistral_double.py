"""The double of the Mistral API, seen through the real SDK: how it answers, what it refuses, how it goes wrong."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import MistralError, ResponseValidationError, SDKError
from mistralai.client.utils import BackoffStrategy, RetryConfig

from tests.doubles.brains import Rambling, Said, Scripted
from tests.doubles.mistral import MistralDouble

pytestmark = pytest.mark.anyio

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"{server}__{tool}",
            "parameters": {"type": "object", "properties": {"cycle": {"type": "string"}}},
        },
    }
    for server, tool in (("playbook", "get_cycle"), ("eval", "diagnose_dataset"))
]
CALLS: list[tuple[str, str | dict[str, Any]]] = [
    ("playbook__get_cycle", {"cycle": "cycle_1"}),
    ("eval__diagnose_dataset", '{"cycle": "cycle_1"'),
]
SPOKEN = Said("First I look,\nthen I see.", CALLS)
USER = {"role": "user", "content": "Go."}
PATIENCE_MS = 150  # of a client that is to see a silence


class Heard:
    """What a client made of a stream."""

    def __init__(self) -> None:
        self.words, self.finish, self.usage = "", "", None
        self.calls: dict[int, list[str]] = {}
        """Id, name and arguments, by index."""

    def take(self, chunk: Any) -> None:
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            self.words += choice.delta.content or ""
            self.finish = choice.finish_reason or self.finish
            for call in choice.delta.tool_calls or []:
                known = self.calls.setdefault(call.index, [call.id, call.function.name, ""])
                known[2] += call.function.arguments


@asynccontextmanager
async def client_of(double: MistralDouble, **settings: Any) -> AsyncIterator[Mistral]:
    # With clients of our own: those of the SDK read the machine's certificates, which takes most of a test's time.
    with httpx2.Client(verify=False) as sync:
        async with httpx2.AsyncClient(verify=False) as inner:
            given = {"server_url": double.url, "client": sync, "async_client": inner}
            yield Mistral(**{"api_key": "key", "timeout_ms": 5000} | given | settings)


async def listen(client: Mistral, *messages: dict[str, Any], heard: Heard | None = None, **options: Any) -> Heard:
    """One streamed answer; what was heard before it broke is in `heard`."""
    heard = heard or Heard()
    told: Any = list(messages) or [USER]
    tools: Any = TOOLS
    stream = await client.chat.stream_async(model="small", messages=told, tools=tools, **options)
    async with stream:
        async for event in stream:
            heard.take(event.data)
    return heard


def called(*ids: str, arguments: str = "{}") -> dict[str, Any]:
    """An assistant message with calls."""
    function = {"name": "playbook__get_cycle", "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": i, "function": function} for i in ids]}


def told(call_id: str) -> dict[str, Any]:
    """The answer to a call."""
    return {"role": "tool", "tool_call_id": call_id, "name": "playbook__get_cycle", "content": '{"ok": true}'}


async def test_mistral_streams_words_and_then_every_call_whole():
    """Ours: as the service does; malformed arguments come as the model said them."""
    with MistralDouble(Scripted([SPOKEN])) as double:
        async with client_of(double) as client:
            heard = await listen(client)

    assert heard.words == SPOKEN.words and heard.finish == "tool_calls"
    (first, name, arguments), (second, *rest) = heard.calls.values()
    assert (name, json.loads(arguments)) == CALLS[0]
    assert tuple(rest) == CALLS[1]
    assert first != second and all(len(call_id) == 9 and call_id.isalnum() for call_id in (first, second))
    assert heard.usage.prompt_tokens > 50 and heard.usage.completion_tokens == 26


async def test_named_pieces_add_up_to_the_same_calls():
    """Ours: a client that puts fragments together by index hears what was said; usage comes without choices."""
    with MistralDouble(Scripted([SPOKEN]), style="named-pieces") as double:
        async with client_of(double) as client:
            heard = await listen(client)

    assert heard.words == SPOKEN.words and heard.finish == "tool_calls"
    assert [(name, arguments) for _, name, arguments in heard.calls.values()] == [
        (CALLS[0][0], json.dumps(CALLS[0][1])),
        CALLS[1],
    ]
    assert heard.usage.completion_tokens == 26


async def test_the_sdk_cannot_read_pieces_without_a_name():
    """Known gap: vLLM and llama.cpp leave the name out of fragments, and mistralai 3.7 demands it in each."""
    heard = Heard()
    with MistralDouble(Scripted([SPOKEN]), style="pieces") as double:
        async with client_of(double) as client:
            with pytest.raises(ResponseValidationError, match=r"function\.name"):
                await listen(client, heard=heard)

    assert heard.words == SPOKEN.words
    assert heard.calls[0][1:] == ["playbook__get_cycle", ""]


@pytest.mark.parametrize("style", ["whole", "pieces"])
async def test_an_answer_in_one_piece_is_the_same_for_all_servers(style):
    """Ours: without a stream there are no pieces to trip over."""
    with MistralDouble(Scripted([SPOKEN]), style=style) as double:
        async with client_of(double) as client:
            answer = await client.chat.complete_async(model="small", messages=[USER], tools=TOOLS)

    message = answer.choices[0].message
    assert message.content == SPOKEN.words and answer.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == [name for name, _ in CALLS]
    assert answer.usage.completion_tokens == 26


@pytest.mark.parametrize("style", ["whole", "named-pieces"])
async def test_some_servers_do_not_say_what_an_answer_cost(style):
    """Ours: llama.cpp leaves usage out, so it may be missing."""
    with MistralDouble(Scripted([SPOKEN]), style=style, usage=False) as double:
        async with client_of(double) as client:
            assert (await listen(client)).usage is None


async def test_every_request_is_kept_with_its_headers():
    """Ours: a test asserts on what the model was really sent."""
    with MistralDouble(Scripted([]), faults=["500"]) as double:
        async with client_of(double) as client:
            with pytest.raises(SDKError):
                await listen(client)
            await listen(client, {"role": "system", "content": "Be brief."}, USER, temperature=0.0)

    assert [body["messages"][0]["role"] for body in double.requests] == ["user", "system"]
    assert double.requests[1]["temperature"] == 0.0 and double.requests[1]["stream"] is True
    assert double.headers[1]["authorization"] == "Bearer key"


async def test_an_answer_ends_where_max_tokens_end_it():
    """Ours: who says too much is cut off, as by the service, calls included."""
    with MistralDouble(Rambling(words=3000)) as double:
        async with client_of(double) as client:
            heard = await listen(client, max_tokens=1000)

    assert heard.finish == "length" and not heard.calls
    assert len(heard.words) == 4000 and heard.usage.completion_tokens == 1000


async def test_a_wrong_key_is_unauthorized():
    """Ours: 401, and the key is checked for the list of models too."""
    with MistralDouble(Scripted([SPOKEN]), api_key="right") as double:
        async with client_of(double, api_key="wrong") as client:
            with pytest.raises(SDKError) as refused:
                await listen(client)
            with pytest.raises(SDKError):
                await client.models.list_async()
        async with client_of(double, api_key="right") as client:
            models = await client.models.list_async()
            heard = await listen(client)

    assert (refused.value.status_code, refused.value.body) == (401, '{"detail":"Unauthorized"}')
    assert models.data[0].id == "mistral-small-latest" and heard.finish == "tool_calls"


async def test_a_conversation_that_keeps_the_rules_is_answered():
    """Ours: words with calls, several calls, calls to what is offered no more, a reminder after words."""
    call = called("call00001", "call00002", arguments='{"cycle": "c"}') | {"content": "I look."}
    old = called("abcdefgh9")
    old["tool_calls"][0]["function"] = {"name": "wandb__query_wandb_tool", "arguments": "{}"}
    conversation = [
        {"role": "system", "content": "Be careful."}, USER, call, told("call00002"), told("call00001"),
        {"role": "assistant", "content": "I am done."}, USER, old, told("abcdefgh9"),
    ]  # fmt: skip
    with MistralDouble(Scripted([SPOKEN])) as double:
        async with client_of(double) as client:
            heard = await listen(client, *conversation)

    assert heard.finish == "tool_calls" and not double.refusals


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([called("call00001"), told("call00001")], "must start with a user message"),
        ([USER, called("call00001", "call00002"), told("call00001")], "Not the same number of function calls"),
        (
            [USER, called("call00001", "call00002"), told("call00001"), {"role": "assistant", "content": "So."}, USER],
            "Not the same number of function calls",
        ),
        ([USER, called("call00001"), told("call00009")], "Unexpected tool call id call00009"),
        ([USER, called("call00001"), told("call00001"), told("call00001")], "Unexpected tool call id call00001"),
        ([USER, called("call00001", "call00001"), told("call00001")], "Duplicate tool call id"),
        ([USER, told("call00001")], "Unexpected role 'tool' after role 'user'"),
        ([USER, called("call00001"), told("call00001"), USER], "Unexpected role 'user' after role 'tool'"),
        ([USER, {"role": "assistant", "content": "Done."}], "Expected last role User or Tool"),
        ([USER, {"role": "assistant", "content": ""}, USER], "must have either content or tool_calls, but not none"),
        ([USER, called("call_1"), told("call_1")], "Tool call id was call_1"),
        ([USER, called("call00001", arguments='{"cycle":'), told("call00001")], "no valid JSON"),
    ],
)
async def test_a_conversation_that_breaks_a_rule_is_refused_in_the_services_words(messages, words):
    """Ours: an agent that passes here is not refused by the service for the shape of what it sends."""
    with MistralDouble(Scripted([SPOKEN])) as double:
        async with client_of(double) as client:
            with pytest.raises(SDKError) as refused:
                await listen(client, *messages)

    problem = json.loads(refused.value.body)
    assert refused.value.status_code == 400 and problem["object"] == "error"
    assert words in problem["message"] and double.refusals == [problem["message"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tools": [{"type": "function", "function": {"name": "eval.diagnose", "parameters": {}}}]}, "Function name"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "Duplicate function name"),
        ({"tool_choice": {"type": "function", "function": {"name": "eval__unheard_of"}}}, "is not in tools"),
        ({"messages": [{"role": "developer", "content": "Go."}]}, "Unknown role 'developer'"),
        ({"messages": []}, "at least one message"),
        ({"model": ""}, "Model name"),
    ],
)
async def test_a_request_that_names_what_there_is_not_is_refused(change, words):
    """Ours: also what the SDK would not send."""
    with MistralDouble(Scripted([SPOKEN])) as double:
        async with httpx2.AsyncClient() as client:
            body = {"model": "small", "messages": [USER], "tools": TOOLS} | change
            response = await client.post(f"{double.url}/v1/chat/completions", json=body)

    assert response.status_code == 400 and words in response.json()["message"]


async def test_words_beside_calls_are_refused_where_the_model_takes_only_one():
    """Ours: some of the service's models do not take both in one message."""
    messages = [USER, called("call00001") | {"content": "I look."}, told("call00001")]
    with MistralDouble(Scripted([SPOKEN]), words_with_calls=False) as double:
        async with client_of(double) as client:
            with pytest.raises(SDKError, match="but not both"):
                await listen(client, *messages)


async def test_more_than_the_window_holds_is_refused_whatever_the_tools_weigh():
    """Ours: only messages count, four characters to a token."""
    with MistralDouble(Scripted([SPOKEN]), window_tokens=20) as double:
        async with client_of(double) as client:
            await listen(client, {"role": "user", "content": "x" * 83})
            with pytest.raises(SDKError, match=r"Prompt contains 21 tokens .* too large for model with 20 maximum"):
                await listen(client, {"role": "user", "content": "x" * 84})


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("429", SDKError, "Status 429"),
        ("500", SDKError, "Status 500"),
        ("503", SDKError, "Status 503"),
        ("cut", httpx2.RemoteProtocolError, "peer closed connection"),
        (("silence", 30), httpx2.ReadTimeout, "^$"),
        (("silence-midway", 30), httpx2.ReadTimeout, "^$"),
        ("rubbish-json", SDKError, "Unexpected response received"),
        ("rubbish-html", SDKError, "Unexpected response received"),
        ("rubbish-sse", ResponseValidationError, "Response validation failed"),
    ],
)
@pytest.mark.parametrize("style", ["whole", "named-pieces"])
async def test_a_fault_reaches_the_sdk_once_and_then_the_service_is_well(fault, kind, words, style):
    """Ours: exactly what stream_async raises for each; the brain is asked only for an answer that arrives."""
    with MistralDouble(Scripted([SPOKEN]), faults=[fault], style=style) as double:
        async with client_of(double) as client:
            with pytest.raises(Exception, match=words) as seen:
                await listen(client, timeout_ms=PATIENCE_MS if kind is httpx2.ReadTimeout else 5000)
            heard = await listen(client)

    assert type(seen.value) is kind
    assert isinstance(seen.value, MistralError) is (kind not in (httpx2.RemoteProtocolError, httpx2.ReadTimeout))
    assert heard.words == SPOKEN.words and len(double.requests) == 2


async def test_a_cut_line_leaves_the_words_and_half_a_call():
    """Ours: what was sent before the break arrives, and nothing says how it would have ended."""
    whole, pieces = Heard(), Heard()
    for style, heard in (("whole", whole), ("named-pieces", pieces)):
        with MistralDouble(Scripted([]), faults=["cut"], style=style) as double:
            async with client_of(double) as client:
                with pytest.raises(httpx2.RemoteProtocolError):
                    await listen(client, heard=heard)

    assert whole.words == pieces.words != "" and not whole.finish and not pieces.finish
    assert not whole.calls, "the call was all in the torn event"
    assert pieces.calls[0][1] == "playbook__get_cycle" and not pieces.calls[0][2].endswith("}")


@pytest.mark.parametrize("style", ["whole", "named-pieces"])
async def test_a_stream_that_just_ends_raises_nothing(style):
    """Ours: the SDK does not miss the end, so whoever listens has to look for a finish_reason."""
    with MistralDouble(Scripted([]), faults=["cut-clean"], style=style) as double:
        async with client_of(double) as client:
            heard = await listen(client)

    assert heard.words and not heard.finish and heard.usage is None


async def test_comments_alone_keep_the_sdk_waiting_for_ever():
    """Ours: every comment starts the SDK's timeout anew, so only a limit around the whole answer helps."""
    with MistralDouble(Scripted([]), faults=["drip"]) as double:
        async with client_of(double, timeout_ms=3 * PATIENCE_MS) as client:
            with anyio.move_on_after(5 * PATIENCE_MS / 1000) as limit:
                await listen(client)

    assert limit.cancelled_caught


async def test_a_late_answer_is_an_answer():
    """Ours: after the silence the brain is asked as always."""
    faults: list[Any] = [("silence", 0.01), ("silence-midway", 0.01)]
    with MistralDouble(Scripted([SPOKEN, SPOKEN]), faults=faults) as double:
        async with client_of(double) as client:
            assert [(await listen(client)).words for _ in faults] == [SPOKEN.words] * 2


async def test_useless_answers_arrive_whole():
    """Ours: neither words nor calls; or a call whose arguments end in the middle."""
    with MistralDouble(Scripted([]), faults=["empty", "length"]) as double:
        async with client_of(double) as client:
            empty, length = await listen(client), await listen(client)

    assert (empty.words, empty.calls, empty.finish) == ("", {}, "stop")
    assert length.finish == "length" and length.words
    with pytest.raises(json.JSONDecodeError):
        json.loads(length.calls[0][2])


async def test_the_sdk_waits_as_long_as_retry_after_says_and_asks_again():
    """Ours: with a RetryConfig the SDK gets through 429 and 503 by itself, but only before a stream begins."""
    backoff = BackoffStrategy(initial_interval=1, max_interval=1, exponent=1.0, max_elapsed_time=5000, jitter_ms=0)
    with MistralDouble(Scripted([SPOKEN]), faults=[("429", "0.01"), "503", ("429", ""), "429"]) as double:
        async with client_of(double) as client:
            heard = await listen(client, retries=RetryConfig("backoff", backoff, retry_connection_errors=True))

    assert heard.words == SPOKEN.words and len(double.requests) == 5


async def test_a_refusal_for_the_rate_carries_retry_after_only_where_it_should():
    """Ours: its default is short, and it can be left out."""
    with MistralDouble(Scripted([]), faults=["429", ("429", "7"), ("429", "")]) as double:
        async with client_of(double) as client:
            headers = []
            for _ in range(3):
                with pytest.raises(SDKError) as refused:
                    await listen(client)
                headers.append(refused.value.headers.get("retry-after"))

    assert headers == ["0.05", "7", None]


async def test_a_bug_in_a_brain_is_raised_where_the_double_stops():
    """Ours: a test should see the bug, not the 500 that it made."""

    class Broken:
        def answer(self, body: Any) -> Said:
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"), MistralDouble(Broken()) as double:
        async with client_of(double) as client:
            with pytest.raises(SDKError):
                await listen(client)


async def test_the_double_runs_as_a_program(tmp_path: Path):
    """Ours: it prints its URL and nothing else, and notes every request, so it serves a run in another process."""
    log = tmp_path / "requests.jsonl"
    command = [sys.executable, "-m", "tests.doubles.mistral", "careful", "--log", str(log), "--fault", "429:0.01"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=dict(os.environ)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        async with Mistral(api_key="any", server_url=url, timeout_ms=5000) as client:
            with pytest.raises(SDKError):
                await listen(client)
            heard = await listen(client)
        process.terminate()
        rest = process.stdout.read()

    noted = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [call[1] for call in heard.calls.values()] == ["playbook__get_cycle"]
    assert [entry["fault"] for entry in noted] == [["429", "0.01"], None] and rest == ""
    assert noted[1]["body"]["messages"] == [USER]
