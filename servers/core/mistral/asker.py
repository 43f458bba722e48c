"""Ask many questions: again where that makes sense, several at once, and never past what may be spent.

429 and 5xx are asked again after the delay that the server names, a refused connection, one that breaks and a timeout
after one that grows. A server that refuses `response_format` is asked without it from then on. What a request can cost
is reckoned before it is sent: one that could pass the limit is not.
"""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import anyio

from servers.core.job_files import EndpointSpec
from servers.core.mistral.chat import (
    Chat,
    PassingProblem,
    Question,
    RefusedQuestion,
    Reply,
    ServiceProblem,
    TooManyRequests,
)
from servers.core.mistral.journal import Journal, Line

TRIES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
LIMIT_WAIT_S = 5.0  # at first, where a limit names no delay: it mostly counts by the minute, and four waits make 75 s
BYTES_PER_TOKEN = 3  # fewer than of plain English: an estimate should err on the safe side
MESSAGE_TOKENS = 8  # what a chat puts around a message
REFUSED_AT_FIRST = 5  # questions, and none answered: then it is not the texts
MILLION = 1_000_000

Sleep = Callable[[float], Awaitable[None]]


class Asker:
    """Asks one endpoint; `async with` holds the connections.

    Args:
        endpoint: Whom, at which price, and for how much at most.
        journal: Holds what was asked before, and is told the rest.
        api_key: What opens the endpoint; None for a server that asks for none.
        sleep: Waits so many seconds.
    """

    def __init__(
        self, endpoint: EndpointSpec, journal: Journal, api_key: str | None, sleep: Sleep = anyio.sleep
    ) -> None:
        self._endpoint, self._journal, self._sleep = endpoint, journal, sleep
        self._chat = Chat(endpoint, api_key)
        self._under_way = 0
        self._moved = anyio.Event()
        self._problem: ServiceProblem | None = None
        self._takes_format = False  # known of a server once it answered with one
        self._more_than_estimated = 1.0

    async def __aenter__(self) -> Self:
        await self._chat.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._chat.__aexit__(kind, error, trace)

    async def ask_all(
        self, questions: Sequence[Question], at_once: int | None = None, answered: Callable[[], None] = lambda: None
    ) -> None:
        """Have every question answered or refused; those that are in the journal are not asked again.

        Args:
            questions: What to ask.
            at_once: How many may be under way together; as many as the endpoint takes where not given.
            answered: Is told of each that is.

        Raises:
            ServiceProblem: the service fails, or the money does not suffice. What was under way was waited for.
        """
        left = iter([question for question in questions if self._journal.outcome(question.key) is None])

        async def work() -> None:
            for question in left:
                try:
                    await self._ask(question)
                except ServiceProblem as problem:
                    self._problem = self._problem or problem
                if self._problem is not None:
                    return
                answered()

        async with anyio.create_task_group() as group:
            for _ in range(at_once or self._endpoint.concurrency):
                group.start_soon(work)
        if self._problem is not None:
            raise self._problem

    async def _ask(self, question: Question) -> None:
        wait_s = FIRST_WAIT_S
        for number in range(1, TRIES + 1):
            try:
                return await self._try(question)
            except PassingProblem as problem:
                if isinstance(problem, TooManyRequests):
                    wait_s = max(wait_s, LIMIT_WAIT_S)
                pause_s = wait_s if problem.wait_s is None else problem.wait_s
                if number == TRIES or pause_s > LONGEST_WAIT_S:
                    asks = f", and asks to be left alone for {pause_s:.0f} s" if pause_s > LONGEST_WAIT_S else ""
                    raise ServiceProblem(
                        f"{self._chat.where}: {problem}{asks} (try {number} of {TRIES}); start it again later, it goes "
                        "on from what it has"
                    ) from problem
                print(f"{problem}; asking again in {pause_s:g} s", flush=True)
                await self._sleep(pause_s)
                if self._problem is not None:  # of another question: there is nothing to wait for
                    raise self._problem from problem
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _try(self, question: Question) -> None:
        """Ask once; with `response_format`, and where that is refused, a second time without."""
        structured = not self._journal.unstructured
        refused = await self._send(question, structured)
        if refused is not None and structured and not self._takes_format:
            refused = await self._send(question, structured=False)
            if refused is None and not self._journal.unstructured:
                self._journal.note_unstructured()
        elif refused is None and structured:
            self._takes_format = True
        if refused is not None:
            self._journal.add(refused.model_copy(update={"outcome": "refused"}))
            if not self._journal.models and self._journal.refused >= REFUSED_AT_FIRST:
                raise ServiceProblem(f"{self._chat.where} refuses every request ({refused.text})")

    async def _send(self, question: Question, structured: bool) -> Line | None:
        """Send a request and note what came of it; None where it was answered, its line where it was refused."""
        asked = await self._begun(question)
        try:
            reply = await self._chat.once(question, structured)
        except PassingProblem as problem:
            self._lost(asked, problem, problem.was_taken)
            raise
        except ServiceProblem as problem:
            self._lost(asked, problem, was_taken=False)
            raise
        except RefusedQuestion as problem:
            return self._lost(asked, problem, was_taken=False)
        finally:
            self._under_way -= 1
            self._moved.set()
            self._moved = anyio.Event()
        self._answered(question, asked, reply)
        return None

    def _lost(self, asked: Line, problem: Exception, was_taken: bool) -> Line:
        """Note that no answer came; one that the server took may be billed."""
        unbilled = {} if was_taken else {"input_tokens": 0, "output_tokens": 0, "usd": 0.0}
        line = asked.model_copy(update={"outcome": "lost", "text": str(problem), **unbilled})
        self._journal.add(line)
        return line

    def _answered(self, question: Question, asked: Line, reply: Reply) -> None:
        estimate = _input_tokens(question)
        if reply.tokens is None:
            read, written = estimate, min(question.max_tokens, len(reply.text.encode()) // BYTES_PER_TOKEN + 1)
        else:
            read, written = reply.tokens
            self._more_than_estimated = max(self._more_than_estimated, read / estimate)
        self._journal.add(
            Line(
                number=asked.number,
                key=question.key,
                outcome="answered",
                input_tokens=read,
                output_tokens=written,
                counted=reply.tokens is not None,
                usd=self._usd(read, written),
                text=reply.text,
                model=reply.model,
                latency_ms=reply.latency_ms,
            )
        )
        if len(models := self._journal.models) > 1:
            raise ServiceProblem(
                f"{self._chat.where} answered as {models[0]!r} and as {models[1]!r}, which are not one model; name a "
                "version in etude.toml that stays what it is; starting again asks anew"
            )

    async def _begun(self, question: Question) -> Line:
        """Note a request, once what it can cost is sure to fit into what may be spent.

        Raises:
            ServiceProblem: it cannot fit.
        """
        while True:
            read = round(self._more_than_estimated * _input_tokens(question))
            most, limit = self._usd(read, question.max_tokens), self._endpoint.max_usd
            so_far = self._journal.could_have_cost()
            if round(so_far + most, 6) <= limit:
                self._under_way += 1
                return self._journal.asking(question.key, read, question.max_tokens, most)
            if not self._under_way:
                raise ServiceProblem(
                    f"{self._chat.where}: the next request could cost {most:.6f} USD, and {so_far:.6f} of the "
                    f"{limit:.6f} USD that this job may cost are used; ask about fewer rows, or correct the prices in "
                    "etude.toml"
                )
            await self._moved.wait()  # what is under way mostly costs less than it can

    def _usd(self, read: int, written: int) -> float:
        endpoint = self._endpoint
        cost = read * endpoint.usd_per_million_input + written * endpoint.usd_per_million_output
        return cost / MILLION


def _input_tokens(question: Question) -> int:
    """An estimate of what a question takes."""
    size = sum(len(message["content"].encode(errors="replace")) for message in question.messages)
    return size // BYTES_PER_TOKEN + MESSAGE_TOKENS * len(question.messages)
