"""One answer of the language model, over the real SDK: streamed, timed, asked for again where that makes sense.

The SDK's own retries end where a stream begins, so all of them are made here, in one place: 429 and 5xx with the delay
the server names, a refused connection, silence, a stream that breaks off, and a 200 that cannot be read. A server whose
stream the SDK cannot read (some send a call's arguments in pieces without its name) is asked without streaming.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import anyio
import httpx2
from mistralai.client import Mistral
from mistralai.client.errors import MistralError, ResponseValidationError
from mistralai.client.models import CompletionChunk, UsageInfo

from agent.mistral.access import Access
from agent.mistral.conversation import Message
from agent.settings import MistralSettings
from agent.words import one_line

TRIES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
WHOLE_ANSWER = 5  # times the longest silence
MAX_ANSWER_CHARS = 200_000  # a server that never stops talking; far more than answer_tokens
ERROR_CHARS = 300
CHARS_PER_TOKEN = 3  # where nobody counts: JSON is dense, and a cap should err on the safe side
PASSING = (408, 409, 425, 429)
TOO_LONG = ("context length", "context window", "too large for model", "maximum context", "exceed_context", "too long")

Heard = Callable[[str], None]


@dataclass(frozen=True)
class Tokens:
    """What was read and written, as a server bills it."""

    read: int = 0
    written: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.read + other.read, self.written + other.written)


class ServiceProblem(Exception):
    """There is no answer to be had; one line that says why and what to do."""

    lost = Tokens()
    """What tries took that broke off, estimated."""


class PromptTooLong(ServiceProblem):
    """The server says that the messages do not fit."""


class _Passing(Exception):
    """A failure that may not happen again."""

    def __init__(
        self, words: str, wait_s: float | None = None, unreadable: bool = False, was_taken: bool = False
    ) -> None:
        super().__init__(words)
        self.wait_s = wait_s
        self.unreadable = unreadable
        self.was_taken = was_taken
        """Whether the server took the request, and so may bill it though nothing was heard."""


@dataclass(frozen=True)
class ToolCall:
    """A call that the model wants made."""

    id: str | None
    name: str
    arguments: str
    """As it wrote them; JSON if all is well."""


@dataclass(frozen=True)
class Answer:
    """What the model said and wants done."""

    words: str
    calls: list[ToolCall]
    finish: str | None
    """stop, tool_calls, length, …"""
    tokens: Tokens
    counted: bool
    """Whether the server counted the tokens; if not they are estimated."""
    lost: Tokens
    """What tries before took that broke off, estimated: they are billed as well."""
    tries: int
    seconds: float


@dataclass
class _Hearing:
    """An answer as its pieces come in."""

    heard: Heard
    words: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    """By index: id, name, arguments."""
    finish: str | None = None
    usage: UsageInfo | None = None
    chars: int = 0

    def take(self, chunk: CompletionChunk) -> None:
        """Add a chunk."""
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices[:1]:
            self.say(_text(choice.delta.content))
            for call in choice.delta.tool_calls or ():
                self.call(call.index, call.id, call.function.name, call.function.arguments)
            self.finish = choice.finish_reason or self.finish

    def say(self, words: str) -> None:
        self._count(words)
        if words:
            self.words.append(words)
            self.heard(words)

    def call(self, index: int | None, id: str | None, name: str | None, arguments: Any) -> None:
        """Add a call, or a piece of one: the pieces of a call share its index."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self._count(text)
        place = index or 0
        begun = self.calls.get(place)
        is_new = begun is not None and id not in (None, "", "null", begun[0])
        if is_new:  # a server that numbers nothing: another id is another call
            place = max(self.calls) + 1
        called = self.calls.setdefault(place, ["", "", ""])
        called[0] = called[0] or (id if id and id != "null" else "")
        called[1] = called[1] or (name or "")
        called[2] += text

    def tokens(self, request_chars: int) -> Tokens:
        """What the server counted, or an estimate."""
        if self.usage and self.usage.prompt_tokens:
            return Tokens(self.usage.prompt_tokens, self.usage.completion_tokens or 0)
        return Tokens(request_chars // CHARS_PER_TOKEN, self.chars // CHARS_PER_TOKEN)

    def answer(self, request_chars: int, lost: Tokens, tries: int, seconds: float) -> Answer:
        """All of it, when it is over."""
        return Answer(
            words="".join(self.words),
            calls=[ToolCall(id or None, name, arguments) for _, (id, name, arguments) in sorted(self.calls.items())],
            finish=self.finish,
            tokens=self.tokens(request_chars),
            counted=bool(self.usage and self.usage.prompt_tokens),
            lost=lost,
            tries=tries,
            seconds=seconds,
        )

    def _count(self, text: str) -> None:
        self.chars += len(text)
        if self.chars > MAX_ANSWER_CHARS:
            raise _Passing(f"the answer does not end; {MAX_ANSWER_CHARS} characters came")


class Service:
    """A server's chat completions; `async with` holds the connection.

    Args:
        access: Where it is.
        settings: Model, limits.
        tell: Is told why there is a wait, in one line.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        access: Access,
        settings: MistralSettings,
        tell: Heard,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._access, self._settings, self._tell, self._sleep = access, settings, tell, sleep
        self._streams = True
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        client = Mistral(
            api_key=self._access.api_key,
            server_url=self._access.server_url,
            timeout_ms=round(1000 * self._settings.timeout_s),
        )
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def answer(
        self,
        messages: list[Message],
        tools: list[dict[str, Any]],
        must_call: bool,
        heard: Heard,
        asking: Callable[[Tokens], None] = lambda lost: None,
    ) -> Answer:
        """The model's next answer.

        Args:
            messages: The conversation.
            tools: What it may call.
            must_call: Whether words alone will not do.
            heard: Gets the words as they come.
            asking: Is told before each try what those before it took in vain; what it raises ends the asking.

        Raises:
            PromptTooLong: the messages do not fit.
            ServiceProblem: there is no answer, after all tries.
        """
        started = perf_counter()
        wait_s, lost, chars = FIRST_WAIT_S, Tokens(), len(json.dumps([messages, tools]))
        for number in range(1, TRIES + 1):
            hearing = _Hearing(heard)
            asking(lost)
            try:
                await self._hear(self._request(messages, tools, must_call), hearing)
                return hearing.answer(chars, lost, number, perf_counter() - started)
            except ServiceProblem as problem:
                problem.lost = lost
                raise
            except _Passing as problem:
                lost += hearing.tokens(chars) if hearing.chars or problem.was_taken else Tokens()
                if problem.unreadable:
                    self._streams = not self._streams
                pause_s = wait_s if problem.wait_s is None else problem.wait_s
                if number == TRIES or pause_s > LONGEST_WAIT_S:
                    asks = f", and asks to be left alone for {pause_s:.0f} s" if pause_s > LONGEST_WAIT_S else ""
                    failure = ServiceProblem(f"{self._where}: {problem}{asks} (try {number} of {TRIES})")
                    failure.lost = lost
                    raise failure from problem
                self._tell(f"{problem}; asking again in {pause_s:g} s")
                await self._sleep(pause_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise AssertionError("the last try returns or raises")

    @property
    def _where(self) -> str:
        return f"{self._settings.model} at {self._access.server_url}"

    def _request(self, messages: list[Message], tools: list[dict[str, Any]], must_call: bool) -> dict[str, Any]:
        return {
            "model": self._settings.model,
            "messages": messages,
            "tools": tools,
            "tool_choice": "required" if must_call else "auto",
            "temperature": 0.0,
            "max_tokens": self._settings.answer_tokens,
        }

    async def _hear(self, request: dict[str, Any], hearing: _Hearing) -> None:
        """Ask once.

        Raises:
            _Passing: it failed in a way that may pass.
            ServiceProblem: it failed for good.
        """
        try:
            with anyio.fail_after(WHOLE_ANSWER * self._settings.timeout_s):
                if self._streams:
                    await self._hear_stream(request, hearing)
                else:
                    await self._hear_whole(request, hearing)
        except TimeoutError as error:
            raise _Passing("the answer took too long", was_taken=True) from error
        except httpx2.TimeoutException as error:
            raise _Passing(f"no word for {self._settings.timeout_s:g} s", was_taken=True) from error
        except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, UnicodeEncodeError) as error:
            # Its words may hold the key, and are not shown.
            raise ServiceProblem(
                f"a request to {self._where} cannot be made; is MISTRAL_API_KEY one line of plain letters and digits?"
            ) from error
        except httpx2.HTTPError as error:
            raise _Passing(f"the connection failed: {self._words(error)}") from error
        except httpx2.StreamError as error:  # how the SDK ends where an error has no body; not streamed, it can read it
            raise _Passing("the server answers nothing", unreadable=True) from error
        except ResponseValidationError as error:
            raise _Passing(f"the answer cannot be read: {self._words(error)}", unreadable=True) from error
        except MistralError as error:
            raise self._refused(error) from error
        except ValueError as error:  # no JSON, or JSON of another shape, in the middle of a stream
            raise _Passing(f"the answer cannot be read: {self._words(error)}", unreadable=True) from error
        if hearing.finish is None:
            raise _Passing("the answer broke off")
        if hearing.finish == "error":
            raise _Passing("the server ended its answer with an error")

    async def _hear_stream(self, request: dict[str, Any], hearing: _Hearing) -> None:
        async with await self._client.chat.stream_async(**request) as stream:
            async for event in stream:
                hearing.take(event.data)

    async def _hear_whole(self, request: dict[str, Any], hearing: _Hearing) -> None:
        reply = await self._client.chat.complete_async(**request)
        hearing.usage = reply.usage
        for choice in reply.choices[:1]:
            if choice.message is None:
                continue
            hearing.say(_text(choice.message.content))
            for index, call in enumerate(choice.message.tool_calls or ()):
                hearing.call(index, call.id, call.function.name, call.function.arguments)
            hearing.finish = choice.finish_reason

    def _refused(self, error: MistralError) -> Exception:
        """What a status means."""
        status, words = error.status_code, self._words(error.body or error)
        if status < 300:  # how the SDK reports a success of another kind: a page of HTML, JSON instead of a stream
            return _Passing(f"the answer cannot be read: {words}", unreadable=True)
        if status in PASSING or status >= 500:
            return _Passing(f"HTTP {status}: {words}", _retry_after_s(error))
        if status in (401, 403):
            return ServiceProblem(f"{self._where} refuses the key (HTTP {status}: {words}); set MISTRAL_API_KEY")
        if any(mark in words.lower() for mark in TOO_LONG):
            return PromptTooLong(
                f"{self._where} says that the messages do not fit ({words}); "
                "lower context_tokens in [agent.mistral], or serve the model with a larger window"
            )
        if status == 404:
            return ServiceProblem(
                f"{self._where} is not there (HTTP 404: {words}); give --model, or MISTRAL_SERVER_URL"
            )
        return ServiceProblem(f"{self._where} refuses the request (HTTP {status}: {words})")

    def _words(self, error: object) -> str:
        """One bounded line of an error, without the key, which some servers repeat."""
        words = str(error).replace(self._access.api_key or "\0", "[key]")
        return one_line(words, ERROR_CHARS) or type(error).__name__


def _text(content: Any) -> str:
    """The words in a message's content, which may come in parts; what a model thought to itself is none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(text for part in content if isinstance(text := getattr(part, "text", None), str))
    return ""


def _retry_after_s(error: MistralError) -> float | None:
    """The delay that the server asks for, where it is a number of seconds."""
    try:
        return max(0.0, float(error.headers.get("retry-after", "")))
    except ValueError:
        return None
