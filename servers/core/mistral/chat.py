"""One request for a short answer, over the real SDK: what comes of it, told apart by what has to be done about it.

Nothing is tried twice here. The SDK has no timeout unless it is given one, and retries nothing unless told to; who asks
again, and when, is decided in `asker.py`, which also keeps the books.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isnan
from time import perf_counter, time
from types import TracebackType
from typing import Any, Self

import anyio

from servers.core.job_files import EndpointSpec
from servers.core.words import cleaned

MISTRALS_OWN = "https://api.mistral.ai"
WHOLE_ANSWER = 2  # times the longest silence: an answer that drips in is not waited for
MAX_ANSWER_CHARS = 20_000  # a server that does not mind max_tokens
MOST_TOKENS = 100_000_000  # of one request; more is no count
ERROR_CHARS = 200
MODEL_CHARS = 100
TOO_MANY = 429
PASSING = (408, 409, 425, TOO_MANY)
CUT = ("length", "model_length")
BAD_MODEL = ("invalid model", "invalid_model")  # a 400 of Mistral's own server that is about no text


@dataclass(frozen=True)
class Question:
    """What is asked."""

    key: str
    """Names it in the journal."""
    messages: Sequence[Mapping[str, str]]
    max_tokens: int
    """Of the answer."""
    schema: Mapping[str, Any]
    """JSON schema of the answer, for servers that hold a model to one."""
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Reply:
    """What came."""

    text: str
    """The words, as they came; where max_tokens ended them, with a mark at the end that says so."""
    model: str
    """As the server calls what answered."""
    tokens: tuple[int, int] | None
    """Read and written, as the server counted; None where it counts nothing."""
    latency_ms: float


class ServiceProblem(ValueError):
    """There are no answers to be had; one line that says why and what to do."""


class RefusedQuestion(Exception):
    """The server takes this one request for a bad one; the message says why."""


class PassingProblem(Exception):
    """A failure that may not happen again."""

    def __init__(self, words: str, was_taken: bool, wait_s: float | None = None) -> None:
        super().__init__(words)
        self.was_taken = was_taken
        """Whether the server may bill it, though no answer arrived."""
        self.wait_s = wait_s
        """As the server asks; None where it names no delay."""


class TooManyRequests(PassingProblem):
    """The server takes so many a minute, and no more for now."""


class Chat:
    """The chat completions of one server; `async with` holds the connections.

    Args:
        endpoint: Where, which model, and how long an answer may take.
        api_key: What opens it; None for a server that asks for none.
    """

    def __init__(self, endpoint: EndpointSpec, api_key: str | None) -> None:
        self._endpoint, self._api_key = endpoint, api_key
        self._url = (endpoint.server_url or MISTRALS_OWN).rstrip("/").removesuffix("/v1")  # the SDK adds /v1
        self.where = f"{cleaned(endpoint.model, MODEL_CHARS)} at {self._url}"
        """In words, for messages."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._api_key is None and self._endpoint.server_url is None:
            raise ServiceProblem(f"{self.where} needs a key; set MISTRAL_API_KEY, or MISTRAL_SERVER_URL for your own")
        from mistralai.client import Mistral

        timeout_ms = round(1000 * self._endpoint.timeout_s)
        client = Mistral(api_key=self._api_key, server_url=self._url, timeout_ms=timeout_ms)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def once(self, question: Question, structured: bool) -> Reply:
        """Ask, one time.

        Args:
            question: What.
            structured: Whether the server is asked to hold the model to the schema.

        Raises:
            PassingProblem: it may go well another time.
            RefusedQuestion: it will not, and another question may.
            ServiceProblem: nothing will.
        """
        import httpx2
        from mistralai.client.errors import MistralError, ResponseValidationError

        started = perf_counter()
        try:
            with anyio.fail_after(WHOLE_ANSWER * self._endpoint.timeout_s):
                reply = await self._client.chat.complete_async(**self._request(question, structured))
            return self._reply(reply.model_dump(mode="json"), perf_counter() - started)
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            words = f"no answer within the {self._endpoint.timeout_s:g} s of timeout_s in etude.toml"
            raise PassingProblem(words, was_taken=True) from error
        except (
            httpx2.InvalidURL,
            httpx2.LocalProtocolError,
            httpx2.UnsupportedProtocol,
            UnicodeEncodeError,
        ) as error:
            # Its words may hold the key, and are not shown.
            raise ServiceProblem(
                f"a request to {self.where} cannot be made; is MISTRAL_API_KEY one line of plain letters and digits, "
                "and MISTRAL_SERVER_URL an address?"
            ) from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise PassingProblem(f"no connection: {self._words(error)}", was_taken=False) from error
        except httpx2.HTTPError as error:
            raise PassingProblem(f"the connection broke: {self._words(error)}", was_taken=True) from error
        except ResponseValidationError as error:
            if error.status_code == 200:
                return self._loosely_read(error.body, perf_counter() - started)
            raise self._failed(error) from error
        except MistralError as error:
            raise self._failed(error) from error
        except (ValueError, RecursionError) as error:  # a body that is no JSON, or nested without end
            raise PassingProblem(f"the answer cannot be read: {self._words(error)}", was_taken=True) from error

    def _request(self, question: Question, structured: bool) -> dict[str, Any]:
        named = {"name": "answer", "schema": dict(question.schema), "strict": True}
        return {
            "model": self._endpoint.model,
            "messages": [dict(message) for message in question.messages],
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
            "random_seed": question.seed,
            "response_format": {"type": "json_schema", "json_schema": named} if structured else None,
        }

    def _loosely_read(self, body: str, seconds: float) -> Reply:
        """An answer in a document that the SDK finds wanting: some servers leave out what nobody needs here."""
        try:
            return self._reply(json.loads(body), seconds)
        except (ValueError, RecursionError) as error:
            raise PassingProblem(f"the answer cannot be read: {self._words(body)}", was_taken=True) from error

    def _reply(self, document: Any, seconds: float) -> Reply:
        try:
            choice = document["choices"][0]
            text = _text(choice["message"]["content"])[:MAX_ANSWER_CHARS]
            finish, model, usage = choice.get("finish_reason"), document.get("model"), document.get("usage")
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise PassingProblem("the answer holds no message", was_taken=True) from error
        if finish == "error":
            raise PassingProblem("the server ended its answer with an error", was_taken=True)
        return Reply(
            text=f"{text} [cut by max_tokens]" if finish in CUT else text,
            model=cleaned(str(model or self._endpoint.model), MODEL_CHARS),
            tokens=_tokens(usage, text),
            latency_ms=round(1000 * seconds, 3),
        )

    def _failed(self, error: Any) -> Exception:
        """What a status means."""
        status, words = error.status_code, self._words(error.body or error)
        if status < 300:  # how the SDK reports a success of another kind, such as a page of HTML
            return PassingProblem(f"the answer cannot be read: {words}", was_taken=True)
        if status in PASSING or status >= 500:
            wait_s = _retry_after_s(error.headers)
            if status == TOO_MANY:
                return TooManyRequests(f"HTTP {status}: {words}", was_taken=False, wait_s=wait_s)
            return PassingProblem(f"HTTP {status}: {words}", was_taken=False, wait_s=wait_s)
        if status in (401, 403):
            return ServiceProblem(f"{self.where} refuses the key (HTTP {status}: {words}); set MISTRAL_API_KEY")
        if status == 404 or any(mark in words.lower() for mark in BAD_MODEL):
            return ServiceProblem(
                f"{self.where} is not there (HTTP {status}: {words}); set model in [teacher] or [prompt] of "
                "etude.toml, or MISTRAL_SERVER_URL"
            )
        if status in (400, 413, 422):
            return RefusedQuestion(f"HTTP {status}: {words}")
        return ServiceProblem(f"{self.where} refuses the request (HTTP {status}: {words})")

    def _words(self, error: object) -> str:
        """One bounded line of an error, without the key, which some servers repeat."""
        words = str(error).replace(self._api_key or "\0", "[key]")
        return cleaned(words, ERROR_CHARS) or type(error).__name__


def _text(content: Any) -> str:
    """The words in a message's content, which may come in parts; what a model thought to itself is none."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    # Half a character is no UTF-8, and every file and request that it came into would break.
    return content.encode(errors="replace").decode() if isinstance(content, str) else ""


def _tokens(usage: Any, text: str) -> tuple[int, int] | None:
    """Read and written, as the server counted; None where it counts nothing, or what cannot be true.

    An answer is kept whatever stands here: it was paid for. A count below nothing would give money back.
    """
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(read) is not int or type(written) is not int:
        return None
    least = 1 if text else 0
    return (read, written) if 1 <= read <= MOST_TOKENS and least <= written <= MOST_TOKENS else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The delay that the server asks for, in seconds or until a date; None where it names none."""
    value = headers.get("retry-after", "")
    try:
        return None if isnan(delay := float(value)) else max(0.0, delay)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, OverflowError):
        return None
