"""The brain that is a language model: it gets the tools, and takes a cycle to its end by calling them."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from agent.desk import Desk, StepFailed
from agent.mistral.access import Access
from agent.mistral.account import Account
from agent.mistral.conversation import Conversation, chars_in
from agent.mistral.offer import GET_CYCLE, Offer
from agent.mistral.prompt import BEGINNING, CALL_A_TOOL, FOLDED, brief, system_prompt
from agent.mistral.results import Shelf, messages
from agent.mistral.service import Answer, PromptTooLong, Service, ServiceProblem
from agent.mistral.toolbox import Toolbox
from agent.mistral.turns import acted, nudged, with_ids
from agent.replies import CycleState, TaskReply
from agent.settings import MistralSettings
from agent.spent import Spent
from agent.words import one_line

MAX_WITHOUT_CALL = 3  # answers in a row that call nothing
LAST_WORDS_CHARS = 200
STAYS_DONE = "what is done stays done: the same command goes on from here, --brain offline goes on without the model"


class MistralBrain:
    """Args:
    access: Where the model is.
    settings: Which model, and what it may take.
    artifacts: The artifacts folder.
    """

    name = "mistral"

    @property
    def about(self) -> str:
        """Which model, and where."""
        return f"{self._settings.model} at {self._access.server_url}, over the servers' tools"

    def __init__(self, access: Access, settings: MistralSettings, artifacts: Path) -> None:
        self._access, self._settings, self._artifacts = access, settings, artifacts

    async def finish(self, desk: Desk, task: TaskReply, state: CycleState) -> None:
        """Give the model the cycle until it is closed.

        Raises:
            StepFailed: the model cannot be reached, calls nothing, goes in circles, or has reached a cap.
            ServerProblem: a server is gone.
        """
        account = self._account(state.cycle)
        offer = Offer(desk.sessions.servers, self._settings.tools)
        toolbox = Toolbox(desk, offer, Shelf(self._artifacts, state.cycle), account, state, task.names)
        async with Service(self._access, self._settings, desk.progress.say) as service:
            await _Thinking(desk, service, toolbox, account, task, self._settings).to_the_end()

    def spent(self, cycle: str) -> Spent | None:
        """From the cycle's `brain.jsonl`."""
        return self._account(cycle).spent

    def _account(self, cycle: str) -> Account:
        return Account(self._artifacts, cycle, self._settings, self._access.is_own)


class _Thinking:
    """The conversation about one cycle."""

    def __init__(
        self,
        desk: Desk,
        service: Service,
        toolbox: Toolbox,
        account: Account,
        task: TaskReply,
        settings: MistralSettings,
    ) -> None:
        self._desk, self._service, self._toolbox, self._account = desk, service, toolbox, account
        self._cycle = toolbox.state.cycle
        self._get_cycle = toolbox.name_of(GET_CYCLE)
        limit_tokens = settings.context_tokens - settings.answer_tokens
        self._conversation = Conversation(system_prompt(task, self._cycle, self._get_cycle), limit_tokens)

    async def to_the_end(self) -> None:
        """Ask for answers and carry them out until the cycle is closed."""
        self._conversation.begin(self._brief(BEGINNING, await self._toolbox.look()))
        without_call = 0
        while not self._toolbox.state.closed:
            answer = await self._answer(must_call=without_call > 0)
            if answer.calls:
                without_call = 0
                calls = with_ids(answer.calls)
                payloads = await self._toolbox.carry_out(calls)
                self._conversation.add(
                    acted(calls, messages(payloads, await self._toolbox.look(), self._conversation.turn_chars))
                )
            else:
                without_call += 1
                if without_call == MAX_WITHOUT_CALL:
                    said = one_line(answer.words, LAST_WORDS_CHARS) or "nothing"
                    raise StepFailed(
                        f"brain mistral called no tool {without_call} times in a row; its last words: {said!r}; "
                        + STAYS_DONE
                    )
                due = self._toolbox.due or self._get_cycle
                self._conversation.add(nudged(answer.words, CALL_A_TOOL.format(cycle=self._cycle, tool=due)))

    async def _answer(self, must_call: bool) -> Answer:
        """The next answer; what does not fit is folded away, also where only the server knows that it does not."""
        while True:
            if self._conversation.is_full:
                await self._fold()
            try:
                return await self._think(must_call)
            except PromptTooLong as problem:
                self._account.add_lost(problem.lost)
                self._conversation.tighten()
                if not self._conversation.is_full:
                    raise StepFailed(f"brain mistral: {problem}; {STAYS_DONE}") from problem
            except ServiceProblem as problem:
                self._account.add_lost(problem.lost)
                raise StepFailed(f"brain mistral: {problem}; {STAYS_DONE}") from problem

    async def _think(self, must_call: bool) -> Answer:
        """Ask once, within the caps; note what it took."""
        messages, tools = self._conversation.messages, [offered.function for offered in self._toolbox.offered]
        chars = chars_in(messages) + len(json.dumps(tools))
        asking = partial(self._account.asking, self._conversation.estimate(chars))
        with self._desk.step("think") as line, self._desk.progress.speech() as heard:
            answer = await self._service.answer(messages, tools, must_call, heard, asking)
            line.outcome = f"{answer.tokens.read:,} + {answer.tokens.written:,} tokens"
        self._account.add(answer)
        self._desk.progress.board.thought(self._account.spent)
        if answer.counted:
            self._conversation.measured(chars, answer.tokens.read)
        return answer

    async def _fold(self) -> None:
        self._conversation.fold(self._brief(FOLDED, await self._toolbox.look()))

    def _brief(self, greeting: str, state: dict[str, Any]) -> str:
        return brief(greeting, self._get_cycle, state)
